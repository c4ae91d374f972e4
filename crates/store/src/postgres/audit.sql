-- The audit, as told in the embedded store's audit.sql. A tenant's row in `meta` orders what is added.

CREATE TABLE audit (
  tenant bigint NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, entry text COLLATE "C" NOT NULL, hash text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, seq)
);
CREATE TABLE audit_head (tenant bigint PRIMARY KEY, seq bigint NOT NULL, hash text COLLATE "C" NOT NULL) WITH (fillfactor = 20);
CREATE TABLE audit_person (tenant bigint NOT NULL, person bigint NOT NULL, key bytea NOT NULL, PRIMARY KEY (tenant, person));
CREATE TABLE audit_about (tenant bigint NOT NULL, person bigint NOT NULL, seq bigint NOT NULL, PRIMARY KEY (tenant, person, seq));
CREATE TABLE audit_sink (
  tenant bigint NOT NULL, sink text COLLATE "C" NOT NULL, seq bigint NOT NULL, PRIMARY KEY (tenant, sink)
) WITH (fillfactor = 20);
