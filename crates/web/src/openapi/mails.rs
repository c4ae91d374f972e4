//! Components of mails: which there are, how one looks, and a test.

use super::shape::Needed::{No, Yes};
use super::shape::{Shape, flag, given, id, list, named, sent, text, words};
use model::Locale;
use model::roles::Permission;

fn locale() -> Shape {
    words(Locale::ALL.iter().map(|locale| locale.tag()).collect())
}

pub(super) fn mails() -> Vec<(&'static str, Shape)> {
    let kind = given(vec![
        ("kind", text().about("The event type.").example("conferencing.enabled"), Yes),
        ("source", text().about("Which source it is of."), Yes),
        ("mailOnly", flag().about("False: the same event is pushed and stands in the inbox, too."), Yes),
        ("permission", words(Permission::ALL.iter().map(|one| one.word()).collect()).about("What a test needs."), Yes),
    ]);
    let from = given(vec![("name", text(), Yes), ("address", text(), Yes)]);
    let preview = given(vec![
        ("kind", text(), Yes),
        ("locale", locale(), Yes),
        ("subject", text(), Yes),
        ("text", text().about("The plain part."), Yes),
        ("html", text().about("The HTML part: a whole document."), Yes),
        ("from", from.or_null().about("null: the organization's usual address."), Yes),
    ]);
    let draft = sent(vec![
        ("user", text().about("Who gets it: an id, an external id or a UPN.").example("ada@example.org"), Yes),
        ("locale", locale().or_null().about("Left out: the person's own language."), No),
    ]);
    let test = given(vec![
        ("id", id().about("The event; `why` explains what became of it."), Yes),
        ("kind", text(), Yes),
        ("userId", id(), Yes),
        ("locale", locale().or_null(), Yes),
        ("mail", text().about("goes, or the reason for which no mail goes."), Yes),
    ]);
    vec![
        ("MailKind", kind),
        ("MailKinds", given(vec![("items", list(named("MailKind")), Yes)])),
        ("MailPreview", preview),
        ("NewMailTest", draft),
        ("MailTest", test),
    ]
}
