/** The step of the schema that makes the outbox one of several targets for each repository: as sqlite/targets.ts. */

export const POSTGRES_TARGETS = `
-- state 0: it may be tried once it is due; 1: another of its repository comes first; 2: dead. slot 0: the one row of its
-- key; else the target has a row of each write, in the order of the slots. writer: as in tags. held: as before.
ALTER TABLE outbox RENAME COLUMN backend TO target;
ALTER TABLE outbox ALTER COLUMN target TYPE text COLLATE "C";
ALTER TABLE outbox ADD COLUMN slot bigint NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN state smallint NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN writer text;
ALTER TABLE outbox ALTER COLUMN kind TYPE text COLLATE "C";
ALTER TABLE outbox DROP CONSTRAINT outbox_pkey;
ALTER TABLE outbox ADD PRIMARY KEY (target, repo, slot, kind, name);
DROP INDEX outbox_by_due;
CREATE INDEX outbox_by_due ON outbox (target, greatest(due, held), slot, version) WHERE state = 0;
CREATE INDEX outbox_in_order ON outbox (target, repo, slot, kind, name) WHERE slot > 0 AND state < 2;

-- The targets that all of a repository was queued for, or comes from.
CREATE TABLE filled (repo bigint NOT NULL, target text COLLATE "C" NOT NULL, PRIMARY KEY (repo, target));
INSERT INTO filled SELECT id, backend FROM repos WHERE backend IS NOT NULL;
ALTER TABLE repos DROP COLUMN backend;
`;
