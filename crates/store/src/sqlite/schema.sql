-- The embedded store, version 1. Narrow tables, clustered in the order in which they are read; few secondary indexes.
-- Directory rows carry the generations in which they are visible: since <= G < until, where G is meta.generation. An
-- ordinary edit changes a row in place, at once; an import writes new versions with since = G + 1, ends old ones with
-- until = G + 1, and then moves G: all of it becomes visible in one step. 9223372036854775807 means "still".

CREATE TABLE meta (
  tenant      INTEGER PRIMARY KEY,
  id          BLOB NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  generation  INTEGER NOT NULL DEFAULT 1,      -- of the directory
  importing   INTEGER NOT NULL DEFAULT 0,      -- 1 while versions of generation + 1 may exist
  directory   INTEGER NOT NULL DEFAULT 1,      -- version: moves with every change of membership or people
  inbox_seq   INTEGER NOT NULL DEFAULT 0,      -- last place given in the inbox order
  policy      INTEGER NOT NULL DEFAULT 1       -- version of the settings
) STRICT;

-- Dense keys are given from here and never twice.
CREATE TABLE sequence (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequence VALUES ('person', 1), ('grp', 1), ('device', 1), ('registration', 1);

CREATE TABLE person (
  tenant INTEGER NOT NULL, key INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
  active INTEGER NOT NULL, locale TEXT NOT NULL, email TEXT, quiet_hours TEXT, timezone TEXT NOT NULL,
  id BLOB NOT NULL, external_id TEXT, upn TEXT NOT NULL COLLATE NOCASE, display_name TEXT NOT NULL,
  licenses TEXT NOT NULL DEFAULT '[]', manager INTEGER, phones TEXT NOT NULL DEFAULT '[]', version INTEGER NOT NULL,
  PRIMARY KEY (tenant, key, since)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX person_id ON person (id, until);
CREATE UNIQUE INDEX person_upn ON person (tenant, upn, until);
CREATE UNIQUE INDEX person_external ON person (tenant, external_id, until) WHERE external_id IS NOT NULL;

CREATE TABLE grp (
  tenant INTEGER NOT NULL, key INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
  id BLOB NOT NULL, external_id TEXT, name TEXT NOT NULL, description TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (tenant, key, since)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX grp_id ON grp (id, until);
CREATE INDEX grp_name ON grp (tenant, name);
CREATE UNIQUE INDEX grp_external ON grp (tenant, external_id, until) WHERE external_id IS NOT NULL;

CREATE TABLE member (
  tenant INTEGER NOT NULL, grp INTEGER NOT NULL, kind INTEGER NOT NULL, key INTEGER NOT NULL,
  since INTEGER NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (tenant, grp, kind, key, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_of ON member (tenant, kind, key);

-- Clustered by owner, so that a page of people is one scan. owner 0: nobody's.
CREATE TABLE device (
  tenant INTEGER NOT NULL, owner INTEGER NOT NULL, key INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
  platform INTEGER NOT NULL, ownership INTEGER NOT NULL, enrolled INTEGER NOT NULL, enrolled_by INTEGER,
  app_installed INTEGER NOT NULL, permission INTEGER NOT NULL, play_services INTEGER NOT NULL, push_enabled INTEGER NOT NULL,
  enrolled_source INTEGER, enrolled_at INTEGER, last_seen INTEGER,
  id BLOB NOT NULL, external_id TEXT, name TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (tenant, owner, key, since)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_key ON device (tenant, key, until);
CREATE UNIQUE INDEX device_id ON device (id, until);
CREATE INDEX device_name ON device (tenant, name);
CREATE UNIQUE INDEX device_external ON device (tenant, external_id, until) WHERE external_id IS NOT NULL;

-- Clustered by owner and device. Moves with its device when that changes hands.
CREATE TABLE registration (
  tenant INTEGER NOT NULL, owner INTEGER NOT NULL, device INTEGER NOT NULL, key INTEGER NOT NULL,
  since INTEGER NOT NULL, until INTEGER NOT NULL,
  service INTEGER NOT NULL, state INTEGER NOT NULL, version INTEGER NOT NULL, registered_at INTEGER NOT NULL,
  environment INTEGER NOT NULL, app TEXT NOT NULL, token TEXT NOT NULL, endpoint TEXT NOT NULL DEFAULT '',
  p256dh TEXT NOT NULL DEFAULT '', auth BLOB NOT NULL DEFAULT x'', id BLOB NOT NULL, retired_code TEXT,
  PRIMARY KEY (tenant, owner, device, key, since)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX registration_key ON registration (tenant, key, until);
CREATE UNIQUE INDEX registration_id ON registration (id, until);
-- Finds the same token on another device; Web Push is found by endpoint.
CREATE INDEX registration_token ON registration (tenant, service, token, endpoint);

CREATE TABLE code (
  hash BLOB PRIMARY KEY, tenant INTEGER NOT NULL, person INTEGER NOT NULL, expires INTEGER NOT NULL, used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX code_expires ON code (tenant, expires);

CREATE TABLE event (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, state INTEGER NOT NULL,
  actor_token BLOB NOT NULL, actor_name TEXT NOT NULL,
  accepted_at INTEGER NOT NULL, due_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  urgency INTEGER NOT NULL, mode INTEGER NOT NULL, private INTEGER NOT NULL,
  addressed TEXT NOT NULL, data TEXT NOT NULL, recipients INTEGER NOT NULL,
  directory_version INTEGER NOT NULL, policy_version INTEGER NOT NULL DEFAULT 0,
  cursor INTEGER NOT NULL DEFAULT 0, planned_people INTEGER NOT NULL DEFAULT 0,
  resend_of BLOB, inbox_seq INTEGER, done_at INTEGER,
  title BLOB, body BLOB, sealed INTEGER NOT NULL DEFAULT 0,
  received INTEGER NOT NULL DEFAULT 0, shown INTEGER NOT NULL DEFAULT 0,
  opened INTEGER NOT NULL DEFAULT 0, dismissed INTEGER NOT NULL DEFAULT 0,
  forgotten INTEGER NOT NULL DEFAULT 0         -- 1 once nothing is left to forget
) STRICT;
CREATE INDEX event_open ON event (state, due_at) WHERE done_at IS NULL;
-- An event for many stands in the inbox of everybody in its audience; one for few has a row in `personal` for each.
CREATE INDEX event_wide ON event (tenant, inbox_seq) WHERE inbox_seq IS NOT NULL AND recipients > 32;
CREATE INDEX event_old ON event (tenant, accepted_at) WHERE forgotten = 0;
CREATE INDEX event_text ON event (tenant, expires_at) WHERE title IS NOT NULL;
CREATE INDEX event_put_away ON event (tenant) WHERE title IS NOT NULL AND dismissed >= recipients;

-- The inbox order of events for at most 32 people, by person.
CREATE TABLE personal (
  person INTEGER NOT NULL, inbox_seq INTEGER NOT NULL, event INTEGER NOT NULL,
  PRIMARY KEY (person, inbox_seq)
) STRICT, WITHOUT ROWID;

-- The frozen audience, one bitmap for each 65,536 keys: whether one person is in it costs one small row.
CREATE TABLE audience (
  event INTEGER NOT NULL, chunk INTEGER NOT NULL, people BLOB NOT NULL, by_device BLOB,
  PRIMARY KEY (event, chunk)
) STRICT, WITHOUT ROWID;

-- Written in person order; no secondary index (two cost a factor of four to five).
CREATE TABLE delivery (
  event INTEGER NOT NULL, person INTEGER NOT NULL, seq INTEGER NOT NULL,
  channel INTEGER NOT NULL, state INTEGER NOT NULL, reason INTEGER NOT NULL, facts INTEGER NOT NULL,
  device INTEGER, registration INTEGER, policy INTEGER NOT NULL,
  due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, at INTEGER,
  PRIMARY KEY (event, person, seq)
) STRICT, WITHOUT ROWID;

-- Every try but an accepted first one, whose time stands in the delivery itself.
CREATE TABLE attempt (
  event INTEGER NOT NULL, person INTEGER NOT NULL, seq INTEGER NOT NULL, number INTEGER NOT NULL,
  at INTEGER NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, status INTEGER NOT NULL,
  PRIMARY KEY (event, person, seq, number)
) STRICT, WITHOUT ROWID;

-- `due` of a claimed segment is the end of its lease: one index finds what waits and what was lost.
CREATE TABLE segment (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL, event INTEGER NOT NULL, channel INTEGER NOT NULL, lane INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, due INTEGER NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0, node BLOB,
  woken INTEGER NOT NULL DEFAULT 0             -- from this generation on, rows that wait are looked at early
) STRICT;
CREATE INDEX segment_due ON segment (lane, channel, due);
-- Spans of one event and channel do not overlap: the one that holds a person is the last that begins before.
CREATE INDEX segment_event ON segment (event, channel, first);

CREATE TABLE delivery_count (
  event INTEGER NOT NULL, channel INTEGER NOT NULL, state INTEGER NOT NULL, reason INTEGER NOT NULL, rows INTEGER NOT NULL,
  PRIMARY KEY (event, channel, state, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipt (
  event INTEGER NOT NULL, person INTEGER NOT NULL, device INTEGER NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (event, person, device, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_device ON receipt (event, device);

-- Only what the person did with it; the inbox itself is computed from the audiences.
CREATE TABLE inbox_mark (
  person INTEGER NOT NULL, event INTEGER NOT NULL, opened_at INTEGER, dismissed_at INTEGER,
  PRIMARY KEY (person, event)
) STRICT, WITHOUT ROWID;

-- Pushes settled as accepted while a frequency cap was in force.
CREATE TABLE push_log (
  tenant INTEGER NOT NULL, person INTEGER NOT NULL, at INTEGER NOT NULL, event INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (tenant, person, at, event, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_log_at ON push_log (tenant, at);

CREATE TABLE limit_take (
  tenant INTEGER NOT NULL, setting TEXT NOT NULL, subject INTEGER NOT NULL, at INTEGER NOT NULL, event INTEGER NOT NULL,
  PRIMARY KEY (tenant, setting, subject, at, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_take_at ON limit_take (tenant, at);

CREATE TABLE setting (
  tenant INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE policy (
  tenant INTEGER NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, settings TEXT NOT NULL, PRIMARY KEY (tenant, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
  hash BLOB PRIMARY KEY, tenant INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
  role INTEGER, scope TEXT, device INTEGER,
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_device ON token (device) WHERE device IS NOT NULL;
CREATE INDEX token_admin ON token (tenant, created_at, id) WHERE role IS NOT NULL;

CREATE TABLE answer (
  tenant INTEGER NOT NULL, token BLOB NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, status INTEGER NOT NULL,
  body BLOB NOT NULL, location TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (tenant, token, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_at ON answer (tenant, at);

CREATE TABLE alarm (
  tenant INTEGER NOT NULL, code TEXT NOT NULL, raised_at INTEGER NOT NULL, last_at INTEGER NOT NULL, detail TEXT NOT NULL,
  count INTEGER NOT NULL, cleared_at INTEGER,
  PRIMARY KEY (tenant, code)
) STRICT, WITHOUT ROWID;
