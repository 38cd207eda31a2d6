/**
 * The tables of the SQLite tag store. A change of anything here is a new version, that is one more step at the end of
 * STEPS: version 1 knew no digests without a link, nor who the database is; version 2 no versions of tags; version 3 no backend; version 4
 * not which of them a repository was brought to; version 5 no names of writes; version 6 one target of a repository only; version 7
 * not since when a link is idle; version 8 not that it was restored; version 10 not what may go from backends; version 11
 * not since when a manifest has no tag; version 12 no documents.
 */

import type { SqliteSchema } from '../../sqlite/database.ts';
import { SQLITE_DOCUMENTS } from './documents.ts';
import { SQLITE_DOOMED } from './doomed.ts';
import { SQLITE_UNTAGGED } from './retention/untagged.ts';
import { SQLITE_SUCCESSION } from './succession.ts';
import { SQLITE_TARGETS } from './targets.ts';
import { SQLITE_USED } from './used.ts';

const VERSION_1 = `
CREATE TABLE repos (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE manifests (
  repo INTEGER NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
  subject TEXT, artifact_type TEXT, annotations TEXT,
  PRIMARY KEY (repo, digest)
) WITHOUT ROWID;
CREATE INDEX manifests_by_subject ON manifests (repo, subject, digest) WHERE subject IS NOT NULL;

-- What each manifest refers to: kind 'blob' or 'manifest'.
CREATE TABLE refs (
  repo INTEGER NOT NULL, manifest TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL,
  PRIMARY KEY (repo, manifest, target)
) WITHOUT ROWID;
CREATE INDEX refs_by_target ON refs (repo, target);

CREATE TABLE tags (
  repo INTEGER NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (repo, tag)
) WITHOUT ROWID;
CREATE INDEX tags_in_order ON tags (repo, tag COLLATE NOCASE, tag);
CREATE INDEX tags_by_digest ON tags (repo, digest);

CREATE TABLE blobs (
  repo INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (repo, digest)
) WITHOUT ROWID;
CREATE INDEX blobs_by_digest ON blobs (digest);
`;

/** What makes a database of each version one of the next; the first entry makes one of version 1 from nothing. */
const STEPS: readonly string[] = [
  VERSION_1,
  `
-- Which links a digest has, in whatever repository.
DROP INDEX manifests_by_subject;
CREATE INDEX manifests_by_subject ON manifests (subject, repo, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_digest ON manifests (digest);
DROP INDEX refs_by_target;
CREATE INDEX refs_by_target ON refs (target);

-- Digests without a link: since when (milliseconds), and when an origin was last told, in which generation, that it may
-- remove the bytes. What was unlinked before this table existed gets its row when it is first asked about.
CREATE TABLE unlinked (
  digest TEXT PRIMARY KEY, since INTEGER NOT NULL, told INTEGER, generation INTEGER
) WITHOUT ROWID;
CREATE INDEX unlinked_by_told ON unlinked (told) WHERE told IS NOT NULL;

-- One row: which database this is, and the last generation.
CREATE TABLE identity (id TEXT NOT NULL, generation INTEGER NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(16))), 0);
`,
  `
-- Each tag has the number of the write that set it: 0 where that was before there were numbers. A deleted one has that
-- of its deletion here, while it is remembered.
ALTER TABLE tags ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tombstones (
  repo INTEGER NOT NULL, tag TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (repo, tag)
) WITHOUT ROWID;
CREATE INDEX tombstones_by_version ON tombstones (version);

-- The last number, and the last one whose tombstone was forgotten.
ALTER TABLE identity ADD COLUMN tag_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity ADD COLUMN forgotten_version INTEGER NOT NULL DEFAULT 0;
`,
  `
-- The database in which the write was made, where that is another one: it came from a backend.
ALTER TABLE tags ADD COLUMN writer TEXT;
ALTER TABLE tombstones ADD COLUMN writer TEXT;

-- What a backend is to be told of (outbox.ts): kind 'blob', 'manifest' or 'tag'; digest NULL: it was deleted.
CREATE TABLE outbox (
  repo INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  backend TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT,
  since INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, cause TEXT,
  PRIMARY KEY (repo, kind, name)
) WITHOUT ROWID;
CREATE INDEX outbox_by_due ON outbox (backend, due, version);
`,
  `
-- The backend that all of the repository was queued for, or comes from. NULL: none, it may be older than any.
ALTER TABLE repos ADD COLUMN backend TEXT;
`,
  `
-- Writes that their callers may ask for again, with what came of them (named.ts), in their order.
CREATE TABLE named (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, told TEXT NOT NULL);
`,
  SQLITE_TARGETS,
  `
-- Since when a blob's link is idle (idle.ts): no manifest of the repository refers to the blob. NULL: one does.
ALTER TABLE blobs ADD COLUMN idle INTEGER;
UPDATE blobs SET idle = unixepoch() * 1000
  WHERE NOT EXISTS (SELECT 1 FROM refs WHERE refs.target = blobs.digest AND refs.repo = blobs.repo);
CREATE INDEX blobs_by_idle ON blobs (idle) WHERE idle IS NOT NULL;
`,
  SQLITE_USED,
  SQLITE_SUCCESSION,
  SQLITE_DOOMED,
  SQLITE_UNTAGGED,
  SQLITE_DOCUMENTS,
];

export const tagsSchema: SqliteSchema = {
  name: 'index database',
  owner: 'a Shoal index',
  versionTable: 'schema',
  steps: STEPS,
};
