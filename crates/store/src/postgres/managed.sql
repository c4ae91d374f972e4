-- Further names of managed objects that are their own within a kind, which objects refer to which, and when something has to
-- be done about one.

CREATE TABLE object_key (
  tenant bigint NOT NULL, kind smallint NOT NULL, key text COLLATE "C" NOT NULL, object bytea NOT NULL, PRIMARY KEY (tenant, kind, key)
);
CREATE INDEX object_key_of ON object_key (tenant, object);

CREATE TABLE object_link (
  tenant bigint NOT NULL, target bytea NOT NULL, kind smallint NOT NULL, object bytea NOT NULL,
  PRIMARY KEY (tenant, target, kind, object)
);
CREATE INDEX object_link_of ON object_link (tenant, object);

ALTER TABLE object ADD COLUMN due_at bigint;
CREATE INDEX object_due ON object (tenant, kind, due_at) WHERE due_at IS NOT NULL;

-- Files beside objects and events, sealed, until nobody needs them any more.
CREATE TABLE file (tenant bigint NOT NULL, id bytea NOT NULL, content bytea NOT NULL, until bigint NOT NULL, PRIMARY KEY (tenant, id));
CREATE INDEX file_until ON file (tenant, until);

-- Whose a telephone number may be; who has it now says the person's own row.
CREATE TABLE phone (
  tenant bigint NOT NULL, number text COLLATE "C" NOT NULL, person bigint NOT NULL, PRIMARY KEY (tenant, number, person)
);
CREATE INDEX phone_of ON phone (tenant, person);
INSERT INTO phone SELECT DISTINCT p.tenant, j.value, p.key FROM person p, json_array_elements_text(p.phones::json) AS j (value) WHERE p.phones <> '[]'
  ON CONFLICT DO NOTHING;
CREATE FUNCTION keep_phones() RETURNS trigger LANGUAGE plpgsql AS $keep$ BEGIN
  INSERT INTO phone SELECT NEW.tenant, value, NEW.key FROM json_array_elements_text(NEW.phones::json) AS j (value) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $keep$;
CREATE TRIGGER person_phones AFTER INSERT OR UPDATE OF phones ON person FOR EACH ROW WHEN (NEW.phones <> '[]') EXECUTE FUNCTION keep_phones();
