//! What differs between the files and the live directory, and what changes along with it.

use super::matching::fault_each;
use super::scratch::{Kind, Scratch};
use crate::Result;
use crate::import::{ImportCount, ImportReport, REMOVAL_CEILING_PERCENT};
use model::PersonKey;

/// Most removals that a report names, of each kind.
const NAMED_REMOVALS: usize = 100;

/// Fills the tables of changes.
pub(super) fn find(s: &mut Scratch) -> Result<()> {
    people(s)?;
    groups(s)?;
    devices(s)?;
    registrations(s)?;
    members(s)
}

fn people(s: &mut Scratch) -> Result<()> {
    // A manager who is gone is as good as none.
    s.run_pieces(
        "person.row",
        "INSERT INTO person_change (key, version, removed, deactivated) SELECT p.key, l.version, 0, l.active > p.active \
         FROM person p CROSS JOIN live.person l ON $seen(l) AND l.key = p.key WHERE p.row > ?1 AND p.row <= ?2 AND p.key < $new AND (p.active <> l.active \
         OR nullif(p.external_id, '') IS NOT l.external_id OR p.upn <> l.upn COLLATE BINARY OR p.display_name <> l.display_name \
         OR nullif(p.email, '') IS NOT l.email OR p.locale <> l.locale OR p.timezone <> l.timezone OR p.licenses <> l.licenses OR p.phones <> l.phones \
         OR p.manager IS NOT l.manager AND (p.manager IS NOT NULL \
            OR EXISTS (SELECT 1 FROM live.person m WHERE $seen(m) AND m.key = l.manager)))",
    )?;
    if s.replaces(Kind::People) {
        s.run_pieces(
            "live.person.key",
            "INSERT INTO person_change (key, version, removed) SELECT l.key, l.version, 2 FROM live.person l WHERE $seen(l) AND l.key > ?1 AND l.key <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM person p WHERE p.key = l.key)",
        )?;
        return Ok(());
    }
    // Whoever is matched by external id may take a name only if nobody who stays has it.
    let taken = s.sql(
        "SELECT p.file, p.line, p.upn, o.id FROM person_change x CROSS JOIN person p ON p.key = x.key \
         CROSS JOIN live.person o ON $seen(o) AND o.upn = p.upn WHERE o.key <> p.key AND NOT EXISTS (SELECT 1 FROM person y WHERE y.key = o.key) \
         ORDER BY p.row",
    );
    fault_each(s, &taken, "upn", |row| {
        let upn: String = row.get(2)?;
        let id = uuid::Uuid::from_slice(&row.get::<_, Vec<u8>>(3)?).unwrap_or_default();
        Ok(format!("{upn:?} is the name of another person, {id}; change that one first, or in the same import"))
    })
}

fn groups(s: &mut Scratch) -> Result<()> {
    s.run_pieces(
        "grp.row",
        "INSERT INTO grp_change (key, version, removed) SELECT g.key, l.version, 0 FROM grp g CROSS JOIN live.grp l ON $seen(l) AND l.key = g.key \
         WHERE g.row > ?1 AND g.row <= ?2 AND g.key < $new AND (nullif(g.external_id, '') IS NOT l.external_id OR g.name <> l.name OR g.description <> l.description)",
    )?;
    if s.replaces(Kind::Groups) {
        s.run_pieces(
            "live.grp.key",
            "INSERT INTO grp_change (key, version, removed) SELECT l.key, l.version, 2 FROM live.grp l WHERE $seen(l) AND l.key > ?1 AND l.key <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM grp g WHERE g.key = l.key)",
        )?;
    }
    Ok(())
}

fn devices(s: &mut Scratch) -> Result<()> {
    s.run_pieces(
        "device.row",
        "INSERT INTO device_change (key, version, old_owner, new_owner, removed) SELECT d.key, l.version, l.owner, d.owner, 0 \
         FROM device d CROSS JOIN live.device l ON $seen(l) AND l.key = d.key WHERE d.row > ?1 AND d.row <= ?2 AND d.key < $new AND (d.owner <> l.owner OR d.platform <> l.platform \
         OR nullif(d.external_id, '') IS NOT l.external_id OR d.name <> l.name OR d.ownership <> l.ownership OR d.enrolled <> l.enrolled \
         OR d.app_installed <> l.app_installed OR d.permission <> l.permission OR d.play_services <> l.play_services \
         OR d.enrolled_by IS NOT l.enrolled_by AND (d.enrolled_by IS NOT NULL \
            OR EXISTS (SELECT 1 FROM live.person e WHERE $seen(e) AND e.key = l.enrolled_by)))",
    )?;
    if s.replaces(Kind::Devices) {
        s.run_pieces(
            "live.device.key",
            "INSERT INTO device_change (key, version, old_owner, removed) SELECT l.key, l.version, l.owner, 2 FROM live.device l WHERE $seen(l) \
             AND l.key > ?1 AND l.key <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM device d WHERE d.key = l.key)",
        )?;
    } else if s.replaces(Kind::People) {
        s.run_pieces(
            "person_change.key",
            "INSERT INTO device_change (key, version, old_owner, new_owner, removed) SELECT l.key, l.version, l.owner, 0, 0 \
             FROM person_change p CROSS JOIN live.device l ON $seen(l) AND l.owner = p.key WHERE p.removed \
             AND p.key > ?1 AND p.key <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM device d WHERE d.key = l.key)",
        )?;
    }
    Ok(())
}

fn registrations(s: &mut Scratch) -> Result<()> {
    // Secrets are sealed and cannot be compared: a subscription with the same endpoint and key is the same.
    s.run_pieces(
        "registration.row",
        "INSERT INTO registration_change (key, version, device, old_owner, new_owner, removed, row) \
         SELECT r.key, l.version, l.device, l.owner, r.owner, 0, r.row FROM registration r CROSS JOIN live.registration l ON $seen(l) AND l.key = r.key \
         WHERE r.row > ?1 AND r.row <= ?2 AND r.key < $new AND (r.token <> l.token OR r.endpoint <> l.endpoint OR r.p256dh <> l.p256dh OR length(r.auth) > 0 AND length(l.auth) = 0)",
    )?;
    // A registration stands with its device's owner; it goes with its device, and with an owner who is removed.
    s.run_pieces(
        "device_change.key",
        "INSERT OR IGNORE INTO registration_change (key, version, device, old_owner, new_owner, removed) \
         SELECT l.key, l.version, l.device, l.owner, c.new_owner, CASE WHEN c.removed OR c.new_owner = 0 \
           AND EXISTS (SELECT 1 FROM person_change p WHERE p.key = c.old_owner AND p.removed) \
           AND NOT EXISTS (SELECT 1 FROM registration r WHERE r.key = l.key) THEN 1 ELSE 0 END \
         FROM device_change c CROSS JOIN live.registration l ON $seen(l) AND l.owner = c.old_owner AND l.device = c.key \
         WHERE c.key > ?1 AND c.key <= ?2 AND (c.removed OR c.old_owner <> c.new_owner)",
    )?;
    s.run_pieces(
        "person_change.key",
        "INSERT OR IGNORE INTO registration_change (key, version, device, old_owner, new_owner, removed, retired) \
         SELECT l.key, l.version, l.device, l.owner, l.owner, 0, 'person_inactive' FROM person_change p \
         CROSS JOIN live.registration l ON $seen(l) AND l.owner = p.key WHERE p.key > ?1 AND p.key <= ?2 AND p.deactivated AND l.state = 1",
    )?;
    if !s.kinds.contains(&Kind::Registrations) {
        return Ok(());
    }
    // Those that are retired already stay: they say what became of a device.
    if s.replaces(Kind::Registrations) {
        s.run_pieces(
            "live.registration.key",
            "INSERT INTO registration_change (key, version, device, old_owner, removed) SELECT l.key, l.version, l.device, l.owner, 2 \
             FROM live.registration l WHERE $seen(l) AND l.key > ?1 AND l.key <= ?2 AND l.state = 1 AND NOT EXISTS (SELECT 1 FROM registration r WHERE r.key = l.key) \
             ON CONFLICT DO UPDATE SET removed = max(removed, 2)",
        )?;
    }
    // A push service knows a token once: where it stood before, it answers no more.
    s.run_pieces(
        "registration.row",
        "INSERT INTO registration_change (key, version, device, old_owner, new_owner, removed, retired) \
         SELECT l.key, l.version, l.device, l.owner, l.owner, 0, 'moved' FROM registration r CROSS JOIN live.registration l ON $seen(l) \
         AND l.service = r.service AND l.token = r.token AND l.endpoint = r.endpoint \
         WHERE r.row > ?1 AND r.row <= ?2 AND (r.key > $new OR EXISTS (SELECT 1 FROM registration_change c WHERE c.row = r.row AND c.key = r.key)) AND l.device <> r.device AND l.state = 1 \
         AND NOT EXISTS (SELECT 1 FROM registration x WHERE x.key = l.key) \
         ON CONFLICT DO UPDATE SET retired = coalesce(retired, 'moved')",
    )?;
    Ok(())
}

fn members(s: &mut Scratch) -> Result<()> {
    if s.replaces(Kind::Members) {
        s.run_pieces(
            "live.member.grp",
            "INSERT INTO member_end (grp, kind, key, removed) SELECT l.grp, l.kind, l.key, 2 FROM live.member l WHERE $seen(l) AND l.grp > ?1 AND l.grp <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM member m WHERE m.grp = l.grp AND m.kind = l.kind AND m.key = l.key)",
        )?;
    }
    s.run_pieces(
        "grp_change.key",
        "INSERT OR IGNORE INTO member_end (grp, kind, key, removed) SELECT l.grp, l.kind, l.key, 1 FROM grp_change g \
         CROSS JOIN live.member l ON $seen(l) AND l.grp = g.key WHERE g.removed AND g.key > ?1 AND g.key <= ?2",
    )?;
    for (kind, changes) in [(1, "person_change"), (2, "grp_change"), (3, "device_change")] {
        let insert = format!(
            "INSERT OR IGNORE INTO member_end (grp, kind, key, removed) SELECT l.grp, l.kind, l.key, 1 FROM {changes} x \
             CROSS JOIN live.member l ON $seen(l) AND l.kind = {kind} AND l.key = x.key WHERE x.removed AND x.key > ?1 AND x.key <= ?2"
        );
        s.run_pieces(&format!("{changes}.key"), &insert)?;
    }
    Ok(())
}

/// Counts, names removals, and refuses too many of them.
pub(super) fn report(s: &mut Scratch, report: &mut ImportReport) -> Result<()> {
    report.users = count(s, "person", "person_change")?;
    report.groups = count(s, "grp", "grp_change")?;
    report.devices = count(s, "device", "device_change")?;
    report.registrations = count(s, "registration", "registration_change")?;
    report.members = ImportCount {
        created: s.number("SELECT count(*) FROM member WHERE held = 0")?,
        updated: 0,
        unchanged: s.number("SELECT count(*) FROM member WHERE held = 1")?,
        removed: s.number("SELECT count(*) FROM member_end")?,
    };
    let mut deactivated = s.c.prepare("SELECT key FROM person_change WHERE deactivated AND NOT removed ORDER BY key")?;
    report.deactivated = deactivated.query_map([], |row| row.get(0).map(PersonKey))?.collect::<rusqlite::Result<_>>()?;
    drop(deactivated);
    for (word, sql) in [
        ("user", "SELECT l.upn FROM person_change x CROSS JOIN live.person l ON $seen(l) AND l.key = x.key WHERE x.removed"),
        ("group", "SELECT l.name FROM grp_change x CROSS JOIN live.grp l ON $seen(l) AND l.key = x.key WHERE x.removed"),
        (
            "member",
            "SELECT g.name || ': ' || coalesce((SELECT l.upn FROM live.person l WHERE $seen(l) AND x.kind = 1 AND l.key = x.key), \
             (SELECT l.name FROM live.grp l WHERE $seen(l) AND x.kind = 2 AND l.key = x.key), \
             (SELECT l.name FROM live.device l WHERE $seen(l) AND x.kind = 3 AND l.key = x.key), '?') \
             FROM member_end x CROSS JOIN live.grp g ON $seen(g) AND g.key = x.grp",
        ),
        ("device", "SELECT l.name FROM device_change x CROSS JOIN live.device l ON $seen(l) AND l.key = x.key WHERE x.removed"),
        (
            "registration",
            "SELECT d.name || ': ' || CASE l.service WHEN 1 THEN 'apns' WHEN 2 THEN 'fcm' WHEN 3 THEN 'wns' ELSE 'webpush' END \
             FROM registration_change x CROSS JOIN live.registration l ON $seen(l) AND l.key = x.key \
             CROSS JOIN live.device d ON $seen(d) AND d.key = l.device WHERE x.removed",
        ),
    ] {
        let mut statement = s.c.prepare(&s.sql(&format!("{sql} LIMIT {NAMED_REMOVALS}")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.removals.push(format!("{word} {}", row.get::<_, String>(0)?));
        }
    }
    ceiling(s)
}

fn count(s: &Scratch, table: &str, changes: &str) -> Result<ImportCount> {
    let staged = s.number(&format!("SELECT count(*) FROM {table}"))?;
    let created = s.number(&format!("SELECT count(*) FROM {table} WHERE key > $new"))?;
    let updated = s.number(&format!("SELECT count(*) FROM {changes} WHERE NOT removed"))?;
    // Some change along with others without being named in a file.
    let named =
        s.number(&format!("SELECT count(*) FROM {changes} x WHERE NOT removed AND EXISTS (SELECT 1 FROM {table} t WHERE t.key = x.key)"))?;
    let removed = s.number(&format!("SELECT count(*) FROM {changes} WHERE removed"))?;
    Ok(ImportCount { created, updated, unchanged: staged.saturating_sub(created + named), removed })
}

/// A file that was cut short must not empty the directory.
fn ceiling(s: &mut Scratch) -> Result<()> {
    if s.import.allow_many_removals {
        return Ok(());
    }
    for (kind, word, table, changes) in [
        (Kind::People, "users", "person", "person_change"),
        (Kind::Groups, "groups", "grp", "grp_change"),
        (Kind::Members, "members", "member", "member_end"),
        (Kind::Devices, "devices", "device", "device_change"),
        (Kind::Registrations, "registrations", "registration", "registration_change"),
    ] {
        if !s.replaces(kind) {
            continue;
        }
        let going = s.number(&format!("SELECT count(*) FROM {changes} WHERE removed = 2"))?;
        let all = s.number(&format!("SELECT count(*) FROM live.{table} l WHERE $seen(l)"))?;
        if going * 100 > all * REMOVAL_CEILING_PERCENT {
            s.faults.whole(
                "mode",
                format!(
                    "replace would remove {going} of {all} {word}, more than {REMOVAL_CEILING_PERCENT} %; \
                     check the files, or allow it with --allow-many-removals"
                ),
            );
        }
    }
    Ok(())
}
