//! People's conferencing settings: licence, provider, bridge, number, conference ID and PIN.
//!
//! In: acts on a person. Out: what is kept, the conference ID as a name that is unique on its bridge, the errand to a bridge
//! with an adapter, and the one mail of the act. A person *has conferencing* with the licence and with the organization as
//! the provider; whoever has not has neither conference ID nor PIN.

use super::bridge::{self, Bridge};
use super::due::{self, Asked, Change};
use super::{flag, kept, pin, settings, text};
use model::objects::ObjectKind;
use model::source::{Acting, Errand, Existing, Happening, Keeping, Other, Ruling, Tools, Wanted};
use model::{Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

mod declared;

pub(super) use declared::USERS;

/// The organization itself as the provider.
const OWN: &str = "Own";
/// What else it is called by those who ask.
const OWN_TOO: [&str; 3] = ["own", "microsoft", "carillon"];
/// No provider.
const NONE: &str = "None";
/// Shown instead of a PIN.
pub(super) const MASKED: &str = "********";

/// What is kept of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    licensed: bool,
    provider: String,
    bridge_id: Option<Uuid>,
    bridge_name: Option<String>,
    conference_id: Option<String>,
    service_number: Option<String>,
    toll_free_service_number: Option<String>,
    allow_pstn_only_meetings: bool,
    allow_toll_free_dial_in: bool,
    pin_hash: Option<String>,
    pin_to_be_handed_over: bool,
}

impl Default for Document {
    fn default() -> Document {
        Document {
            licensed: false,
            provider: NONE.to_owned(),
            bridge_id: None,
            bridge_name: None,
            conference_id: None,
            service_number: None,
            toll_free_service_number: None,
            allow_pstn_only_meetings: false,
            allow_toll_free_dial_in: true,
            pin_hash: None,
            pin_to_be_handed_over: false,
        }
    }
}

impl Document {
    /// Whether the person has conferencing.
    fn is_on(&self) -> bool {
        self.licensed && self.provider == OWN
    }

    /// Whether somebody else provides conferencing for the person.
    fn is_elsewhere(&self) -> bool {
        self.provider != OWN && self.provider != NONE
    }

    fn kept(&self, person: Uuid) -> Keeping {
        let keys = self.bridge_id.zip(self.conference_id.as_ref()).map(|(bridge, id)| key(bridge, id));
        Keeping {
            name: person.to_string(),
            document: serde_json::to_value(self).expect("a person's settings are texts, switches and ids"),
            keys: keys.into_iter().collect(),
            links: self.bridge_id.into_iter().collect(),
        }
    }
}

/// The further name by which whoever has a conference ID on a bridge is found.
pub(super) fn key(bridge: Uuid, conference_id: &str) -> String {
    format!("{bridge}/{conference_id}")
}

/// An act on the way to its ruling.
struct Step {
    before: Document,
    after: Document,
    /// The bridge the person was on.
    from: Option<Bridge>,
    /// The bridge the person is on now.
    to: Option<Bridge>,
    /// The first bridge, when this act makes it.
    made: Option<Other>,
    /// A new PIN, in clear.
    pin: Option<String>,
    /// Whether the administrator reset it.
    pin_reset: bool,
    remarks: Vec<(String, String)>,
}

/// The bridges that an act looks at: the one the person is on, and the one it names.
pub(super) fn wants(acting: &Acting<'_>) -> Vec<Wanted> {
    sought(acting).into_iter().map(|name| Wanted::Named(ObjectKind::ConferencingBridge, name)).collect()
}

fn sought(acting: &Acting<'_>) -> Vec<String> {
    let current = acting.before.and_then(|before| before.document.get("bridgeId")).and_then(Value::as_str).map(str::to_owned);
    let named = text(acting, "bridgeId").or_else(|| text(acting, "bridgeName")).map(str::to_owned);
    let unless = current.is_none().then(|| bridge::DEFAULT.to_owned());
    current.into_iter().chain(named.or(unless)).collect()
}

/// What an act on a person comes to.
pub(super) fn act(acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
    let before: Document = acting.before.map(kept).transpose()?.unwrap_or_default();
    check_mail(acting)?;
    let from = match before.bridge_id {
        Some(_) => acting.found.first().and_then(|found| found.first()).map(Bridge::of).transpose()?,
        None => None,
    };
    let to = from.clone();
    let step = Step { after: before.clone(), before, from, to, made: None, pin: None, pin_reset: false, remarks: Vec::new() };
    match acting.act {
        "enable" => enable(acting, tools, step),
        "change" => change(acting, tools, step),
        "disable" => {
            let mut step = step;
            step.after = Document::default();
            step.to = None;
            Ok(Ruling { keeping: None, ..ruled(acting, step) })
        }
        "send-info" if step.before.is_on() => Ok(ruled(acting, step)),
        "send-info" => Err(without(acting, &step.before)),
        other => Err(Refusal::not_found("act", other)),
    }
}

/// What is said about the mail of an act goes together.
fn check_mail(acting: &Acting<'_>) -> Result<(), Refusal> {
    let given = |name: &str| text(acting, name).is_some_and(|text| !text.is_empty());
    let names = ["sendEmailToAddress", "sendEmailFromAddress", "sendEmailFromDisplayName"];
    if let Some(name) = names.iter().find(|name| given(name) && flag(acting, "sendEmail") != Some(true)) {
        return Err(Refusal::field(*name, "needs sendEmail; add it, or leave this out"));
    }
    for (one, other) in [(names[1], names[2]), (names[2], names[1])] {
        if given(one) && !given(other) {
            return Err(Refusal::field(other, format!("is missing: {one} and {other} are given together or not at all")));
        }
    }
    Ok(())
}

/// That the person has no conferencing, and what to do.
fn without(acting: &Acting<'_>, before: &Document) -> Refusal {
    let who = acting.person.map_or("the person", |person| person.upn.as_str());
    let (code, detail) = if before.is_elsewhere() {
        ("third_party_provider", format!("the provider of {who} is {}; enable them with replaceProvider first", before.provider))
    } else {
        ("no_license", format!("{who} has no conferencing licence; enable them first"))
    };
    Refusal::new(RefusalKind::Conflict, code, detail)
}

fn enable(acting: &Acting<'_>, tools: &mut dyn Tools, mut step: Step) -> Result<Ruling, Refusal> {
    if step.before.is_on() {
        step.remarks.push((
            "Conferencing is on already; nothing was changed.".to_owned(),
            "L’audioconférence est déjà activée ; rien n’a changé.".to_owned(),
        ));
        return Ok(Ruling { keeping: Some(step.before.kept(acting.id)), remarks: step.remarks, ..Ruling::default() });
    }
    let replace = flag(acting, "replaceProvider") == Some(true) || acting.settings.switch(settings::REPLACE_PROVIDER);
    if step.before.is_elsewhere() && !replace {
        return Err(without(acting, &step.before));
    }
    if !settings::on(acting.settings) {
        let detail = format!("{} is Disabled: nobody can be enabled; set it to Enabled first", settings::STATUS);
        return Err(Refusal::new(RefusalKind::Conflict, "conferencing_disabled", detail));
    }
    begin(acting, tools, &mut step)?;
    Ok(ruled(acting, step))
}

/// Gives a person conferencing: a bridge, a number, a conference ID and a PIN.
fn begin(acting: &Acting<'_>, tools: &mut dyn Tools, step: &mut Step) -> Result<(), Refusal> {
    step.after = Document {
        licensed: true,
        provider: OWN.to_owned(),
        allow_pstn_only_meetings: acting.settings.switch(settings::PSTN_ONLY),
        ..Document::default()
    };
    place(acting, tools, step)?;
    step.after.conference_id = Some(wanted_conference_id(acting)?.unwrap_or_else(|| pin::conference_id(tools)));
    new_pin(acting, tools, step)
}

fn change(acting: &Acting<'_>, tools: &mut dyn Tools, mut step: Step) -> Result<Ruling, Refusal> {
    let provider = text(acting, "provider").map(provider);
    match provider {
        Some(provider) if provider != OWN => {
            let details = ["bridgeId", "bridgeName", "serviceNumber", "tollFreeServiceNumber", "conferenceId"];
            let resets = ["resetConferenceId", "resetLeaderPin"];
            if !step.before.is_on()
                && (details.iter().any(|d| text(acting, d).is_some()) || resets.iter().any(|r| flag(acting, r) == Some(true)))
            {
                return Err(without(acting, &step.before));
            }
            step.after = Document { licensed: step.before.licensed, provider, ..Document::default() };
            step.to = None;
        }
        Some(_) if !step.before.is_on() && step.before.licensed => begin(acting, tools, &mut step)?,
        _ if !step.before.is_on() => return Err(without(acting, &step.before)),
        _ => {
            place(acting, tools, &mut step)?;
            let reset = flag(acting, "resetConferenceId") == Some(true);
            if let Some(id) = wanted_conference_id(acting)? {
                step.after.conference_id = Some(id);
            } else if reset {
                step.after.conference_id = Some(another_conference_id(tools, step.before.conference_id.as_deref()));
            }
            if flag(acting, "resetLeaderPin") == Some(true) {
                step.pin_reset = true;
                new_pin(acting, tools, &mut step)?;
            }
        }
    }
    Ok(ruled(acting, step))
}

fn provider(said: &str) -> String {
    match said {
        own if OWN_TOO.iter().any(|name| own.eq_ignore_ascii_case(name)) => OWN.to_owned(),
        none if none.is_empty() || none.eq_ignore_ascii_case(NONE) => NONE.to_owned(),
        other => other.to_owned(),
    }
}

/// The conference ID that was given.
fn wanted_conference_id(acting: &Acting<'_>) -> Result<Option<String>, Refusal> {
    let Some(id) = text(acting, "conferenceId") else { return Ok(None) };
    if flag(acting, "resetConferenceId") == Some(true) {
        return Err(Refusal::field("conferenceId", "is given together with resetConferenceId; give one of them"));
    }
    if !pin::is_conference_id(id) {
        let digits = pin::CONFERENCE_ID_DIGITS;
        return Err(Refusal::field("conferenceId", format!("takes {digits} digits of which the first is not 0, not {id:?}")));
    }
    Ok(Some(id.to_owned()))
}

/// The old conference ID is dead at once, so the new one is never the same.
fn another_conference_id(tools: &mut dyn Tools, old: Option<&str>) -> String {
    let new = pin::conference_id(tools);
    if old == Some(new.as_str()) { pin::conference_id(tools) } else { new }
}

fn new_pin(acting: &Acting<'_>, tools: &mut dyn Tools, step: &mut Step) -> Result<(), Refusal> {
    let length = usize::try_from(acting.settings.number(settings::PIN_LENGTH)).unwrap_or_default().clamp(4, 12);
    let phones = acting.person.map(|person| person.phones.as_slice()).unwrap_or_default();
    let digits = pin::new(tools, length, phones, step.after.conference_id.as_deref().unwrap_or_default())?;
    step.after.pin_hash = Some(tools.keep(&digits));
    step.pin = Some(digits);
    Ok(())
}

/// Puts a person on a bridge, with the numbers that were chosen there or its default.
fn place(acting: &Acting<'_>, tools: &mut dyn Tools, step: &mut Step) -> Result<(), Refusal> {
    let named = ["bridgeId", "bridgeName"].into_iter().find(|name| text(acting, name).is_some());
    if named.is_some() || step.from.is_none() {
        let found = acting.found.last().and_then(|found| found.first());
        step.to = match (found, named) {
            (Some(found), _) => Some(Bridge::of(found)?),
            (None, Some(field)) if !text(acting, field).is_some_and(|name| name.eq_ignore_ascii_case(bridge::DEFAULT)) => {
                return Err(no_bridge(acting, field));
            }
            (None, _) => Some(first_bridge(tools, step)),
        };
    }
    let bridge = step.to.clone().expect("a bridge was found or made above");
    if let Some(name) = text(acting, "bridgeName").filter(|name| !name.eq_ignore_ascii_case(&bridge.name)) {
        // With an id beside it both have to mean the same bridge; without one the name may have been an id.
        if text(acting, "bridgeId").is_some() || Uuid::parse_str(name).ok() != Some(bridge.id) {
            return Err(Refusal::field("bridgeName", format!("{name:?} is not the bridge of bridgeId; give one of them")));
        }
    }
    let moved = step.before.bridge_id != Some(bridge.id);
    if moved && step.from.as_ref().is_some_and(Bridge::has_adapter) && bridge.has_adapter() {
        let detail = "both bridges have an adapter, and one act is confirmed by one bridge; disable the person, then enable them there";
        return Err(Refusal::new(RefusalKind::Conflict, "two_adapters", detail));
    }
    if moved {
        step.after.bridge_id = Some(bridge.id);
        step.after.bridge_name = Some(bridge.name.clone());
        step.after.service_number = bridge.default_number().map(str::to_owned);
        step.after.toll_free_service_number = None;
    }
    if let Some(number) = chosen(acting, &bridge, "serviceNumber")? {
        step.after.service_number = Some(number);
    }
    if let Some(number) = chosen(acting, &bridge, "tollFreeServiceNumber")? {
        step.after.toll_free_service_number = Some(number);
    }
    step.after.allow_pstn_only_meetings = flag(acting, "allowPstnOnlyMeetings").unwrap_or(step.after.allow_pstn_only_meetings);
    step.after.allow_toll_free_dial_in = flag(acting, "allowTollFreeDialIn").unwrap_or(step.after.allow_toll_free_dial_in);
    Ok(())
}

fn no_bridge(acting: &Acting<'_>, field: &str) -> Refusal {
    Refusal::field(
        field,
        format!("there is no conferencing bridge {:?}; give the id or the name of one", text(acting, field).unwrap_or_default()),
    )
}

fn first_bridge(tools: &mut dyn Tools, step: &mut Step) -> Bridge {
    let id = tools.id();
    let (bridge, keeping) = Bridge::first(id);
    step.made = Some(Other { kind: ObjectKind::ConferencingBridge, id, new: true, keeping });
    bridge
}

/// A number that was given, when it is on the bridge.
fn chosen(acting: &Acting<'_>, bridge: &Bridge, field: &str) -> Result<Option<String>, Refusal> {
    let Some(number) = text(acting, field) else { return Ok(None) };
    let toll_free = field == "tollFreeServiceNumber";
    match bridge.number(number) {
        Some(known) if known.toll_free || !toll_free => Ok(Some(known.number.clone())),
        Some(_) => Err(Refusal::field(field, format!("{number} is on the bridge {:?}, but not toll-free", bridge.name))),
        None => Err(Refusal::field(
            field,
            format!("{number} is not a number of the person's bridge {:?}; choose one of its serviceNumbers", bridge.name),
        )),
    }
}

/// The number that a person's mails name: their own as long as the bridge has it, else the bridge's.
fn number(document: &Document, bridge: Option<&Bridge>) -> Option<String> {
    let bridge = bridge?;
    let own = document.service_number.as_deref().and_then(|own| bridge.number(own)).map(|known| known.number.as_str());
    own.or(bridge.default_number()).map(str::to_owned)
}

/// Everything that follows from what changed.
fn ruled(acting: &Acting<'_>, mut step: Step) -> Ruling {
    let (old_number, new_number) = (number(&step.before, step.from.as_ref()), number(&step.after, step.to.as_ref()));
    let new_id = step.before.conference_id != step.after.conference_id;
    let change = Change {
        before: step.before.is_on(),
        after: step.after.is_on(),
        pin_reset: step.pin_reset,
        details: step.before.is_on() && step.after.is_on() && (new_id || old_number != new_number),
    };
    let mail_to = text(acting, "sendEmailToAddress").filter(|address| !address.is_empty());
    let by_hand = acting.act == "send-info" || flag(acting, "sendEmail") == Some(true);
    let automatic = acting.settings.switch(settings::AUTOMATIC_MAILS);
    let due = due::mail(change, Asked { mail: by_hand, address: mail_to.is_some() }, automatic);
    let reached = mail_to.is_some() || acting.person.is_some_and(|person| person.active && person.email.is_some());
    let mut ruling = Ruling::default();
    if let Some(due) = due {
        let carries = due.goes && due.with_pin() && reached;
        let mut data = facts(acting, change, &step.after, new_number.as_deref(), new_id);
        if by_hand && due.goes {
            data.insert(due::ASKED.to_owned(), true.into());
        }
        if !due.goes {
            data.insert(due::OFF.to_owned(), true.into());
        }
        ruling.audited.insert("mail".to_owned(), if due.goes && reached { due.kind.into() } else { Value::Null });
        ruling.happenings.push(Happening {
            kind: due.kind,
            person: whose(acting),
            data: data.into(),
            secret: step.pin.as_ref().filter(|_| carries).map(|pin| json!({ "pin": pin })),
            mail_to: mail_to.map(str::to_owned),
        });
        if due.goes && !reached {
            let (en, fr) = match acting.person {
                Some(person) if !person.active && person.email.is_some() => {
                    ("The person is inactive: no mail goes to them.", "La personne est inactive : aucun courriel ne lui est envoyé.")
                }
                _ => (
                    "The person has no mail address to which anything can go.",
                    "La personne n’a pas d’adresse de courriel à laquelle écrire.",
                ),
            };
            step.remarks.push((en.to_owned(), fr.to_owned()));
        }
        hand_over(&mut step, carries, &mut ruling);
    }
    ruling.errand = errand(acting, &step, new_number);
    ruling.others = step.made.into_iter().collect();
    ruling.keeping = Some(step.after.kept(acting.id));
    ruling.remarks.extend(step.remarks);
    ruling
}

/// A new PIN that no mail carries is shown to the administrator, this once, and it is recorded that it has to be handed over.
fn hand_over(step: &mut Step, mailed: bool, ruling: &mut Ruling) {
    let Some(pin) = &step.pin else { return };
    step.after.pin_to_be_handed_over = !mailed;
    if mailed {
        return;
    }
    ruling.revealed.insert("pin".to_owned(), pin.as_str().into());
    ruling.audited.insert("pinToBeHandedOver".to_owned(), true.into());
    step.remarks.push((
        "No mail carries the new PIN. It is shown this once; hand it over to the person another way.".to_owned(),
        "Aucun courriel ne porte le nouveau code PIN. Il n’est affiché que cette fois ; remettez-le à la personne autrement.".to_owned(),
    ));
}

/// The settings of a person whose PIN did not arrive: somebody has to hand a new one over.
pub(super) fn undelivered(object: &Existing) -> Option<Keeping> {
    let document: Document = serde_json::from_value(object.document.clone()).ok()?;
    let person = Uuid::parse_str(&object.name).ok()?;
    document.is_on().then(|| Document { pin_to_be_handed_over: true, ..document }.kept(person))
}

/// What a mail may say openly.
fn facts(acting: &Acting<'_>, change: Change, after: &Document, number: Option<&str>, new_id: bool) -> Map<String, Value> {
    let mut facts = Map::new();
    if change.after {
        facts.insert("conferenceId".to_owned(), json!(after.conference_id));
        facts.insert("serviceNumber".to_owned(), json!(number));
        facts.insert("newConferenceId".to_owned(), (change.before && new_id).into());
        facts.insert("newDetails".to_owned(), change.details.into());
    }
    let given = |name: &str| text(acting, name).filter(|text| !text.is_empty()).map(str::to_owned);
    let sender = given("sendEmailFromDisplayName").zip(given("sendEmailFromAddress")).or_else(|| settings::sender(acting.settings));
    if let Some((name, address)) = sender {
        facts.insert("from".to_owned(), json!({ "name": name, "address": address }));
    }
    facts
}

/// Whose settings they are: they bear the person's id as their name, also when the person is gone.
fn whose(acting: &Acting<'_>) -> Uuid {
    let named = || acting.before.and_then(|before| Uuid::parse_str(&before.name).ok());
    acting.person.map(|person| person.id).or_else(named).unwrap_or(acting.id)
}

/// What the bridge has to confirm: the one that lost the person, or the one that has them now.
fn errand(acting: &Acting<'_>, step: &Step, number: Option<String>) -> Option<Errand> {
    let silent = |document: &Document| Document { pin_to_be_handed_over: false, ..document.clone() };
    if step.pin.is_none() && silent(&step.before) == silent(&step.after) {
        return None;
    }
    let id = |bridge: &Option<Bridge>| bridge.as_ref().map(|bridge| bridge.id);
    let lost = step.from.as_ref().filter(|from| from.has_adapter() && Some(from.id) != id(&step.to));
    let (bridge, ends) = match (lost, step.to.as_ref().filter(|to| to.has_adapter())) {
        (Some(lost), _) => (lost, true),
        (None, Some(to)) => (to, false),
        (None, None) => return None,
    };
    let moved = step.before.bridge_id != step.after.bridge_id;
    let change = match (ends, moved) {
        (true, _) => "ended",
        (false, true) => "began",
        (false, false) => "changed",
    };
    let mut data =
        json!({ "change": change, "user": whose(acting), "upn": acting.person.map(|person| &person.upn), "bridge": bridge.name });
    if ends || !moved {
        // What no longer holds: nothing, when it stays.
        let previous = step.before.conference_id.as_ref().filter(|before| ends || step.after.conference_id.as_ref() != Some(before));
        data["previousConferenceId"] = json!(previous);
    }
    if !ends {
        data["conferenceId"] = json!(step.after.conference_id);
        data["serviceNumber"] = json!(number);
        data["tollFreeServiceNumber"] = json!(step.after.toll_free_service_number);
        data["allowPstnOnlyMeetings"] = json!(step.after.allow_pstn_only_meetings);
        data["allowTollFreeDialIn"] = json!(step.after.allow_toll_free_dial_in);
    }
    let secret = step.pin.as_ref().filter(|_| !ends).map(|pin| json!({ "pin": pin }));
    Some(Errand { kind: ObjectKind::ConferencingBridge, at: bridge.id, data, secret })
}

/// A person's settings as they are shown: that there is a PIN, and nothing of it.
pub(super) fn shown(document: &Value) -> Value {
    let mut shown = document.clone();
    if let Some(fields) = shown.as_object_mut() {
        let pin = fields.remove(super::PIN_FIELD).filter(|hash| !hash.is_null());
        fields.insert("pin".to_owned(), pin.map_or(Value::Null, |_| MASKED.into()));
    }
    shown
}
