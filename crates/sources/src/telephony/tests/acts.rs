//! What acts on dial plans, policies and mailboxes come to.

use super::super::*;
use model::source::{Existing, Keeping, Subject};
use model::{RefusalKind, Timestamp};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use uuid::Uuid;

struct Counting(u128);

impl Tools for Counting {
    fn below(&mut self, _most: u32) -> u32 {
        0
    }
    fn id(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }
    fn keep(&mut self, secret: &str) -> String {
        secret.to_owned()
    }

    fn is(&mut self, _: &str, secret: &str, kept: &str) -> model::source::Compared {
        if self.keep(secret) == kept { model::source::Compared::Same } else { model::source::Compared::Different }
    }

    fn signing_secret(&mut self, object: Uuid) -> (String, String) {
        ("whsec_c2VjcmV0".to_owned(), format!("sealed for {object}"))
    }
}

/// An act with what it is given; the found objects are those that it wants, in order.
fn act(kind: ObjectKind, name: &'static str, given: Value, before: Option<&Existing>, found: &[Existing]) -> Result<Ruling, Refusal> {
    let settings = PolicySnapshot::new(1, &[], BTreeMap::new());
    let declared = Telephony
        .declaration()
        .objects
        .iter()
        .find(|object| object.kind == kind)
        .and_then(|object| object.act(name))
        .expect("a declared act");
    let mut checked = Map::new();
    for (name, value) in given.as_object().expect("an object") {
        let field = declared.parameters.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name} is declared"));
        checked.insert(name.clone(), field.check(value).map_err(|wrong| Refusal::field(name.clone(), wrong))?);
    }
    let person = Subject {
        id: Uuid::from_u128(5),
        upn: "alice@example.org".to_owned(),
        display_name: "Alice".to_owned(),
        email: None,
        timezone: None,
        licenses: Vec::new(),
        phones: Vec::new(),
        active: true,
    };
    let mut acting = Acting {
        kind,
        act: name,
        id: Uuid::from_u128(77),
        given: &checked,
        before,
        person: (kind == ObjectKind::Mailbox).then_some(&person),
        settings: &settings,
        found: &[],
        now: Timestamp(0),
    };
    let lists: Vec<Vec<Existing>> = Telephony
        .wants(&acting)
        .iter()
        .map(|wanted| match wanted {
            Wanted::Keyed(..) => Vec::new(),
            Wanted::Named(kind, name) => {
                found.iter().filter(|o| o.kind == *kind && (o.name == *name || o.id.to_string() == *name)).cloned().collect()
            }
            Wanted::LinkedTo(..) => Vec::new(),
        })
        .collect();
    acting.found = &lists;
    Telephony.act(&acting, &mut Counting(1000))
}

fn existing(kind: ObjectKind, id: u128, keeping: Keeping) -> Existing {
    Existing { kind, id: Uuid::from_u128(id), name: keeping.name, document: keeping.document }
}

fn plan() -> (Existing, Existing) {
    let given = json!({"name": "Lyon", "numberOfDigitsInExtension": 3, "e164Prefix": "+33472100"});
    let ruling = act(ObjectKind::DialPlan, "create", given, None, &[]).expect("a plan");
    let policy = ruling.others.into_iter().next().expect("its policy");
    (existing(ObjectKind::DialPlan, 77, ruling.keeping.expect("kept")), existing(ObjectKind::MailboxPolicy, 1001, policy.keeping))
}

fn mailbox() -> Existing {
    let (plan, policy) = plan();
    let given = json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["102"]});
    let ruling = act(ObjectKind::Mailbox, "enable", given, None, &[plan, policy]).expect("a mailbox");
    existing(ObjectKind::Mailbox, 78, ruling.keeping.expect("kept"))
}

#[test]
fn a_dial_plan_comes_with_its_default_policy_that_allows_missed_calls() {
    let ruling =
        act(ObjectKind::DialPlan, "create", json!({"name": "MyUMDialPlan", "numberOfDigitsInExtension": 4}), None, &[]).expect("a plan");
    let [policy] = ruling.others.as_slice() else { panic!("one other object") };
    assert_eq!((policy.kind, policy.new, policy.keeping.name.as_str()), (ObjectKind::MailboxPolicy, true, "MyUMDialPlan Default Policy"));
    assert_eq!(policy.keeping.links, [Uuid::from_u128(77)]);
    assert_eq!(policy.keeping.document["allowMissedCallNotifications"], true);
    assert_eq!(policy.keeping.document["numberOfDigitsInExtension"], 4);
    assert_eq!(ruling.keeping.expect("kept").document["uriType"], "TelExtn");
    let bare = json!({"name": "Bare", "numberOfDigitsInExtension": 4, "generateUmMailboxPolicy": false, "voipSecurity": "secured"});
    let ruling = act(ObjectKind::DialPlan, "create", bare, None, &[]).expect("a plan");
    assert!(ruling.others.is_empty());
    assert_eq!(ruling.remarks[0].0, "VoIPSecurity is accepted and has no effect here.");
}

#[test]
fn a_plan_name_over_49_characters_is_refused_because_of_its_default_policy() {
    let name = |chars: usize| json!({"name": "x".repeat(chars), "numberOfDigitsInExtension": 4});
    let ruling = act(ObjectKind::DialPlan, "create", name(49), None, &[]).expect("49 fit");
    assert_eq!(ruling.others[0].keeping.name.chars().count(), 64);
    let wrong = act(ObjectKind::DialPlan, "create", name(50), None, &[]).expect_err("50").to_string();
    assert!(
        wrong.contains("at most 49") && wrong.contains("Default Policy") && wrong.contains("at most 64") && wrong.contains("by 1"),
        "{wrong}"
    );
}

#[test]
fn forbidden_characters_lengths_and_prefixes_are_refused_with_the_rule() {
    let wrong = |given: Value| act(ObjectKind::DialPlan, "create", given, None, &[]).expect_err("a refusal").to_string();
    for letter in "\"/\\[]:;|=,+*?<>".chars() {
        assert!(wrong(json!({"name": format!("a{letter}b"), "numberOfDigitsInExtension": 4})).contains(&format!("{letter:?}")));
    }
    assert!(wrong(json!({"name": "a", "numberOfDigitsInExtension": 21})).contains("from 1 to 20"));
    assert!(wrong(json!({"name": "a", "numberOfDigitsInExtension": 4, "e164Prefix": "33"})).contains("begins with +"));
    assert!(wrong(json!({"name": "a", "numberOfDigitsInExtension": 4, "e164Prefix": "+331234567890"})).contains("shorten the prefix by 1"));
    assert!(wrong(json!({"name": "", "numberOfDigitsInExtension": 4})).contains("is empty"));
}

#[test]
fn a_policy_belongs_to_one_plan_for_good() {
    let (plan, policy) = plan();
    let ruling =
        act(ObjectKind::MailboxPolicy, "create", json!({"name": "Second", "umDialPlan": "Lyon"}), None, std::slice::from_ref(&plan))
            .expect("a policy");
    let keeping = ruling.keeping.expect("kept");
    assert_eq!((keeping.links.as_slice(), &keeping.document["minPinLength"]), ([plan.id].as_slice(), &json!(6)));
    let unknown =
        act(ObjectKind::MailboxPolicy, "create", json!({"name": "Third", "umDialPlan": "Paris"}), None, &[]).expect_err("no plan");
    let told = "umDialPlan: there is no dial plan \"Paris\"; give the id or the name of one";
    assert_eq!((unknown.kind, unknown.detail.as_str()), (RefusalKind::Invalid, told));
    let ruling =
        act(ObjectKind::MailboxPolicy, "change", json!({"allowMissedCallNotifications": false}), Some(&policy), &[]).expect("changed");
    let keeping = ruling.keeping.expect("kept");
    assert_eq!((keeping.links.as_slice(), &keeping.document["allowMissedCallNotifications"]), ([plan.id].as_slice(), &json!(false)));
    assert!(ruling.remarks.is_empty() && keeping.name == "Lyon Default Policy");
}

#[test]
fn what_has_no_effect_is_kept_and_said() {
    let (_, policy) = plan();
    let given = json!({"allowFax": false, "minPinLength": 8, "voiceMailText": "Bonjour"});
    let ruling = act(ObjectKind::MailboxPolicy, "change", given, Some(&policy), &[]).expect("changed");
    assert_eq!(ruling.remarks[0].0, "AllowFax, MinPINLength are accepted and have no effect here.");
    assert_eq!(ruling.keeping.expect("kept").document["allowFax"], false);
}

#[test]
fn a_pin_is_reset_before_the_mailbox_is_locked() {
    let (_, policy) = plan();
    let change = |given: Value| act(ObjectKind::MailboxPolicy, "change", given, Some(&policy), &[]);
    assert!(
        change(json!({"logonFailuresBeforePinReset": 15}))
            .expect_err("too many")
            .to_string()
            .contains("below maxLogonAttempts, which is 15")
    );
    assert!(change(json!({"logonFailuresBeforePinReset": "Unlimited"})).is_err());
    assert!(change(json!({"logonFailuresBeforePinReset": "unlimited", "maxLogonAttempts": "Unlimited"})).is_ok());
}

#[test]
fn a_mailbox_is_an_extension_in_a_dial_plan() {
    let (plan, policy) = plan();
    let found = [plan.clone(), policy.clone()];
    let enable = |given: Value| act(ObjectKind::Mailbox, "enable", given, None, &found);
    let given = json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["102", "103"], "sipResourceIdentifier": "Alice@Example.org", "pin": "1234"});
    let ruling = enable(given).expect("a mailbox");
    let keeping = ruling.keeping.expect("kept");
    assert_eq!(keeping.keys, ["102", "103", "alice@example.org"].map(|extension| format!("{}/{extension}", plan.id)));
    assert_eq!((keeping.links.as_slice(), keeping.name.as_str()), ([policy.id].as_slice(), "alice@example.org"));
    assert_eq!(keeping.document["missedCallNotificationEnabled"], true);
    assert!(!keeping.document.to_string().contains("1234"), "a PIN is not kept");
    assert!(
        ruling.remarks.iter().any(|remark| remark.0.starts_with("Pin "))
            && ruling.remarks.iter().any(|remark| remark.0.contains("no mail address"))
    );
    let wrong = |given: Value| enable(given).expect_err("a refusal").to_string();
    assert!(
        wrong(json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["1002"]}))
            .contains("has 4 digits; extensions of this policy's dial plan have 3")
    );
    assert!(wrong(json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": []})).contains("is empty"));
    assert!(wrong(json!({"umMailboxPolicy": "Paris", "extensions": ["102"]})).contains("there is no mailbox policy \"Paris\""));
}

#[test]
fn a_mailbox_is_changed_and_ended_and_not_enabled_twice() {
    let (plan, policy) = plan();
    let before = mailbox();
    let found = [plan.clone(), policy];
    let change = |given: Value| act(ObjectKind::Mailbox, "change", given, Some(&before), &found).expect("changed").keeping.expect("kept");
    let off = change(json!({"missedCallNotificationEnabled": false}));
    assert_eq!(
        (&off.document["missedCallNotificationEnabled"], off.keys.as_slice()),
        (&json!(false), [format!("{}/102", plan.id)].as_slice())
    );
    assert_eq!(change(json!({"extensions": ["199"]})).keys, [format!("{}/199", plan.id)]);
    let twice =
        act(ObjectKind::Mailbox, "enable", json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["102"]}), Some(&before), &found);
    assert_eq!(twice.expect_err("enabled already").kind, RefusalKind::Conflict);
    assert_eq!(act(ObjectKind::Mailbox, "disable", json!({}), Some(&before), &found).expect("ended"), Ruling::default());
}

#[test]
fn a_called_number_leads_to_the_key_of_its_mailbox() {
    let (plan, _) = plan();
    let keys = mailbox_keys(&plan, "+33 4 72 10 01 02");
    assert!(keys.contains(&format!("{}/102", plan.id)), "{keys:?}");
    assert_eq!(mailbox_keys(&plan, "102"), [format!("{}/102", plan.id)]);
}
