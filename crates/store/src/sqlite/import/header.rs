//! Which kind of file it is, by its first line, and where its columns are.

use super::faults::Faults;
use super::records::Record;
use super::scratch::Kind;

/// A kind of file: its columns in the order of exports, those it must have, and the one that tells it from the others.
pub(in crate::sqlite) struct Form {
    kind: Kind,
    pub columns: &'static [&'static str],
    needed: &'static [&'static str],
    told_by: &'static [&'static str],
}

/// People.
pub(in crate::sqlite) const PEOPLE: Form = Form {
    kind: Kind::People,
    columns: &["external_id", "upn", "display_name", "email", "locale", "timezone", "licenses", "manager_upn", "phones", "active"],
    needed: &["upn"],
    told_by: &["upn"],
};
/// Groups.
pub(in crate::sqlite) const GROUPS: Form =
    Form { kind: Kind::Groups, columns: &["external_id", "name", "description"], needed: &["name"], told_by: &["name"] };
/// Memberships.
pub(in crate::sqlite) const MEMBERS: Form = Form {
    kind: Kind::Members,
    columns: &["group", "member_type", "member"],
    needed: &["group", "member"],
    told_by: &["member", "member_type"],
};
/// Devices.
pub(in crate::sqlite) const DEVICES: Form = Form {
    kind: Kind::Devices,
    columns: &[
        "external_id",
        "name",
        "owner_upn",
        "platform",
        "ownership",
        "enrolled",
        "app_installed",
        "notification_permission",
        "play_services",
        "enrolled_by_upn",
    ],
    needed: &["name"],
    told_by: &[
        "owner_upn",
        "platform",
        "ownership",
        "enrolled",
        "app_installed",
        "notification_permission",
        "play_services",
        "enrolled_by_upn",
    ],
};
/// Registrations.
pub(in crate::sqlite) const REGISTRATIONS: Form = Form {
    kind: Kind::Registrations,
    columns: &["device", "service", "app", "environment", "token", "endpoint", "p256dh", "auth"],
    needed: &["device", "service"],
    told_by: &["service", "device"],
};

/// In this order, since the name of a group is also a column of devices.
const FORMS: [&Form; 5] = [&REGISTRATIONS, &MEMBERS, &PEOPLE, &DEVICES, &GROUPS];

/// Where the columns of a file are.
pub(super) struct Columns {
    pub kind: Kind,
    pub form: &'static Form,
    /// For each column of the form, its place in the file.
    pub places: Vec<Option<usize>>,
    /// How many columns the file has.
    pub width: usize,
}

/// Reads the header; `None` when it is not one of ours. Faults are noted.
pub(super) fn columns_of(record: &Record, file: (u32, &str), faults: &mut Faults) -> Option<Columns> {
    let line = record.line;
    let mut names = Vec::with_capacity(record.len());
    for place in 0..record.len() {
        let Ok(name) = std::str::from_utf8(record.field(place).unwrap_or(&[])) else {
            faults.cell(file, line, "", "the first line is not UTF-8; save the file as CSV in UTF-8");
            return None;
        };
        names.push(name.trim());
    }
    let Some(form) = FORMS.into_iter().find(|form| form.told_by.iter().any(|column| names.contains(column))) else {
        let mut told = String::from("the first line names the columns of no kind of file; it is one of");
        for form in [&PEOPLE, &GROUPS, &MEMBERS, &DEVICES, &REGISTRATIONS] {
            told.push_str(&format!(" {}{}", form.columns.join(","), if form.kind == Kind::Registrations { "" } else { ";" }));
        }
        if names.iter().any(|name| name.contains(';')) {
            told.push_str("; columns are separated by commas");
        }
        faults.cell(file, line, "", told);
        return None;
    };
    let before = faults.count();
    for (place, name) in names.iter().enumerate() {
        if !form.columns.contains(name) {
            faults.cell(
                file,
                line,
                name,
                format!("{name:?} is not a column of this kind of file; remove it. The columns are {}", form.columns.join(",")),
            );
        } else if names[..place].contains(name) {
            faults.cell(file, line, name, format!("the column {name:?} is there twice; keep one"));
        }
    }
    for needed in form.needed {
        if !names.contains(needed) {
            faults.cell(file, line, needed, format!("the column {needed:?} is missing; add it"));
        }
    }
    let places = form.columns.iter().map(|column| names.iter().position(|name| name == column)).collect();
    (faults.count() == before).then_some(Columns { kind: form.kind, form, places, width: names.len() })
}
