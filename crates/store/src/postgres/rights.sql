-- Roles of the organization's own, who holds which role, and tokens that belong to a person or to such a role.

CREATE TABLE object (
  tenant bigint NOT NULL, kind smallint NOT NULL, id bytea NOT NULL, name text COLLATE "C" NOT NULL, version bigint NOT NULL,
  document text COLLATE "C" NOT NULL, created_at bigint NOT NULL, changed_at bigint NOT NULL,
  PRIMARY KEY (tenant, kind, id)
);
CREATE UNIQUE INDEX object_name ON object (tenant, kind, name);

ALTER TABLE token ADD COLUMN own_role bytea;
ALTER TABLE token ADD COLUMN person bigint;
DROP INDEX token_admin;
CREATE INDEX token_admin ON token (tenant, created_at, id) WHERE device IS NULL;
