-- The audit. Entries are only ever added; `entry` is the canonical JSON that `hash` (hexadecimal SHA-256) was
-- made of, so `seq` and `at` beside it only find it. The end of the chain stands apart, so that a cut-off end is seen.

CREATE TABLE audit (
  tenant INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, entry TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit_head (tenant INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;

-- The key of each person's pseudonym, and the entries that name it. Without them nothing leads from an entry to a person.
CREATE TABLE audit_person (
  tenant INTEGER NOT NULL, person INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (tenant, person)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit_about (
  tenant INTEGER NOT NULL, person INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (tenant, person, seq)
) STRICT, WITHOUT ROWID;

-- The last entry that was handed to a sink, such as syslog.
CREATE TABLE audit_sink (tenant INTEGER NOT NULL, sink TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (tenant, sink)) STRICT, WITHOUT ROWID;
