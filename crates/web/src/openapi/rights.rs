//! Components of rights: tokens, roles, role assignments, who is asking; and of alarms.

use super::components::{draft, name, page};
use super::shape::Needed::{No, Yes};
use super::shape::{Shape, count, flag, given, id, list, list_of, named, number, sent, text, text_of, time, words};
use model::roles::{Permission, Role};

macro_rules! all_words {
    ($kind:ty) => {
        words(<$kind>::ALL.iter().map(|word| word.word()).collect())
    };
}

pub(super) fn access() -> Vec<(&'static str, Shape)> {
    let scope_draft = sent(vec![("groups", list_of(text(), 100).about("Ids, external ids or unique names."), Yes)]);
    let draft = sent(vec![
        ("name", name().about("Shown as the sender of what is sent with it."), Yes),
        ("role", text().or_null().about("A built-in role's word, or the id or name of one's own; left out of a person's token."), No),
        ("user", text().or_null().about("The person to whom the token belongs: it may what their role assignments say."), No),
        ("scope", named("NewScope").or_null().about("Left out: the whole organization."), No),
        ("expiresIn", text().or_null().about("A span such as 90d; left out: it does not end by itself."), No),
    ]);
    let scope = || named("Scope").or_null().about("null: the whole organization.");
    // What is said of a token when it is made and when it is listed.
    let token_with = |more: Vec<(&'static str, Shape, _)>| {
        let mut fields = vec![
            ("id", id(), Yes),
            ("name", text(), Yes),
            ("role", text().or_null().about("A built-in role's word or the name of one's own; null for a person's token."), Yes),
            ("scope", scope(), Yes),
            ("user", named("NameOnly").or_null().about("For a person's token: the person."), Yes),
        ];
        fields.extend(more);
        given(fields)
    };
    let created = token_with(vec![
        ("token", text().about("The secret, shown once; left out of a repeated answer."), No),
        ("expiresAt", time().or_null(), Yes),
    ]);
    let token = token_with(vec![("createdAt", time(), Yes), ("expiresAt", time().or_null(), Yes), ("revokedAt", time().or_null(), Yes)]);
    let me = given(vec![
        ("name", text(), Yes),
        ("role", all_words!(Role).or_null().about("The built-in role, when it is exactly one; null for a device."), Yes),
        ("permissions", list(all_words!(Permission)).about("Everything that may be done, somewhere."), Yes),
        ("scope", scope().about("Where, when it is one place; null: the whole organization, or see grants."), Yes),
        ("grants", list(named("Grant")).about("What may be done where: a permission holds in the scopes of the grants that name it."), Yes),
        ("deviceId", id().or_null(), Yes),
        ("userId", id().or_null(), Yes),
    ]);
    let alarm = given(vec![
        ("code", text(), Yes),
        ("detail", text().about("The cause and the mend."), Yes),
        ("raisedAt", time(), Yes),
        ("lastAt", time(), Yes),
        ("count", count(), Yes),
        ("clearedAt", time().or_null(), Yes),
    ]);
    vec![
        ("NewToken", draft),
        ("NewScope", scope_draft),
        ("Scope", given(vec![("groups", list(named("NameOnly")), Yes)])),
        ("CreatedToken", created),
        ("Token", token),
        ("TokenPage", page("Token")),
        ("Grant", given(vec![("permissions", list(all_words!(Permission)), Yes), ("scope", scope(), Yes)])),
        ("Me", me),
        ("Alarm", alarm),
        ("AlarmPage", page("Alarm")),
    ]
}

pub(super) fn roles() -> Vec<(&'static str, Shape)> {
    let role = given(vec![
        ("id", text().about("A built-in role's word, or the id of one's own."), Yes),
        ("name", text(), Yes),
        ("description", text(), Yes),
        ("builtIn", flag().about("Built-in roles cannot be changed."), Yes),
        ("permissions", list(all_words!(Permission)), Yes),
        ("version", number().about("Also the ETag."), Yes),
    ]);
    let fields = || {
        vec![
            ("name", name().about("Unique; not the word of a built-in role.")),
            ("description", text_of(0, 1024).or_null()),
            ("permissions", list(all_words!(Permission)).about("At least one.")),
        ]
    };
    let held = given(vec![
        ("id", id(), Yes),
        ("name", text(), Yes),
        ("role", text().about("A built-in role's word, or the name of one's own."), Yes),
        ("roleId", text().about("A built-in role's word, or the id of one's own."), Yes),
        ("users", list(named("NameOnly")), Yes),
        ("groups", list(named("NameOnly")), Yes),
        ("scope", named("Scope").or_null().about("null: the whole organization."), Yes),
        ("expiresAt", time().or_null(), Yes),
        ("version", number().about("Also the ETag."), Yes),
    ]);
    let holding = || {
        vec![
            ("name", name().about("Unique among role assignments.")),
            ("role", text().about("A built-in role's word, or the id or name of one's own.")),
            ("users", list_of(text(), 100).or_null().about("People who hold it: ids, external ids or UPNs.")),
            ("groups", list_of(text(), 100).or_null().about("Groups whose people hold it, nested groups included.")),
            ("scope", named("NewScope").or_null().about("Left out: the whole organization.")),
            ("expiresIn", text().or_null().about("A span such as 8h from now; left out: it does not end by itself.")),
        ]
    };
    vec![
        ("Role", role),
        ("RolePage", page("Role")),
        ("NewRole", draft(&["name", "permissions"], true, fields())),
        ("RoleChange", draft(&[], false, fields())),
        ("RoleAssignment", held),
        ("RoleAssignmentPage", page("RoleAssignment")),
        ("NewRoleAssignment", draft(&["name", "role"], true, holding())),
        ("RoleAssignmentChange", draft(&[], false, holding())),
    ]
}
