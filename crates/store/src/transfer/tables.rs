//! What a store holds, table by table, in the order in which it is copied. The two engines have the same tables and
//! columns, so this one list carries a store from either to the other. A test compares it with both schemas.

/// What a column holds. Widths are PostgreSQL's; SQLite has one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Big,
    Whole,
    Small,
    Text,
    Bytes,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns of its key: rows are copied in this order.
    pub key: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
    /// Its key is given by a sequence of its own.
    pub counted: Option<&'static str>,
}

impl Table {
    /// The columns as a list.
    pub fn listed(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

use Kind::{Big, Bytes, Small, Text, Whole};

macro_rules! table {
    ($name:literal by $key:literal $(counted $counted:literal)?: $($column:ident $kind:ident),+) => {
        Table { name: $name, key: $key, columns: &[$((stringify!($column), $kind)),+], counted: table!(@ $($counted)?) }
    };
    (@) => { None };
    (@ $counted:literal) => { Some($counted) };
}

/// Every table that is part of a store.
pub(crate) const TABLES: &[Table] = &[
    table!("meta" by "tenant" counted "tenant": tenant Big, id Bytes, name Text, generation Big, importing Small, directory Big, inbox_seq Big,
        policy Big),
    table!("sequence" by "name": name Text, next Big),
    // Before the people, whose rows would make it again.
    table!("phone" by "tenant, number, person": tenant Big, number Text, person Big),
    table!("person" by "tenant, key, since": tenant Big, key Big, since Big, until Big, active Small, locale Text, email Text, quiet_hours Text,
        timezone Text, id Bytes, external_id Text, upn Text, display_name Text, licenses Text, manager Big, phones Text, version Big),
    table!("grp" by "tenant, key, since": tenant Big, key Big, since Big, until Big, id Bytes, external_id Text, name Text, description Text,
        version Big),
    table!("member" by "tenant, grp, kind, key, since": tenant Big, grp Big, kind Small, key Big, since Big, until Big),
    table!("device" by "tenant, owner, key, since": tenant Big, owner Big, key Big, since Big, until Big, platform Small, ownership Small,
        enrolled Small, enrolled_by Big, app_installed Small, permission Small, play_services Small, push_enabled Small,
        enrolled_source Small, enrolled_at Big, last_seen Big, id Bytes, external_id Text, name Text, version Big),
    table!("registration" by "tenant, owner, device, key, since": tenant Big, owner Big, device Big, key Big, since Big, until Big,
        service Small, state Small, version Big, registered_at Big, environment Small, app Text, token Text, endpoint Text, p256dh Text,
        auth Bytes, id Bytes, retired_code Text),
    table!("code" by "hash": hash Bytes, tenant Big, person Big, expires Big, used_at Big),
    table!("event" by "key" counted "key": key Big, tenant Big, id Bytes, kind Text, state Small, actor_token Bytes, actor_name Text,
        accepted_at Big, due_at Big, expires_at Big, urgency Small, mode Small, private Small, addressed Text, data Text, recipients Big,
        directory_version Big, policy_version Big, cursor Big, planned_people Big, reached_people Big, resend_of Bytes, inbox_seq Big, done_at Big, title Bytes,
        body Bytes, sealed Small, received Big, shown Big, opened Big, dismissed Big, forgotten Small),
    table!("personal" by "person, inbox_seq": person Big, inbox_seq Big, event Big),
    table!("audience" by "event, chunk": event Big, chunk Big, people Bytes, by_device Bytes),
    table!("delivery" by "event, person, seq": event Big, person Big, seq Whole, channel Small, state Small, reason Small, facts Big, device Big,
        registration Big, policy Whole, due Big, attempts Whole, at Big),
    table!("attempt" by "event, person, seq, number": event Big, person Big, seq Whole, number Whole, at Big, outcome Text, code Text,
        status Whole),
    table!("segment" by "key" counted "key": key Big, tenant Big, event Big, channel Small, lane Small, first Big, last Big, due Big,
        generation Big, node Bytes, woken Big),
    table!("delivery_count" by "event, channel, state, reason": event Big, channel Small, state Small, reason Small, rows Big,
        planned Big, people Big),
    table!("receipt" by "event, person, device, kind": event Big, person Big, device Big, kind Small, at Big),
    table!("inbox_mark" by "person, event": person Big, event Big, opened_at Big, dismissed_at Big),
    table!("push_log" by "tenant, person, at, event, seq": tenant Big, person Big, at Big, event Big, seq Whole),
    table!("limit_take" by "tenant, setting, subject, at, event": tenant Big, setting Text, subject Big, at Big, event Big),
    table!("setting" by "tenant, key": tenant Big, key Text, value Text),
    table!("policy" by "tenant, version": tenant Big, version Big, at Big, settings Text),
    table!("token" by "hash": hash Bytes, tenant Big, id Bytes, name Text, role Small, scope Text, device Big, created_at Big, expires_at Big,
        revoked_at Big, own_role Bytes, person Big),
    table!("object" by "tenant, kind, id": tenant Big, kind Small, id Bytes, name Text, version Big, document Text, created_at Big, changed_at Big,
        due_at Big),
    table!("object_key" by "tenant, kind, key": tenant Big, kind Small, key Text, object Bytes),
    table!("object_link" by "tenant, target, kind, object": tenant Big, target Bytes, kind Small, object Bytes),
    table!("file" by "tenant, id": tenant Big, id Bytes, content Bytes, until Big),
    table!("answer" by "tenant, token, key": tenant Big, token Bytes, key Text, request Bytes, status Whole, body Bytes, location Text, at Big),
    table!("alarm" by "tenant, code": tenant Big, code Text, raised_at Big, last_at Big, detail Text, count Big, cleared_at Big),
    table!("audit" by "tenant, seq": tenant Big, seq Big, at Big, entry Text, hash Text),
    table!("audit_head" by "tenant": tenant Big, seq Big, hash Text),
    table!("audit_person" by "tenant, person": tenant Big, person Big, key Bytes),
    table!("audit_about" by "tenant, person, seq": tenant Big, person Big, seq Big),
    table!("audit_sink" by "tenant, sink": tenant Big, sink Text, seq Big),
];
