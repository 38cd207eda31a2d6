/**
 * The tables of the tag store in PostgreSQL. A change of anything here is a new version, that is one more step at the end of
 * `postgresSteps`. Text is compared by its bytes, in whatever order the database sorts words.
 */

import { POSTGRES_DOCUMENTS } from '../documents/documents.ts';
import { POSTGRES_DOOMED } from '../doomed.ts';
import { POSTGRES_UNTAGGED } from '../retention/untagged.ts';
import { POSTGRES_SUCCESSION } from '../succession.ts';
import { POSTGRES_USED } from '../used.ts';
import { POSTGRES_TARGETS } from './targets.ts';

const VERSION_1 = `
CREATE TABLE repos (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  -- The backend that all of it was queued for, or comes from. NULL: none, it may be older than any.
  backend text
);

CREATE TABLE manifests (
  repo bigint NOT NULL, digest text COLLATE "C" NOT NULL, media_type text NOT NULL, size bigint NOT NULL,
  subject text COLLATE "C", artifact_type text, annotations text,
  PRIMARY KEY (repo, digest)
);
CREATE INDEX manifests_by_subject ON manifests (subject, repo, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_digest ON manifests (digest);

-- What each manifest refers to: kind 'blob' or 'manifest'.
CREATE TABLE refs (
  repo bigint NOT NULL, manifest text COLLATE "C" NOT NULL, target text COLLATE "C" NOT NULL, kind text NOT NULL,
  PRIMARY KEY (repo, manifest, target)
);
CREATE INDEX refs_by_target ON refs (target);

-- Each with the number of the write that set it; writer: another database, in which that was made.
CREATE TABLE tags (
  repo bigint NOT NULL, tag text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL,
  version bigint NOT NULL, writer text,
  PRIMARY KEY (repo, tag)
);
CREATE INDEX tags_in_order ON tags (repo, lower(tag), tag);
CREATE INDEX tags_by_digest ON tags (repo, digest);
CREATE TABLE tombstones (
  repo bigint NOT NULL, tag text COLLATE "C" NOT NULL, version bigint NOT NULL, writer text,
  PRIMARY KEY (repo, tag)
);
CREATE INDEX tombstones_by_version ON tombstones (version);

CREATE TABLE blobs (
  repo bigint NOT NULL, digest text COLLATE "C" NOT NULL, size bigint NOT NULL,
  PRIMARY KEY (repo, digest)
);
CREATE INDEX blobs_by_digest ON blobs (digest);

-- Digests without a link: since when (milliseconds), and when an origin was last told, in which generation, that it may
-- remove the bytes.
CREATE TABLE unlinked (digest text COLLATE "C" PRIMARY KEY, since bigint NOT NULL, told bigint, generation bigint);
CREATE INDEX unlinked_by_told ON unlinked (told) WHERE told IS NOT NULL;

-- What a backend is to be told of (outbox.ts); held: until when (milliseconds) somebody works on it.
CREATE TABLE outbox (
  repo bigint NOT NULL, kind text NOT NULL, name text COLLATE "C" NOT NULL,
  backend text NOT NULL, version bigint NOT NULL, digest text,
  since bigint NOT NULL, due bigint NOT NULL, held bigint NOT NULL DEFAULT 0, attempts integer NOT NULL, cause text,
  PRIMARY KEY (repo, kind, name)
);
CREATE INDEX outbox_by_due ON outbox (backend, greatest(due, held), version);

-- One row, which each writer locks: which database this is, the last numbers, and the last one whose tombstone was forgotten.
CREATE TABLE identity (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), id text NOT NULL,
  generation bigint NOT NULL DEFAULT 0, tag_version bigint NOT NULL DEFAULT 0, forgotten_version bigint NOT NULL DEFAULT 0
);
INSERT INTO identity (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

-- The last transaction of each process (group.ts): whether it was done is read here where its answer was lost.
CREATE TABLE writers (id text PRIMARY KEY, no bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
`;

const VERSION_2 = `
-- Writes that their callers may ask for again, with what came of them (named.ts), in their order.
CREATE TABLE named (
  name text COLLATE "C" PRIMARY KEY, no bigint GENERATED ALWAYS AS IDENTITY, told text NOT NULL
);
CREATE INDEX named_by_no ON named (no);
`;

const IDLE = `
-- Since when a blob's link is idle (idle.ts): no manifest of the repository refers to the blob. NULL: one does.
ALTER TABLE blobs ADD COLUMN idle bigint;
UPDATE blobs SET idle = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
  WHERE NOT EXISTS (SELECT 1 FROM refs WHERE refs.target = blobs.digest AND refs.repo = blobs.repo);
CREATE INDEX blobs_by_idle ON blobs (idle) WHERE idle IS NOT NULL;
-- Whether a repository refers to a digest that thousands of them refer to.
DROP INDEX refs_by_target;
CREATE INDEX refs_by_target ON refs (target, repo);
`;

/** What makes the tables of each version those of the next; the first entry makes version 1 from nothing. */
export const postgresSteps: readonly string[] = [
  VERSION_1,
  VERSION_2,
  POSTGRES_TARGETS,
  IDLE,
  POSTGRES_USED,
  POSTGRES_SUCCESSION,
  POSTGRES_DOOMED,
  POSTGRES_UNTAGGED,
  POSTGRES_DOCUMENTS,
];
/** The table of one row that holds the version, and by which the tables are known as ours. */
export const versionTable = 'shoal_index';
/** Tables that a move fills have a version above this: no release takes them for its own (moving/moving.ts). */
export const movingAbove = 1_000_000;
