/** The step of the schema that makes the outbox one of several targets for each repository (outbox.ts, ../targets.ts). */

export const SQLITE_TARGETS = `
-- state 0: it may be tried once it is due; 1: another of its repository comes first; 2: dead. slot 0: the one row of its
-- key; else the target has a row of each write, in the order of the slots. writer: as in tags.
ALTER TABLE outbox RENAME TO outbox_before;
DROP INDEX outbox_by_due;
CREATE TABLE outbox (
  target TEXT NOT NULL, repo INTEGER NOT NULL, slot INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  state INTEGER NOT NULL, version INTEGER NOT NULL, writer TEXT, digest TEXT,
  since INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, cause TEXT,
  PRIMARY KEY (target, repo, slot, kind, name)
) WITHOUT ROWID;
INSERT INTO outbox SELECT backend, repo, 0, kind, name, 0, version, NULL, digest, since, due, attempts, cause
  FROM outbox_before;
DROP TABLE outbox_before;
CREATE INDEX outbox_by_due ON outbox (target, due, slot, version) WHERE state = 0;
CREATE INDEX outbox_in_order ON outbox (target, repo, slot, kind, name) WHERE slot > 0 AND state < 2;

-- The targets that all of a repository was queued for, or comes from.
CREATE TABLE filled (repo INTEGER NOT NULL, target TEXT NOT NULL, PRIMARY KEY (repo, target)) WITHOUT ROWID;
INSERT INTO filled SELECT id, backend FROM repos WHERE backend IS NOT NULL;
ALTER TABLE repos DROP COLUMN backend;
`;
