//! What an import writes, step by step: each reads the same rows of the scratch file as the embedded store's step does,
//! and writes many of them with one statement. The first three parameters are the tenant, the new generation and the
//! time; the columns of the rows follow as arrays. A statement that touches fewer rows than it was given found one that
//! is not as it was compared, and the import is taken back.

use crate::sqlite::import::apply::{BEGINNINGS, ENDS, SHUT_OUT, Step};

/// One kind of change.
pub(super) struct Write {
    /// What to read from the scratch file.
    pub of: &'static Step,
    /// What its columns hold: `n` numbers, `t` texts, `b` bytes.
    pub kinds: &'static str,
    /// The statement.
    pub sql: &'static str,
}

pub(super) const ENDINGS: [Write; 5] = [
    Write {
        of: &ENDS[0],
        kinds: "nn",
        sql: "UPDATE person SET until = $2 FROM unnest($4::bigint[], $5::bigint[]) AS u (key, version) \
              WHERE person.tenant = $1 AND person.key = u.key AND person.until = 9223372036854775807 AND person.version = u.version AND $3::bigint > 0",
    },
    Write {
        of: &ENDS[1],
        kinds: "nn",
        sql: "UPDATE grp SET until = $2 FROM unnest($4::bigint[], $5::bigint[]) AS u (key, version) \
              WHERE grp.tenant = $1 AND grp.key = u.key AND grp.until = 9223372036854775807 AND grp.version = u.version AND $3::bigint > 0",
    },
    Write {
        of: &ENDS[2],
        kinds: "nnn",
        sql: "UPDATE device SET until = $2 FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS u (owner, key, version) \
              WHERE device.tenant = $1 AND device.owner = u.owner AND device.key = u.key AND device.until = 9223372036854775807 \
              AND device.version = u.version AND $3::bigint > 0",
    },
    Write {
        of: &ENDS[3],
        kinds: "nnnn",
        sql: "UPDATE registration SET until = $2 FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS u (owner, device, key, version) \
              WHERE registration.tenant = $1 AND registration.owner = u.owner AND registration.device = u.device AND registration.key = u.key \
              AND registration.until = 9223372036854775807 AND registration.version = u.version AND $3::bigint > 0",
    },
    Write {
        of: &ENDS[4],
        kinds: "nnn",
        sql: "UPDATE member SET until = $2 FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS u (grp, kind, key) \
              WHERE member.tenant = $1 AND member.grp = u.grp AND member.kind = u.kind AND member.key = u.key \
              AND member.until = 9223372036854775807 AND $3::bigint > 0",
    },
];

pub(super) const STARTS: [Write; 7] = [
    Write {
        of: &BEGINNINGS[0],
        kinds: "nnnttttbttttnt",
        sql: "INSERT INTO person (tenant, since, until, key, version, active, locale, email, quiet_hours, timezone, id, external_id, upn, \
              display_name, licenses, manager, phones) SELECT $1, $2, 9223372036854775807, u.* FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], \
              $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], \
              $17::text[]) AS u WHERE $3::bigint > 0",
    },
    Write {
        of: &BEGINNINGS[1],
        kinds: "nnbttt",
        sql: "INSERT INTO grp (tenant, since, until, key, version, id, external_id, name, description) \
              SELECT $1, $2, 9223372036854775807, u.* FROM unnest($4::bigint[], $5::bigint[], $6::bytea[], $7::text[], $8::text[], $9::text[]) AS u \
              WHERE $3::bigint > 0",
    },
    Write { of: &BEGINNINGS[2], kinds: DEVICE_KINDS, sql: NEW_DEVICE },
    Write { of: &BEGINNINGS[3], kinds: DEVICE_KINDS, sql: NEW_DEVICE },
    Write { of: &BEGINNINGS[4], kinds: REGISTRATION_KINDS, sql: NEW_REGISTRATION },
    Write { of: &BEGINNINGS[5], kinds: REGISTRATION_KINDS, sql: NEW_REGISTRATION },
    // The import stops when one of the two was removed meanwhile, or the membership is there already.
    Write {
        of: &BEGINNINGS[6],
        kinds: "nnn",
        sql: "INSERT INTO member (tenant, since, until, grp, kind, key) SELECT $1, $2, 9223372036854775807, u.grp, u.kind, u.key \
              FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS u (grp, kind, key) WHERE $3::bigint > 0 \
              AND EXISTS (SELECT 1 FROM grp g WHERE g.tenant = $1 AND g.key = u.grp AND g.until = 9223372036854775807) \
              AND CASE u.kind WHEN 1 THEN EXISTS (SELECT 1 FROM person p WHERE p.tenant = $1 AND p.key = u.key AND p.until = 9223372036854775807) \
              WHEN 2 THEN EXISTS (SELECT 1 FROM grp n WHERE n.tenant = $1 AND n.key = u.key AND n.until = 9223372036854775807) \
              ELSE EXISTS (SELECT 1 FROM device d WHERE d.tenant = $1 AND d.key = u.key AND d.until = 9223372036854775807) END \
              AND NOT EXISTS (SELECT 1 FROM member m WHERE m.tenant = $1 AND m.grp = u.grp AND m.kind = u.kind AND m.key = u.key \
              AND m.until = 9223372036854775807)",
    },
];

const DEVICE_KINDS: &str = "nnnnnnnnnnnnnnbtt";

/// Only while the owner is there.
const NEW_DEVICE: &str = "INSERT INTO device (tenant, since, until, owner, key, version, platform, ownership, enrolled, enrolled_by, \
    app_installed, permission, play_services, push_enabled, enrolled_source, enrolled_at, last_seen, id, external_id, name) \
    SELECT $1, $2, 9223372036854775807, u.owner, u.key, u.version, u.platform, u.ownership, u.enrolled, u.enrolled_by, u.app_installed, u.permission, \
    u.play_services, u.push_enabled, u.enrolled_source, CASE u.enrolled_at WHEN -1 THEN $3 ELSE u.enrolled_at END, u.last_seen, u.id, \
    u.external_id, u.name \
    FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], \
    $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bytea[], $19::text[], $20::text[]) \
    AS u (owner, key, version, platform, ownership, enrolled, enrolled_by, app_installed, permission, play_services, push_enabled, \
    enrolled_source, enrolled_at, last_seen, id, external_id, name) \
    WHERE u.owner = 0 OR EXISTS (SELECT 1 FROM person p WHERE p.tenant = $1 AND p.key = u.owner AND p.until = 9223372036854775807)";

const REGISTRATION_KINDS: &str = "nnnnnnnnttttbbt";

/// Only while the device is there with this owner, and the place is free.
const NEW_REGISTRATION: &str = "INSERT INTO registration (tenant, since, until, owner, device, key, version, service, state, registered_at, \
    environment, app, token, endpoint, p256dh, auth, id, retired_code) \
    SELECT $1, $2, 9223372036854775807, u.owner, u.device, u.key, u.version, u.service, u.state, \
    CASE u.registered_at WHEN -1 THEN $3 ELSE u.registered_at END, u.environment, u.app, u.token, u.endpoint, u.p256dh, u.auth, u.id, u.retired_code \
    FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], \
    $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[], $18::text[]) \
    AS u (owner, device, key, version, service, state, registered_at, environment, app, token, endpoint, p256dh, auth, id, retired_code) \
    WHERE EXISTS (SELECT 1 FROM device d WHERE d.tenant = $1 AND d.owner = u.owner AND d.key = u.device AND d.until = 9223372036854775807) \
    AND NOT EXISTS (SELECT 1 FROM registration r WHERE r.tenant = $1 AND r.owner = u.owner AND r.device = u.device \
    AND r.until = 9223372036854775807 AND r.service = u.service AND r.environment = u.environment AND r.app = u.app)";

/// Tokens and codes of people who left, and tokens of devices that went. Here some rows touch nothing.
pub(super) const SHUTTING_OUT: [Write; 3] = [
    Write {
        of: &SHUT_OUT[0],
        kinds: "n",
        sql: "UPDATE token SET revoked_at = $3 FROM unnest($4::bigint[]) AS u (owner) CROSS JOIN LATERAL \
              (SELECT DISTINCT key FROM device WHERE tenant = $1 AND owner = u.owner) d \
              WHERE token.device = d.key AND token.revoked_at IS NULL AND $2::bigint > 0",
    },
    Write {
        of: &SHUT_OUT[1],
        kinds: "n",
        sql: "UPDATE token SET revoked_at = $3 FROM unnest($4::bigint[]) AS u (device) \
              WHERE token.device = u.device AND token.tenant = $1 AND token.revoked_at IS NULL AND $2::bigint > 0",
    },
    Write {
        of: &SHUT_OUT[2],
        kinds: "b",
        sql: "UPDATE code SET used_at = $3 FROM unnest($4::bytea[]) AS u (hash) WHERE code.tenant = $1 AND code.hash = u.hash AND $2::bigint > 0",
    },
];
