-- Roles of the organization's own, who holds which role, and tokens that belong to a person or to such a role.

CREATE TABLE object (
  tenant INTEGER NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  document TEXT NOT NULL, created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX object_name ON object (tenant, kind, name);

ALTER TABLE token ADD COLUMN own_role BLOB;
ALTER TABLE token ADD COLUMN person INTEGER;
DROP INDEX token_admin;
CREATE INDEX token_admin ON token (tenant, created_at, id) WHERE device IS NULL;
