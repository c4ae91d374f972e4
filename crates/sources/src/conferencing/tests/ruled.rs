//! The rules that no sample can show: what is refused, what never leaks, what holds for every act; bridges, settings, cmdlets.

use super::*;
use model::cmdlets::Reaches;
use model::objects::Onto;
use proptest::prelude::*;

const OFF: (&str, Value) = ("conferencing.automatically_send_emails_to_users", Value::Bool(false));

fn change(given: Value) -> Case {
    Case::new("change", Some(on_paris()), given)
}

#[test]
fn the_documented_mistakes_are_refused_with_the_mend() {
    let none = Case::new("change", None, json!({"resetLeaderPin": true})).refused();
    assert_eq!((none.code, none.kind), ("no_license", model::RefusalKind::Conflict));
    assert!(Case::new("send-info", None, json!({})).refused().detail.contains("has no conferencing licence; enable them first"));
    let third = Case::new("change", Some(elsewhere()), json!({"resetLeaderPin": true})).refused();
    assert_eq!(third.code, "third_party_provider");
    assert!(Case::new("enable", Some(elsewhere()), json!({})).refused().detail.contains("replaceProvider"));
    for (given, field) in [
        (json!({"serviceNumber": "+33472001234"}), "serviceNumber"),
        (json!({"tollFreeServiceNumber": "+33155501234"}), "tollFreeServiceNumber"),
        (json!({"conferenceId": "012345678"}), "conferenceId"),
        (json!({"conferenceId": "204816327", "resetConferenceId": true}), "conferenceId"),
        (json!({"sendEmailToAddress": "a@example.org"}), "sendEmailToAddress"),
        (json!({"sendEmailToAddress": "a@example.org", "sendEmail": false}), "sendEmailToAddress"),
        (json!({"sendEmail": true, "sendEmailFromAddress": "a@example.org"}), "sendEmailFromDisplayName"),
        (json!({"sendEmail": true, "sendEmailFromDisplayName": "A"}), "sendEmailFromAddress"),
        (json!({"bridgeName": "Nantes"}), "bridgeName"),
        (json!({"bridgeId": LYON, "bridgeName": "Paris"}), "bridgeName"),
    ] {
        let refusal = change(given.clone()).refused();
        assert_eq!(refusal.faults.first().map(|fault| fault.field.as_str()), Some(field), "{given}: {refusal}");
    }
}

#[test]
fn a_provider_is_replaced_when_that_is_said_or_set() {
    let enable = |given, set: &[(&str, Value)]| Case::new("enable", Some(elsewhere()), given).with(set).run();
    for ruling in [
        enable(json!({"replaceProvider": true, "bridgeName": "Paris"}), &[]),
        enable(json!({"bridgeName": "Paris"}), &[("conferencing.automatically_replace_acp_provider", json!(true))]),
    ] {
        assert_eq!(ruling.expect("allowed").happenings[0].kind, ENABLED);
    }
    let closed = Case::new("enable", None, json!({})).with(&[("conferencing.status", json!("Disabled"))]).refused();
    assert_eq!(closed.code, "conferencing_disabled");
}

#[test]
fn a_conference_id_is_a_key_on_its_bridge_and_a_bridge_that_is_used_is_linked() {
    let keeping = change(json!({"conferenceId": "204816327"})).ok().keeping.expect("kept");
    assert_eq!((keeping.keys, keeping.links), (vec![format!("{PARIS}/204816327")], vec![PARIS]));
    let gone = change(json!({"provider": "Acme"})).ok().keeping.expect("kept");
    assert!(gone.keys.is_empty() && gone.links.is_empty() && gone.document["pinHash"].is_null(), "the conference ID is free again");
    assert_eq!(Case::new("disable", Some(on_paris()), json!({})).ok().keeping, None);
}

#[test]
fn the_default_bridge_is_made_when_it_is_needed_and_used_when_it_is_there() {
    let mut case = Case::new("enable", None, json!({}));
    let made = case.ok();
    assert_eq!((made.others.len(), made.others[0].keeping.name.as_str()), (1, DEFAULT_BRIDGE));
    assert_eq!(made.keeping.expect("kept").links, [made.others[0].id]);
    case.bridges.push(bridge(Uuid::from_u128(0xdd), "default", json!({})));
    let used = case.ok();
    assert!(used.others.is_empty());
    assert_eq!(used.keeping.expect("kept").links, [Uuid::from_u128(0xdd)]);
}

#[test]
fn a_new_pin_length_holds_for_new_pins_and_only_the_meetings_default_is_copied() {
    let set = [("conferencing.pin_length", json!(8)), ("conferencing.allow_pstn_only_meetings_by_default", json!(true))];
    let enabled = Case::new("enable", None, json!({})).with(&set).ok();
    assert_eq!(enabled.happenings[0].secret.as_ref().expect("a PIN")["pin"].as_str().map(str::len), Some(8));
    assert_eq!(enabled.keeping.expect("kept").document["allowPstnOnlyMeetings"], json!(true));
    let kept = change(json!({"resetConferenceId": true})).with(&set).ok().keeping.expect("kept").document;
    assert_eq!((&kept["allowPstnOnlyMeetings"], &kept["pinHash"]), (&json!(false), &json!("kept:5")));
}

#[test]
fn a_pin_that_is_mailed_later_need_no_longer_be_handed_over() {
    let off = change(json!({"resetLeaderPin": true})).with(&[OFF]).ok();
    let document = off.keeping.expect("kept").document;
    assert_eq!(document["pinToBeHandedOver"], json!(true));
    let kept = |given: Value| Case::new("change", Some(document.clone()), given).ok().keeping.expect("kept").document;
    assert_eq!(kept(json!({"resetLeaderPin": true}))["pinToBeHandedOver"], json!(false));
    assert_eq!(kept(json!({"resetConferenceId": true}))["pinToBeHandedOver"], json!(true));
}

#[test]
fn somebody_who_left_is_not_mailed_a_pin() {
    let mut case = change(json!({"resetLeaderPin": true}));
    case.person.active = false;
    let ruling = case.ok();
    assert!(ruling.happenings[0].secret.is_none() && ruling.revealed.contains_key("pin"));
    let said = ruling.remarks.iter().map(|(en, fr)| format!("{en} {fr}")).collect::<String>();
    assert!(said.contains("is inactive") && said.contains("est inactive") && !said.contains("address"), "{said}");
    case.person.email = None;
    assert!(case.ok().remarks.iter().any(|(en, _)| en.contains("no mail address")));
}

#[test]
fn a_change_that_only_sends_the_details_is_the_mail_by_hand_and_any_other_is_more() {
    let act = user::USERS.act("change").expect("declared");
    let needs = |names: &[&str]| user::USERS.permission(act, names.iter().copied());
    use model::roles::Permission::{ConferencingManage, ConferencingResend};
    for names in [&["sendEmail"][..], &["sendEmail", "sendEmailToAddress"], &["sendEmailToAddress", "sendEmail"]] {
        assert_eq!(needs(names), ConferencingResend, "{names:?}");
    }
    let others = act.parameters.iter().map(|field| field.name).filter(|name| !["sendEmail", "sendEmailToAddress"].contains(name));
    for name in others {
        assert_eq!((needs(&[name]), needs(&["sendEmail", name])), (ConferencingManage, ConferencingManage), "{name}");
    }
    assert_eq!(needs(&[]), ConferencingManage);
    for set in [&[][..], &[OFF]] {
        let by_hand = Case::new("send-info", Some(on_paris()), json!({})).with(set).ok();
        assert_eq!(change(json!({"sendEmail": true})).with(set).ok(), by_hand);
        let to = change(json!({"sendEmail": true, "sendEmailToAddress": "a@example.org"})).with(set).ok();
        assert_eq!((to.keeping, to.errand, to.happenings[0].kind), (by_hand.keeping, None, INFO));
        assert_eq!((to.happenings[0].secret.as_ref(), &to.happenings[0].data), (None, &by_hand.happenings[0].data));
    }
}

#[test]
fn a_number_may_be_given_without_its_plus() {
    let kept = |given: Value| change(given).ok().keeping.expect("kept").document;
    assert_eq!(kept(json!({"serviceNumber": "33155505678"}))["serviceNumber"], json!("+33155505678"));
    assert_eq!(kept(json!({"tollFreeServiceNumber": "33800123456"}))["tollFreeServiceNumber"], json!("+33800123456"));
    assert!(change(json!({"serviceNumber": "33155501234"})).ok().happenings.is_empty(), "it is the one that they have");
    assert_eq!(change(json!({"serviceNumber": "155505678"})).refused().faults[0].field, "serviceNumber");
    let set = on_bridge("change", Some(&paris()), json!({"defaultServiceNumber": "33155505678"}), &[]).expect("allowed");
    assert_eq!(set.keeping.expect("kept").document["defaultServiceNumber"], json!("+33155505678"));
    let twice = json!({"name": "Nice", "serviceNumbers": [{"number": "+331"}, {"number": "331"}]});
    assert!(on_bridge("create", None, twice, &[]).expect_err("refused").detail.contains("twice"));
    let people =
        vec![vec![Existing { kind: ObjectKind::ConferencingUser, id: INES, name: "Inès Moreau".to_owned(), document: on_paris() }]];
    let respelt = json!({"serviceNumbers": [{"number": "33155501234"}], "defaultServiceNumber": "+33155501234"});
    assert!(on_bridge("change", Some(&paris()), respelt, &people).is_ok(), "the number that she has stays");
}

#[test]
fn a_number_that_left_the_bridge_is_not_told_any_more() {
    let mut before = on_paris();
    before["serviceNumber"] = json!("+33999999999");
    let told = Case::new("send-info", Some(before), json!({})).ok();
    assert_eq!(told.happenings[0].data["serviceNumber"], json!("+33155501234"));
}

#[test]
fn an_adapter_is_told_what_changes_and_nothing_when_nothing_does() {
    let mut before = on_paris();
    before["bridgeId"] = json!(LYON);
    before["bridgeName"] = json!("Lyon");
    before["serviceNumber"] = json!("+33472001234");
    let on_lyon = |act, given| Case::new(act, Some(before.clone()), given);
    assert_eq!(on_lyon("change", json!({"sendEmail": true})).ok().errand, None);
    assert_eq!(on_lyon("send-info", json!({})).ok().errand, None);
    let reset = on_lyon("change", json!({"resetLeaderPin": true})).ok();
    let errand = reset.errand.expect("the bridge has to confirm");
    assert_eq!((errand.at, &errand.data["change"], errand.secret), (LYON, &json!("changed"), reset.happenings[0].secret.clone()));
    assert_eq!((&errand.data["conferenceId"], &errand.data["previousConferenceId"]), (&json!("583920174"), &Value::Null), "it holds still");
    let other = on_lyon("change", json!({"resetConferenceId": true})).ok().errand.expect("the bridge has to confirm");
    assert_eq!(other.data["previousConferenceId"], json!("583920174"));
    assert_ne!(other.data["conferenceId"], json!("583920174"));
    for case in
        [on_lyon("disable", json!({})), on_lyon("change", json!({"bridgeName": "Paris"})), on_lyon("change", json!({"provider": "None"}))]
    {
        let errand = case.ok().errand.expect("the bridge has to let go");
        assert_eq!((errand.at, &errand.data["change"], &errand.data["previousConferenceId"]), (LYON, &json!("ended"), &json!("583920174")));
        assert_eq!(errand.secret, None);
    }
    let mut both = on_lyon("change", json!({"bridgeName": "Nice"}));
    both.bridges.push(bridge(Uuid::from_u128(5), "Nice", json!({"adapterUrl": "https://nice.example.org"})));
    assert_eq!(both.refused().code, "two_adapters");
}

#[test]
fn what_is_kept_of_a_pin_is_never_shown() {
    let shown = Conferencing.shown(ObjectKind::ConferencingUser, &on_paris());
    assert_eq!((&shown["pin"], shown.get(PIN_FIELD)), (&json!("********"), None));
    let without = Conferencing.shown(ObjectKind::ConferencingUser, &elsewhere());
    assert!(without["pin"].is_null());
    let bridge = Conferencing.shown(ObjectKind::ConferencingBridge, &paris().document);
    assert_eq!((&bridge["recordOnly"], &bridge["defaultServiceNumber"]), (&json!(true), &json!("+33155501234")));
}

#[test]
fn a_person_gets_every_field_that_is_declared_and_no_other_is_shown() {
    let ruling = Case::new("enable", None, json!({"bridgeName": "Paris"})).ok();
    let shown = Conferencing.shown(ObjectKind::ConferencingUser, &ruling.keeping.expect("kept").document);
    let mut declared: Vec<&str> = user::USERS.fields.iter().map(|field| field.name).collect();
    let mut there: Vec<&str> = shown.as_object().expect("an object").keys().map(String::as_str).collect();
    declared.sort_unstable();
    there.sort_unstable();
    assert_eq!(declared, there);
}

fn on_bridge(act: &'static str, before: Option<&Existing>, given: Value, found: &[Vec<Existing>]) -> Result<Ruling, Refusal> {
    let given = given.as_object().cloned().expect("an object");
    let acting = Acting {
        kind: ObjectKind::ConferencingBridge,
        act,
        id: PARIS,
        given: &given,
        before,
        person: None,
        settings: &settings(&[]),
        found,
        now: Timestamp(0),
    };
    Conferencing.act(&acting, &mut Seeded(1))
}

#[test]
fn a_bridges_default_number_is_one_of_its_numbers() {
    let numbers = json!([{"number": "+331", "tollFree": false, "primaryLanguage": null, "secondaryLanguages": []}]);
    let made = on_bridge("create", None, json!({"name": "Nice", "serviceNumbers": numbers, "defaultServiceNumber": "+331"}), &[]);
    let kept = made.expect("made").keeping.expect("kept");
    assert_eq!((kept.name.as_str(), &kept.document["adapterUrl"]), ("Nice", &json!("")));
    let wrong = on_bridge("create", None, json!({"name": "Nice", "defaultServiceNumber": "+331"}), &[]).expect_err("refused");
    assert_eq!(wrong.faults[0].field, "defaultServiceNumber");
    let lost = on_bridge("change", Some(&paris()), json!({"serviceNumbers": numbers}), &[]).expect_err("refused");
    assert!(lost.detail.contains("+33155501234 is not among the bridge's serviceNumbers"), "{lost}");
    let emptied = on_bridge("change", Some(&paris()), json!({"serviceNumbers": []}), &[]).expect("allowed").keeping.expect("kept");
    assert!(emptied.document["defaultServiceNumber"].is_null());
    assert!(on_bridge("create", None, json!({"name": ""}), &[]).is_err());
    let twice = json!([numbers[0], numbers[0]]);
    assert!(
        on_bridge("create", None, json!({"name": "Nice", "serviceNumbers": twice}), &[]).expect_err("refused").detail.contains("twice")
    );
}

#[test]
fn a_bridge_with_people_on_it_stays_and_keeps_their_numbers() {
    let people =
        vec![vec![Existing { kind: ObjectKind::ConferencingUser, id: INES, name: "Inès Moreau".to_owned(), document: on_paris() }]];
    let delete = |existing: &Existing, found: &[Vec<Existing>]| on_bridge("delete", Some(existing), json!({}), found);
    assert_eq!(delete(&paris(), &people).expect_err("refused").code, "in_use");
    assert_eq!(delete(&paris(), &[]).expect("allowed"), Ruling::default());
    assert_eq!(delete(&bridge(PARIS, "Default", json!({})), &[]).expect_err("refused").code, "default_bridge");
    let other = json!({"serviceNumbers": [{"number": "+33155505678"}], "defaultServiceNumber": "+33155505678"});
    let refusal = on_bridge("change", Some(&paris()), other.clone(), &people).expect_err("refused");
    assert!(refusal.detail.contains("+33155501234 is the number of Inès Moreau"));
    assert!(on_bridge("change", Some(&paris()), other, &[]).is_ok());
}

#[test]
fn an_adapter_is_reached_encrypted_or_on_this_machine() {
    let adapter = |url: &str| on_bridge("change", Some(&paris()), json!({ "adapterUrl": url }), &[]);
    for url in ["", "https://bridge.example.org/hook", "http://127.0.0.1:8080/hook", "http://localhost", "http://[::1]:1/x"] {
        assert!(adapter(url).is_ok(), "{url}");
    }
    for url in ["http://bridge.example.org/", "http://127.0.0.1.example.org/", "https://", "ftp://x", "http://a@localhost/", "https://a b"]
    {
        assert!(adapter(url).is_err(), "{url}");
    }
    assert!(!adapter("https://bridge.example.org/hook").expect("allowed").remarks.is_empty(), "what was set before is not sent");
}

#[test]
fn another_sender_needs_an_address_and_a_name_and_a_logo_needs_https() {
    let fault = |set: &[(&str, Value)]| Conferencing.check_settings(&settings(set)).err().map(|fault| fault.field);
    let on = ("conferencing.send_email_from_override", json!(true));
    let address = ("conferencing.send_email_from_address", json!("meet@example.org"));
    let name = ("conferencing.send_email_from_display_name", json!("Meetings"));
    assert_eq!(fault(&[]), None);
    assert_eq!(fault(std::slice::from_ref(&on)).as_deref(), Some("conferencing.send_email_from_address"));
    assert_eq!(fault(&[on.clone(), address.clone()]).as_deref(), Some("conferencing.send_email_from_display_name"));
    assert_eq!(fault(&[on.clone(), name.clone()]).as_deref(), Some("conferencing.send_email_from_address"));
    assert_eq!(fault(&[on, address, name]), None);
    assert_eq!(fault(&[("branding.logo_url", json!("http://example.org/x.png"))]).as_deref(), Some("branding.logo_url"));
}

#[test]
fn what_stopped_a_mail_is_told_with_its_setting_and_whether_it_was_off_already_when_it_happened() {
    let off = settings(&[("conferencing.automatically_send_emails_to_users", json!(false))]);
    let (later, before) = (json!({}), json!({"off": true}));
    let objector = |data: &Value, policy: &PolicySnapshot, locale| {
        Conferencing.objection(ENABLED, data, policy).and_then(|reason| Conferencing.objector(reason, data, locale))
    };
    let setting = "conferencing.automatically_send_emails_to_users";
    let now = format!("AutomaticallySendEmailsToUsers is off (setting {setting})");
    assert_eq!(objector(&later, &off, Locale::En), Some(now));
    let then = format!("AutomaticallySendEmailsToUsers was off when it happened (setting {setting})");
    assert_eq!(objector(&before, &settings(&[]), Locale::En), Some(then), "from the event, not from what holds now");
    let french = objector(&later, &off, Locale::Fr).expect("told");
    assert_eq!(french, format!("AutomaticallySendEmailsToUsers est désactivé (paramètre {setting})"));
    assert_eq!(objector(&later, &settings(&[]), Locale::En), None);
}

#[test]
fn every_cmdlet_reaches_something_that_is_declared_and_every_name_is_said_once() {
    let declaration = Conferencing.declaration();
    let mut names = std::collections::BTreeSet::new();
    for cmdlet in declaration.cmdlets {
        for name in cmdlet.aliases.iter().chain([&cmdlet.name]) {
            assert!(names.insert(name.to_lowercase()), "{name}");
        }
        assert!(!cmdlet.help_en.is_empty() && !cmdlet.help_fr.is_empty() && !cmdlet.examples.is_empty(), "{}", cmdlet.name);
        let object = |kind| declaration.objects.iter().find(|object| object.kind == kind).expect("a declared kind");
        match cmdlet.reaches {
            Reaches::Show { kind, by } => assert!(by.iter().all(|name| object(kind).fields.iter().any(|field| field.name == *name))),
            Reaches::Act { kind, act } => assert!(object(kind).act(act).is_some(), "{act}"),
            Reaches::ShowSettings(settings) | Reaches::ChangeSettings(settings) | Reaches::ResetSettings(settings) => {
                assert!(settings.iter().all(|one| declaration.settings.iter().any(|declared| declared.key == one.key)));
            }
        }
    }
    for documented in ["Supprimer-CsOnlineDialInConferencingTenantSettings", "Set-CsOnlineDialInConferencingTenantSetting"] {
        assert!(names.contains(&documented.to_lowercase()));
    }
}

#[test]
fn every_field_and_act_has_help_in_both_languages_and_a_default_that_it_accepts() {
    for object in Conferencing.declaration().objects {
        let fields = object.fields.iter().chain(object.acts.iter().flat_map(|act| act.parameters));
        for field in fields {
            assert!(!field.help_en.is_empty() && !field.help_fr.is_empty(), "{}", field.name);
            if let Some(default) = field.default_value() {
                assert!(field.check(&default).is_ok(), "{}", field.name);
            }
        }
        assert!(object.acts.iter().all(|act| !act.help_en.is_empty() && !act.help_fr.is_empty()));
    }
    let ending = user::USERS.acts.iter().find(|act| act.name == "disable").expect("declared");
    assert_eq!(ending.onto, Onto::Gone);
}

#[test]
fn what_has_no_effect_is_said_to_have_none() {
    let remarks = change(json!({"force": true, "allowPstnOnlyMeetings": true})).ok().remarks;
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].0.starts_with("force was taken") && remarks[0].1.contains("sans effet"));
}

/// Everything of a ruling that is neither sealed nor shown only once, as text.
fn open(ruling: &Ruling) -> String {
    let told: Vec<&Value> = ruling.happenings.iter().map(|told| &told.data).collect();
    format!(
        "{:?} {:?} {told:?} {:?} {:?} {:?}",
        ruling.keeping,
        ruling.others,
        ruling.audited,
        ruling.remarks,
        ruling.errand.as_ref().map(|e| &e.data)
    )
}

fn any_given() -> impl Strategy<Value = Value> {
    let flags = proptest::collection::vec(any::<bool>(), 4);
    let bridge = prop_oneof![Just(None), Just(Some("Paris")), Just(Some("Lyon"))];
    let provider = prop_oneof![Just(None), Just(Some("Own")), Just(Some("None")), Just(Some("Acme"))];
    (flags, bridge, provider).prop_map(|(flags, bridge, provider)| {
        let mut given =
            json!({"resetLeaderPin": flags[0], "resetConferenceId": flags[1], "sendEmail": flags[2], "replaceProvider": flags[3]});
        if let Some(name) = bridge {
            given["bridgeName"] = json!(name);
        }
        if let Some(name) = provider {
            given["provider"] = json!(name);
        }
        given
    })
}

proptest! {
    #[test]
    fn a_pin_is_sealed_or_shown_once_and_stands_nowhere_else(
        seed: u64,
        given in any_given(),
        act in prop_oneof![Just("enable"), Just("change"), Just("disable"), Just("send-info")],
        before in 0..3usize,
        automatic: bool,
        mailbox: bool,
    ) {
        let before = [None, Some(on_paris()), Some(elsewhere())][before].clone();
        // Twelve digits: neither a conference ID nor a number can hold them by chance.
        let set = [("conferencing.pin_length", json!(12)), (OFF.0, json!(automatic))];
        let mut case = Case::new(act, before, given).with(&set);
        case.seed = seed;
        if !mailbox {
            case.person.email = None;
        }
        let Ok(ruling) = case.run() else { return Ok(()) };
        prop_assert!(ruling.happenings.len() <= 1);
        let sealed = ruling.happenings.iter().filter_map(|told| told.secret.as_ref()).filter_map(|secret| secret["pin"].as_str());
        let shown = ruling.revealed.get("pin").and_then(Value::as_str);
        let pins: Vec<&str> = sealed.chain(shown).collect();
        prop_assert!(pins.len() <= 1, "mailed or shown, never both");
        for told in ruling.happenings.iter().filter(|told| told.secret.is_some()) {
            prop_assert!((told.kind == ENABLED || told.kind == PIN_RESET) && automatic && mailbox);
        }
        for pin in pins {
            prop_assert_eq!(pin.len(), 12);
            prop_assert!(!open(&ruling).contains(pin));
        }
        let document = ruling.keeping.as_ref().map(|kept| kept.document.clone()).unwrap_or_default();
        if shown.is_some() {
            prop_assert_eq!(&document["pinToBeHandedOver"], &json!(true));
            prop_assert_eq!(&ruling.audited["pinToBeHandedOver"], &json!(true));
        }
    }

    #[test]
    fn a_reset_conference_id_is_another_one(seed: u64) {
        let mut case = change(json!({"resetConferenceId": true}));
        case.seed = seed;
        let keys = case.ok().keeping.expect("kept").keys;
        let old = format!("{PARIS}/583920174");
        prop_assert!(keys.len() == 1 && keys[0] != old);
    }
}
