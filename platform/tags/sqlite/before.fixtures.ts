/** What made a database of the index in each release before, written down as that release had it. */

export const VERSION_1 = `
CREATE TABLE schema (version INTEGER NOT NULL);
INSERT INTO schema VALUES (1);

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

/** Made of one of version 1. */
export const VERSION_2 = `
DROP INDEX manifests_by_subject;
CREATE INDEX manifests_by_subject ON manifests (subject, repo, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_digest ON manifests (digest);
DROP INDEX refs_by_target;
CREATE INDEX refs_by_target ON refs (target);
CREATE TABLE unlinked (
  digest TEXT PRIMARY KEY, since INTEGER NOT NULL, told INTEGER, generation INTEGER
) WITHOUT ROWID;
CREATE INDEX unlinked_by_told ON unlinked (told) WHERE told IS NOT NULL;
CREATE TABLE identity (id TEXT NOT NULL, generation INTEGER NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(16))), 0);
UPDATE schema SET version = 2;
`;

/** Made of one of version 2. */
export const VERSION_3 = `
ALTER TABLE tags ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tombstones (
  repo INTEGER NOT NULL, tag TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (repo, tag)
) WITHOUT ROWID;
CREATE INDEX tombstones_by_version ON tombstones (version);
ALTER TABLE identity ADD COLUMN tag_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity ADD COLUMN forgotten_version INTEGER NOT NULL DEFAULT 0;
UPDATE schema SET version = 3;
`;

/** Made of one of version 3. */
export const VERSION_4 = `
ALTER TABLE tags ADD COLUMN writer TEXT;
ALTER TABLE tombstones ADD COLUMN writer TEXT;
CREATE TABLE outbox (
  repo INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  backend TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT,
  since INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, cause TEXT,
  PRIMARY KEY (repo, kind, name)
) WITHOUT ROWID;
CREATE INDEX outbox_by_due ON outbox (backend, due, version);
UPDATE schema SET version = 4;
`;

/** Made of one of version 4. */
export const VERSION_5 = `
ALTER TABLE repos ADD COLUMN backend TEXT;
UPDATE schema SET version = 5;
`;
