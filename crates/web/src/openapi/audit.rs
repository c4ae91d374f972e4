//! Components of the audit and of everything about one person.

use super::shape::Needed::{No, Yes};
use super::shape::{Shape, anything, count, given, id, list, map, named, number, sent, text, time, words};
use model::{ChannelKind, Reason, ReceiptKind, State};

pub(super) fn audit() -> Vec<(&'static str, Shape)> {
    vec![
        ("AuditEntry", entry()),
        ("AuditHead", head()),
        ("PersonalData", personal_data()),
        ("PersonalDevice", anything().about("A Device, with the list `registrations`.")),
        ("PersonalNotification", notification()),
        ("Erasure", sent(vec![("confirm", text().about("The user's UPN, typed again.").example("ada@example.org"), Yes)])),
        (
            "Erased",
            given(vec![
                ("devices", count().about("Devices, with registrations and tokens."), Yes),
                ("texts", count().about("Notifications to this user alone, whose text is gone."), Yes),
                ("deliveries", count().about("Deliveries that led to a device of the user."), Yes),
                ("auditEntries", count().about("Audit entries that lead to nobody now."), Yes),
            ]),
        ),
    ]
}

fn entry() -> Shape {
    let actor = given(vec![
        ("kind", words(vec!["token", "person", "device", "code", "server"]), Yes),
        ("id", id().about("The token or the device."), No),
        ("name", text().about("The token's name."), No),
        ("person", text().or_null().about("The person's pseudonym."), No),
    ]);
    let object = given(vec![("kind", text(), Yes), ("id", text().or_null().about("For a user the pseudonym."), Yes)]);
    given(vec![
        ("sequence", number().about("Its place, from 1, without holes."), Yes),
        ("at", time(), Yes),
        ("tenant", id(), Yes),
        ("actor", actor, Yes),
        ("operation", text().about("A stable word; for a refusal the operationId.").example("user.update"), Yes),
        ("object", object, No),
        ("people", list(text()).about("Pseudonyms of other people whom it concerns."), No),
        ("scope", anything().about("`organization`, or the ids of the groups within which the actor may act."), Yes),
        ("outcome", text().about("`done`, or the code of the refusal.").example("done"), Yes),
        ("changes", map(anything()).about("By field `[before, after]`, a number, or the word `changed`."), No),
        ("previous", text().about("The hash of the entry before; 64 zeros for the first."), Yes),
        ("hash", text().about("SHA-256 of the entry without this member, in hexadecimal."), Yes),
    ])
}

fn head() -> Shape {
    given(vec![
        ("tenant", id(), Yes),
        ("sequence", count().about("The last entry; 0 for none."), Yes),
        ("hash", text().about("Its hash."), Yes),
        ("at", time().about("When this was signed."), Yes),
        ("key", text().about("The public key (Ed25519), base64url."), Yes),
        ("signature", text().about("Base64url."), Yes),
    ])
}

fn personal_data() -> Shape {
    given(vec![
        ("at", time(), Yes),
        ("user", named("User"), Yes),
        ("groups", list(named("NameOnly")), Yes),
        ("devices", list(named("PersonalDevice")), Yes),
        ("notifications", list(named("PersonalNotification")).about("Newest first, as far as they are kept."), Yes),
        ("audit", list(named("AuditEntry")).about("Entries that name the user."), Yes),
        ("objects", map(anything()).about("What is kept for the person alone, such as a mailbox, by the path of its kind."), Yes),
        ("pseudonym", text().or_null().about("The name under which they do."), Yes),
    ])
}

fn notification() -> Shape {
    let delivery = given(vec![
        ("channel", words(ChannelKind::ALL.iter().map(|v| v.word()).collect()), Yes),
        ("state", words(State::ALL.iter().map(|v| v.word()).collect()), Yes),
        ("reasonCode", words(Reason::ALL.iter().map(|v| v.word()).collect()).or_null(), Yes),
        ("attempts", count(), Yes),
    ]);
    let receipt = given(vec![("kind", words(ReceiptKind::ALL.iter().map(|v| v.word()).collect()), Yes), ("at", time(), Yes)]);
    given(vec![
        ("id", id(), Yes),
        ("kind", text(), Yes),
        ("createdAt", time(), Yes),
        ("sender", text(), Yes),
        ("title", text().or_null().about("null once erased."), Yes),
        ("body", text().or_null(), Yes),
        ("deliveries", list(delivery), Yes),
        ("receipts", list(receipt), Yes),
    ])
}
