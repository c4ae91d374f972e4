//! What holds for conferencing: the samples of `samples/` with the rulings expected of them (`sampled`), the rules that no
//! sample can show (`ruled`), and the mails in words (`worded`). After a wanted change run
//! `UPDATE_SNAPSHOTS=1 cargo test -p sources`, look at the mails in a browser, and read the difference.

use super::*;
use model::Timestamp;
use model::source::{Subject, Tools};
use serde_json::{Map, json};
use std::path::PathBuf;
use uuid::Uuid;

mod ruled;
mod sampled;
mod worded;

/// Chance that is the same at each run.
pub(super) struct Seeded(pub u64);

impl Tools for Seeded {
    fn below(&mut self, most: u32) -> u32 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(most)).expect("less than a u32")
    }

    fn id(&mut self) -> Uuid {
        Uuid::from_u128(0xdefa)
    }

    fn keep(&mut self, secret: &str) -> String {
        // Not a hash: only something that does not hold the secret.
        format!("kept:{}", secret.len())
    }

    fn is(&mut self, _: &str, secret: &str, kept: &str) -> model::source::Compared {
        if self.keep(secret) == kept { model::source::Compared::Same } else { model::source::Compared::Different }
    }

    fn signing_secret(&mut self, object: Uuid) -> (String, String) {
        ("whsec_c2VjcmV0".to_owned(), format!("sealed for {object}"))
    }
}

const PARIS: Uuid = Uuid::from_u128(0xa1);
const LYON: Uuid = Uuid::from_u128(0xb2);
const INES: Uuid = Uuid::from_u128(0xc3);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/conferencing/samples")
}

fn updating() -> bool {
    ["UPDATE_SNAPSHOTS", "UPDATE_SAMPLES"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Holds a text against a file, or writes the file anew.
fn hold(path: &std::path::Path, text: &str) {
    if updating() {
        std::fs::write(path, text).expect("writable");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(expected == text, "{} is not what is there now; look, then run with UPDATE_SNAPSHOTS=1:\n{text}", path.display());
}

fn settings(set: &[(&str, Value)]) -> PolicySnapshot {
    let declared: Vec<_> = model::policy::SETTINGS.iter().chain(settings::SETTINGS).copied().collect();
    PolicySnapshot::new(1, &declared, set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

fn ines() -> Subject {
    Subject {
        id: INES,
        upn: "ines.moreau@example.org".to_owned(),
        display_name: "Inès Moreau".to_owned(),
        email: Some("ines.moreau@example.org".to_owned()),
        timezone: Some("Europe/Paris".to_owned()),
        licenses: Vec::new(),
        phones: vec!["+33155504711".to_owned()],
        active: true,
    }
}

fn bridge(id: Uuid, name: &str, document: Value) -> Existing {
    Existing { kind: ObjectKind::ConferencingBridge, id, name: name.to_owned(), document }
}

fn paris() -> Existing {
    let document = json!({
        "serviceNumbers": [
            {"number": "+33155501234", "tollFree": false, "primaryLanguage": "fr-FR", "secondaryLanguages": ["en-GB"]},
            {"number": "+33155505678", "tollFree": false, "primaryLanguage": "fr-FR", "secondaryLanguages": []},
            {"number": "+33800123456", "tollFree": true, "primaryLanguage": "fr-FR", "secondaryLanguages": []}
        ],
        "defaultServiceNumber": "+33155501234",
        "adapterUrl": ""
    });
    bridge(PARIS, "Paris", document)
}

fn lyon() -> Existing {
    let document = json!({
        "serviceNumbers": [{"number": "+33472001234", "tollFree": false, "primaryLanguage": "fr-FR", "secondaryLanguages": []}],
        "defaultServiceNumber": "+33472001234",
        "adapterUrl": "https://bridge.example.org/hook"
    });
    bridge(LYON, "Lyon", document)
}

/// One act on one person, with everything that it meets.
#[derive(Clone)]
struct Case {
    act: &'static str,
    given: Map<String, Value>,
    before: Option<Value>,
    bridges: Vec<Existing>,
    person: Subject,
    settings: PolicySnapshot,
    seed: u64,
}

impl Case {
    fn new(act: &'static str, before: Option<Value>, given: Value) -> Case {
        let given = given.as_object().cloned().expect("an object");
        Case { act, given, before, bridges: vec![paris(), lyon()], person: ines(), settings: settings(&[]), seed: 7 }
    }

    fn with(mut self, set: &[(&str, Value)]) -> Case {
        self.settings = settings(set);
        self
    }

    fn run(&self) -> Result<Ruling, Refusal> {
        let name = "ines.moreau@example.org".to_owned();
        let before = self.before.clone().map(|document| Existing { kind: ObjectKind::ConferencingUser, id: INES, name, document });
        let mut acting = Acting {
            kind: ObjectKind::ConferencingUser,
            act: self.act,
            id: INES,
            given: &self.given,
            before: before.as_ref(),
            person: Some(&self.person),
            settings: &self.settings,
            found: &[],
            now: Timestamp(0),
        };
        let found: Vec<Vec<Existing>> = Conferencing.wants(&acting).iter().map(|wanted| self.find(wanted)).collect();
        acting.found = &found;
        Conferencing.act(&acting, &mut Seeded(self.seed))
    }

    fn find(&self, wanted: &Wanted) -> Vec<Existing> {
        let Wanted::Named(ObjectKind::ConferencingBridge, name) = wanted else { panic!("a bridge is looked for, not {wanted:?}") };
        let bridges = self.bridges.iter();
        bridges.filter(|b| b.name.eq_ignore_ascii_case(name) || b.id.to_string() == *name).cloned().collect()
    }

    fn ok(&self) -> Ruling {
        self.run().expect("it is allowed")
    }

    fn refused(&self) -> Refusal {
        self.run().expect_err("it is refused")
    }
}

/// Inès, on the bridge Paris.
fn on_paris() -> Value {
    json!({
        "licensed": true, "provider": "Own", "bridgeId": PARIS, "bridgeName": "Paris", "conferenceId": "583920174",
        "serviceNumber": "+33155501234", "tollFreeServiceNumber": null, "allowPstnOnlyMeetings": false, "allowTollFreeDialIn": true,
        "pinHash": "kept:5", "pinToBeHandedOver": false
    })
}

/// Inès, whose provider is another.
fn elsewhere() -> Value {
    json!({"licensed": true, "provider": "Acme", "allowTollFreeDialIn": true})
}
