-- Further names of managed objects that are their own within a kind, which objects refer to which, and when something has to
-- be done about one.

CREATE TABLE object_key (
  tenant INTEGER NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL, object BLOB NOT NULL, PRIMARY KEY (tenant, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_key_of ON object_key (tenant, object);

CREATE TABLE object_link (
  tenant INTEGER NOT NULL, target BLOB NOT NULL, kind INTEGER NOT NULL, object BLOB NOT NULL,
  PRIMARY KEY (tenant, target, kind, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_link_of ON object_link (tenant, object);

ALTER TABLE object ADD COLUMN due_at INTEGER;
CREATE INDEX object_due ON object (tenant, kind, due_at) WHERE due_at IS NOT NULL;

-- Files beside objects and events, sealed, until nobody needs them any more.
CREATE TABLE file (tenant INTEGER NOT NULL, id BLOB NOT NULL, content BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (tenant, id)) STRICT;
CREATE INDEX file_until ON file (tenant, until);

-- Whose a telephone number may be; who has it now says the person's own row.
CREATE TABLE phone (tenant INTEGER NOT NULL, number TEXT NOT NULL, person INTEGER NOT NULL, PRIMARY KEY (tenant, number, person)) STRICT, WITHOUT ROWID;
CREATE INDEX phone_of ON phone (tenant, person);
INSERT OR IGNORE INTO phone SELECT p.tenant, j.value, p.key FROM person p, json_each(p.phones) j WHERE p.phones <> '[]';
-- No OR IGNORE: a statement's own OR would take its place.
CREATE TRIGGER person_phones_new AFTER INSERT ON person WHEN NEW.phones <> '[]' BEGIN
  INSERT INTO phone SELECT DISTINCT NEW.tenant, value, NEW.key FROM json_each(NEW.phones)
    WHERE NOT EXISTS (SELECT 1 FROM phone WHERE tenant = NEW.tenant AND number = value AND person = NEW.key);
END;
CREATE TRIGGER person_phones_changed AFTER UPDATE OF phones ON person WHEN NEW.phones <> '[]' BEGIN
  INSERT INTO phone SELECT DISTINCT NEW.tenant, value, NEW.key FROM json_each(NEW.phones)
    WHERE NOT EXISTS (SELECT 1 FROM phone WHERE tenant = NEW.tenant AND number = value AND person = NEW.key);
END;
