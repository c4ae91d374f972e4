//! The components of the description: every object that is sent or received. Tests compare each with what the server
//! really answers.

use super::audit::audit;
use super::mails::mails;
use super::reports;
use super::rights;
use super::shape::Needed::{No, Yes};
use super::shape::{Needed, Shape, anything, count, flag, given, id, list, list_of, map, named, number, sent, text, text_of, time, words};
use model::decision::{Rule, Verdict};
use model::directory::{EnrolmentSource, Environment, MemberKind, NotificationPermission, Ownership, Platform, RegistrationState, Service};
use model::event::{AudienceMode, EventState};
use model::objects::ObjectDeclaration;
use model::roles::Permission;
use model::{ChannelKind, Reason, ReceiptKind, State, Urgency};

macro_rules! all_words {
    ($kind:ident) => {
        words($kind::ALL.iter().map(|v| v.word()).collect())
    };
}

/// Every component of a server whose sources declare these objects, by name.
pub fn all(declared: &[&'static ObjectDeclaration]) -> Vec<(&'static str, Shape)> {
    let parts = [
        shared(),
        users(),
        groups(),
        devices(),
        registrations(),
        notifications(),
        explanation(),
        settings(),
        mails(),
        crate::api::objects::components(declared),
        super::bulk_acts::bulk_acts(),
        rights::roles(),
        rights::access(),
        audit(),
        app(),
    ];
    parts.into_iter().flatten().collect()
}

pub(crate) fn page(of: &'static str) -> Shape {
    given(vec![("items", list(named(of)), Yes), ("nextCursor", text().or_null().about("Where to go on; null at the end."), Yes)])
}

pub(super) fn name() -> Shape {
    text_of(1, model::directory::NAME_CHARS)
}

fn shared() -> Vec<(&'static str, Shape)> {
    let fault = given(vec![
        ("field", text().about("The field as it was sent; for imports file:line:column."), Yes),
        ("message", text().about("The rule, and the mend."), Yes),
    ]);
    let limit = given(vec![
        ("name", text().about("The setting that holds the limit."), Yes),
        ("allowed", count(), Yes),
        ("windowSeconds", count(), Yes),
        ("retryAfterSeconds", count(), Yes),
    ]);
    let problem = given(vec![
        ("type", text().about("urn:carillon:problem: and the code."), Yes),
        ("title", text(), Yes),
        ("status", number(), Yes),
        ("detail", text().about("What is wrong and how to mend it."), Yes),
        ("code", text().about("A stable word for programs."), Yes),
        ("instance", text().about("The request's id, as in X-Request-Id."), No),
        ("errors", list(named("Fault")).about("Every field at fault."), No),
        ("faultCount", count().about("For imports: all bad cells, of which errors names the first thousand."), No),
        ("limit", named("Limit"), No),
        (
            "ids",
            list(id())
                .about("For a name that may mean several objects: their ids; for a limit on each device: the device that reached it."),
            No,
        ),
    ]);
    let named_view = given(vec![("id", id(), Yes), ("name", text(), Yes), ("externalId", text().or_null(), Yes)]);
    vec![
        ("Problem", problem),
        ("Fault", fault),
        ("Limit", limit),
        ("Named", named_view),
        ("AuditPage", page("AuditEntry")),
        ("NamedPage", page("Named")),
        ("NameOnly", given(vec![("id", id().or_null(), Yes), ("name", text(), Yes)])),
        ("ImportCount", given(["created", "updated", "unchanged", "removed"].map(|n| (n, count(), Yes)).to_vec())),
        ("ImportReport", import_report(Yes)),
        ("ImportOutcome", import_report(No)),
        (
            "ImportJob",
            given(vec![
                ("id", id(), Yes),
                ("state", words(vec!["running", "done", "failed"]), Yes),
                ("read", count().about("Rows read and checked."), Yes),
                ("total", count().about("Rows in all; 0 until they were counted."), Yes),
                ("written", count().about("Changes written."), Yes),
                ("toWrite", count().about("Changes to write."), Yes),
                ("report", named("ImportOutcome"), No),
                ("problem", named("Problem"), No),
            ]),
        ),
    ]
}

fn import_report(with_id: Needed) -> Shape {
    let mut fields = if with_id == Yes { vec![("id", id(), Yes)] } else { vec![] };
    fields.extend([("dryRun", flag(), Yes), ("applied", flag().about("Whether the directory changed."), Yes)]);
    fields.extend(["users", "groups", "members", "devices", "registrations"].map(|kind| (kind, named("ImportCount"), Yes)));
    fields.extend([
        ("faults", list(named("Fault")), Yes),
        ("faultCount", count(), Yes),
        ("removals", list(text()).about("What a replace removes, by name; the first hundred of each kind."), Yes),
    ]);
    given(fields)
}

/// What is sent about an object, new or changed: the same fields, some of them needed for a new one.
pub(super) fn draft(needed: &[&str], is_new: bool, fields: Vec<(&'static str, Shape)>) -> Shape {
    let need = |field: &str| if is_new && needed.contains(&field) { Yes } else { No };
    sent(fields.into_iter().map(|(field, shape)| (field, shape, need(field))).collect())
}

fn users() -> Vec<(&'static str, Shape)> {
    let fields = || {
        vec![
            ("externalId", name().or_null().about("The id of an outside directory; unique.")),
            ("upn", name().about("User principal name; unique, compared without case.").example("ada@example.org")),
            ("displayName", name().example("Ada Lovelace")),
            ("email", text().or_null().example("ada@example.org")),
            ("locale", text().or_null().about("Language tag; en unless said.").example("fr-FR")),
            ("timezone", text().or_null().about("IANA time zone; UTC unless said.").example("Europe/Paris")),
            ("licenses", list_of(name(), model::directory::LIST_LENGTH).or_null()),
            ("managerUpn", text().or_null().about("The manager: UPN, id or external id.")),
            ("phones", list_of(text().example("+33155501234"), model::directory::LIST_LENGTH).or_null().about("Numbers in E.164.")),
            ("active", flag().about("True unless said.")),
            ("quietHours", text().or_null().about("The user's own quiet hours, in their time zone.").example("22:00-07:00")),
        ]
    };
    let user = given(vec![
        ("id", id(), Yes),
        ("externalId", text().or_null(), Yes),
        ("upn", text().example("ada@example.org"), Yes),
        ("displayName", text().example("Ada Lovelace"), Yes),
        ("email", text().or_null(), Yes),
        ("locale", text().example("en"), Yes),
        ("timezone", text().example("Europe/Paris"), Yes),
        ("licenses", list(text()), Yes),
        ("managerUpn", text().or_null(), Yes),
        ("phones", list(text()), Yes),
        ("active", flag(), Yes),
        ("quietHours", text().or_null().example("22:00-07:00"), Yes),
        ("version", number().about("Grows with each change; the ETag."), Yes),
    ]);
    let code = given(vec![
        ("code", text().about("Shown once; left out of a repeated answer.").example("7KQM-2WXA-9RTC"), No),
        ("expiresAt", time(), Yes),
        ("userId", id(), Yes),
    ]);
    vec![
        ("User", user),
        ("UserPage", page("User")),
        ("NewUser", draft(&["upn", "displayName"], true, fields())),
        ("UserChange", draft(&[], false, fields())),
        ("EnrolmentCode", code),
    ]
}

fn groups() -> Vec<(&'static str, Shape)> {
    let fields = || {
        vec![
            ("externalId", name().or_null().about("The id of an outside directory; unique.")),
            ("name", name().about("Need not be unique; a unique name can be used instead of the id.").example("Sales")),
            ("description", text_of(0, 1_024).or_null()),
        ]
    };
    let group = given(vec![
        ("id", id(), Yes),
        ("externalId", text().or_null(), Yes),
        ("name", text().example("Sales"), Yes),
        ("description", text(), Yes),
        ("version", number().about("Grows with each change of the fields; the ETag."), Yes),
    ]);
    let member_draft =
        sent(vec![("memberType", all_words!(MemberKind), Yes), ("id", text().about("Id, external id, UPN or unique name."), Yes)]);
    vec![
        ("Group", group),
        ("GroupPage", page("Group")),
        ("NewGroup", draft(&["name"], true, fields())),
        ("GroupChange", draft(&[], false, fields())),
        ("Member", given(vec![("memberType", all_words!(MemberKind), Yes), ("id", id(), Yes), ("name", text(), Yes)])),
        ("MemberPage", page("Member")),
        ("MemberName", member_draft),
        ("MembersChange", sent(vec![("add", list(named("MemberName")), No), ("remove", list(named("MemberName")), No)])),
        ("MembersChanged", given(vec![("added", count(), Yes), ("removed", count(), Yes)])),
    ]
}

fn devices() -> Vec<(&'static str, Shape)> {
    let fields = || {
        vec![
            ("externalId", name().or_null().about("The id of an outside directory; unique.")),
            ("name", name().example("Ada's iPhone")),
            ("ownerUpn", text().or_null().about("The owner: UPN, id or external id. Or give ownerId.")),
            ("ownerId", text().or_null()),
            ("platform", all_words!(Platform)),
            ("ownership", all_words!(Ownership).about("personal unless said.")),
            ("enrolled", flag().about("False unless said.")),
            ("enrolledByUpn", text().or_null().about("Who enrolled it; the owner unless said.")),
            ("appInstalled", flag().about("False unless said.")),
            ("notificationPermission", all_words!(NotificationPermission).about("default unless said.")),
            ("playServices", flag().about("True unless said; matters for Android only.")),
            ("pushEnabled", flag().about("The user's own choice; true unless said.")),
        ]
    };
    let device = given(vec![
        ("id", id(), Yes),
        ("externalId", text().or_null(), Yes),
        ("name", text().example("Ada's iPhone"), Yes),
        ("ownerId", id().or_null(), Yes),
        ("ownerUpn", text().or_null(), Yes),
        ("platform", all_words!(Platform), Yes),
        ("ownership", all_words!(Ownership), Yes),
        ("enrolled", flag(), Yes),
        ("enrolledByUpn", text().or_null(), Yes),
        ("enrolledSource", all_words!(EnrolmentSource).or_null(), Yes),
        ("enrolledAt", time().or_null(), Yes),
        ("appInstalled", flag(), Yes),
        ("notificationPermission", all_words!(NotificationPermission), Yes),
        ("playServices", flag(), Yes),
        ("pushEnabled", flag(), Yes),
        ("lastSeen", time().or_null().about("When its app last spoke to Carillon, to the minute."), Yes),
        ("version", number().about("Grows with each change; the ETag."), Yes),
    ]);
    vec![
        ("Device", device),
        ("DevicePage", page("Device")),
        ("NewDevice", draft(&["name", "platform"], true, fields())),
        ("DeviceChange", draft(&[], false, fields())),
    ]
}

fn registrations() -> Vec<(&'static str, Shape)> {
    let draft = sent(vec![
        ("service", all_words!(Service), Yes),
        ("app", text().or_null().about("APNs topic or package name; the configured one unless said.").example("org.example.app"), No),
        ("environment", all_words!(Environment).about("production unless said."), No),
        ("token", text().or_null().about("APNs: hexadecimal; FCM: as issued."), No),
        ("endpoint", text().or_null().about("Web Push subscription, or WNS channel URL; HTTPS."), No),
        ("p256dh", text().or_null().about("Web Push: the browser's public key, base64url."), No),
        ("auth", text().or_null().about("Web Push: the browser's auth secret, base64url; never shown again."), No),
    ]);
    let registration = given(vec![
        ("id", id(), Yes),
        ("service", all_words!(Service), Yes),
        ("app", text(), Yes),
        ("environment", all_words!(Environment), Yes),
        ("token", text().or_null().about("By its first eight characters.").example("0aff0011…"), Yes),
        ("endpoint", text().or_null().about("By its origin and a few characters."), Yes),
        ("p256dh", text().or_null(), Yes),
        ("state", all_words!(RegistrationState), Yes),
        ("retiredCode", text().or_null().about("Why it is not used any more, in the push service's words."), Yes),
        ("registeredAt", time(), Yes),
    ]);
    vec![("Registration", registration), ("RegistrationPage", page("Registration")), ("NewRegistration", draft)]
}

fn notifications() -> Vec<(&'static str, Shape)> {
    let names = |what: &str| list(text()).about(format!("{what}: ids, external ids or unique names."));
    let draft = |texts: Needed| {
        sent(vec![
            ("title", text_of(1, model::text::TITLE_CHARS).example("Fire drill"), texts),
            ("body", text_of(1, model::text::BODY_CHARS).example("At ten. Please use the stairs."), texts),
            ("groups", names("Groups"), No),
            ("users", list(text()).about("People: ids, external ids or UPNs."), No),
            ("devices", names("Devices"), No),
            ("urgency", all_words!(Urgency).or_null().about("normal unless said; high passes quiet hours."), No),
            ("at", text().or_null().about("When to begin, RFC 3339; at once unless said."), No),
            ("expiresIn", text().or_null().about("How long it is worth telling; three days unless said.").example("2h"), No),
            ("expiresAt", text().or_null().about("Until when, RFC 3339; or expiresIn."), No),
            ("private", flag().about("The push carries no content and the app fetches it."), No),
            ("audience", all_words!(AudienceMode).or_null().about("frozen unless said; live looks at membership at each attempt."), No),
        ])
    };
    vec![
        ("NewNotification", draft(Yes)),
        ("ReachRequest", draft(No)),
        ("Resend", sent(vec![("only", words(vec!["failed", "unopened"]).or_null(), No)])),
        ("Addressed", given(["groups", "users", "devices"].map(|kind| (kind, list(named("NameOnly")), Yes)).to_vec())),
        ("Counts", given(COUNTS.map(|n| (n, count(), Yes)).to_vec())),
        ("Notification", notification()),
        ("NotificationPage", page("Notification")),
        ("Report", reports::report()),
        ("Forecast", reports::forecast()),
        ("Difference", reports::line(false)),
        ("ReportLine", reports::line(true)),
        ("Delivery", delivery()),
        ("DeliveryPage", page("Delivery")),
        ("Reach", reach()),
        ("ReachItem", reach_item()),
    ]
}

pub(super) const COUNTS: [&str; 15] = [
    "recipients",
    "planned",
    "deliveries",
    "scheduled",
    "held",
    "accepted",
    "suppressed",
    "rejected",
    "gone",
    "expired",
    "cancelled",
    "received",
    "shown",
    "opened",
    "dismissed",
];

fn notification() -> Shape {
    given(vec![
        ("id", id(), Yes),
        ("eventId", id(), Yes),
        ("kind", text().example("custom.notification"), Yes),
        ("title", text().or_null().about("null once erased, or for callers who may not read it."), Yes),
        ("body", text().or_null(), Yes),
        ("private", flag(), Yes),
        ("urgency", all_words!(Urgency), Yes),
        ("audienceMode", all_words!(AudienceMode), Yes),
        ("createdAt", time(), Yes),
        ("dueAt", time(), Yes),
        ("expiresAt", time(), Yes),
        ("state", all_words!(EventState), Yes),
        ("sender", text(), Yes),
        ("addressed", named("Addressed"), Yes),
        ("resendOf", id().or_null(), Yes),
        ("counts", named("Counts"), Yes),
        ("doneAt", time().or_null(), Yes),
        ("warnings", list(text()).about("What the author should know."), Yes),
    ])
}

fn delivery() -> Shape {
    given(vec![
        ("id", id().about("The id under which it travels: apns-id, Message-ID."), Yes),
        ("userId", id().or_null(), Yes),
        ("upn", text().or_null(), Yes),
        ("channel", all_words!(ChannelKind), Yes),
        ("deviceId", id().or_null(), Yes),
        ("deviceName", text().or_null(), Yes),
        ("state", all_words!(State), Yes),
        ("reasonCode", all_words!(Reason).or_null(), Yes),
        ("attempts", count(), Yes),
        ("due", time().or_null(), Yes),
    ])
}

fn reach() -> Shape {
    let channel = given(vec![("people", count(), Yes), ("deliveries", count(), Yes)]);
    let reason = given(vec![("people", count(), Yes), ("rows", count(), Yes)]);
    given(vec![
        ("people", count().about("In the audience."), Yes),
        ("devices", count().about("That get a push."), Yes),
        ("byChannel", map(channel), Yes),
        ("byReason", map(reason), Yes),
        ("inboxOnly", count().about("People who have it in the inbox and nowhere else."), Yes),
        ("unreachable", count().about("People whom nothing reaches."), Yes),
        ("items", list(named("ReachItem")).about("With list."), No),
        ("nextCursor", text().or_null(), No),
    ])
}

fn reach_item() -> Shape {
    given(vec![
        ("userId", id(), Yes),
        ("upn", text(), Yes),
        ("displayName", text(), Yes),
        ("deviceId", id().or_null(), Yes),
        ("deviceName", text().or_null(), Yes),
        ("channel", all_words!(ChannelKind), Yes),
        ("reasonCode", all_words!(Reason).or_null(), Yes),
    ])
}

fn explanation() -> Vec<(&'static str, Shape)> {
    let event = given(vec![
        ("id", id(), Yes),
        ("kind", text(), Yes),
        ("createdAt", time(), Yes),
        ("dueAt", time(), Yes),
        ("expiresAt", time(), Yes),
        ("state", all_words!(EventState), Yes),
        ("title", text().or_null(), Yes),
    ]);
    let person = given(vec![("id", id(), Yes), ("upn", text(), Yes), ("displayName", text(), Yes), ("active", flag(), Yes)]);
    let device = given(vec![("id", id(), Yes), ("name", text(), Yes), ("platform", all_words!(Platform), Yes)]);
    let said = || {
        vec![
            ("rule", all_words!(Rule), Yes),
            ("verdict", all_words!(Verdict), Yes),
            ("reasonCode", all_words!(Reason).or_null(), Yes),
            ("reason", text().about("A sentence in the caller's language."), Yes),
        ]
    };
    let attempt = given(vec![
        ("number", count(), Yes),
        ("at", time(), Yes),
        ("outcome", text(), Yes),
        ("code", text().about("The provider's own word; empty for accepted."), Yes),
        ("status", count(), Yes),
    ]);
    let fate = given(vec![
        ("id", id().or_null(), Yes),
        ("state", all_words!(State), Yes),
        ("reasonCode", all_words!(Reason).or_null(), Yes),
        ("due", time().or_null(), Yes),
        ("attempts", list(named("Attempt")), Yes),
        ("receipts", list(given(vec![("kind", all_words!(ReceiptKind), Yes), ("at", time(), Yes)])), Yes),
    ]);
    let mut decision = vec![
        ("channel", all_words!(ChannelKind).or_null().about("null for a person outside the audience."), Yes),
        ("device", named("DecisionDevice").or_null(), Yes),
        ("address", text().or_null().about("Masked."), Yes),
    ];
    decision.extend(said());
    decision.extend([
        ("others", list(named("OtherRule")).about("What the other rules say by themselves."), Yes),
        ("facts", list(text()).about("Names of the facts that hold."), Yes),
        ("policyVersion", number(), Yes),
        ("delivery", named("Fate"), No),
    ]);
    let why = given(vec![
        ("event", named("ExplainedEvent"), Yes),
        ("person", named("ExplainedPerson"), Yes),
        ("inAudience", flag(), Yes),
        ("decisions", list(named("Decision")), Yes),
        (
            "gaps",
            list(named("Gap")).about("Whiles around the event in which an integration heard nothing: what happened then is not known."),
            No,
        ),
    ]);
    let gap = given(vec![
        ("integration", text(), Yes),
        ("from", time(), Yes),
        ("until", time(), Yes),
        ("filled", named("Filled").about("What call records said of it; missing where none were read."), No),
    ]);
    let filled = given(vec![
        ("calls", number().about("Calls of which they say what became of them."), Yes),
        ("unknown", number().about("Calls of which they do not say it."), Yes),
    ]);
    vec![
        ("Why", why),
        ("Gap", gap),
        ("Filled", filled),
        ("ExplainedEvent", event),
        ("ExplainedPerson", person),
        ("Decision", given(decision)),
        ("DecisionDevice", device),
        ("OtherRule", given(said())),
        ("Fate", fate),
        ("Attempt", attempt),
    ]
}

fn settings() -> Vec<(&'static str, Shape)> {
    let setting = given(vec![
        ("key", text().example("push.apns.enabled"), Yes),
        ("value", anything(), Yes),
        ("default", anything(), Yes),
        ("type", words(vec!["switch", "number", "choice", "dailySpan", "text", "mail", "colour"]), Yes),
        ("least", number().about("Of a number."), No),
        ("most", number().about("Of a number."), No),
        ("choices", list(text()).about("Of a choice."), No),
        ("help", text(), Yes),
        ("permission", all_words!(Permission).about("Who may change it."), Yes),
        ("version", number().about("Of all settings together; the ETag."), Yes),
    ]);
    vec![
        ("Setting", setting),
        ("SettingPage", page("Setting")),
        (
            "SettingsChange",
            sent(vec![("values", map(anything()).about("Values by the names of settings: 1 to 200; null for the default."), Yes)]),
        ),
        ("SettingChange", sent(vec![("value", anything().about("As the setting's type says.").example(false), Yes)])),
    ]
}

fn app() -> Vec<(&'static str, Shape)> {
    let enrolment = sent(vec![
        ("code", text().about("As it was given; case and dashes do not matter.").example("7KQM-2WXA-9RTC"), Yes),
        ("name", name().about("What the device is called."), Yes),
        ("platform", all_words!(Platform), Yes),
        ("ownership", all_words!(Ownership), No),
        ("notificationPermission", all_words!(NotificationPermission), No),
        ("playServices", flag(), No),
    ]);
    let enrolled = given(vec![
        ("deviceId", id(), Yes),
        ("token", text().about("The device's token, shown once; left out of a repeated answer."), No),
        ("userId", id(), Yes),
        ("displayName", text(), Yes),
    ]);
    let item = given(vec![
        ("seq", number().about("Its place in the order; the id in streams."), Yes),
        ("eventId", id(), Yes),
        ("kind", text(), Yes),
        ("title", text().or_null(), Yes),
        ("body", text().or_null(), Yes),
        ("private", flag(), Yes),
        ("urgency", all_words!(Urgency), Yes),
        ("sentAt", time(), Yes),
        ("expiresAt", time(), Yes),
        ("openedAt", time().or_null(), Yes),
        ("dismissedAt", time().or_null(), Yes),
    ]);
    let receipt = sent(vec![("eventId", id(), Yes), ("kind", all_words!(ReceiptKind), Yes)]);
    let preferences = |permission: Shape, needed: Needed| {
        vec![
            ("pushEnabled", flag(), needed),
            ("quietHours", text().or_null().about("The user's own, on all their devices.").example("22:00-07:00"), needed),
            ("notificationPermission", permission, needed),
        ]
    };
    vec![
        ("Enrolment", enrolment),
        ("Enrolled", enrolled),
        ("InboxItem", item),
        ("InboxPage", page("InboxItem")),
        ("Receipt", receipt),
        ("Receipts", sent(vec![("receipts", list_of(named("Receipt"), 500), Yes)])),
        ("ReceiptsTaken", given(vec![("accepted", count(), Yes), ("repeated", count(), Yes)])),
        ("WebPushKey", given(vec![("publicKey", text_of(87, 87).about("Base64url without padding."), Yes)])),
        ("Preferences", given(preferences(all_words!(NotificationPermission), Yes))),
        ("PreferencesChange", sent(preferences(all_words!(NotificationPermission), No))),
    ]
}
