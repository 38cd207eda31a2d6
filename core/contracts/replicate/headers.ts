/**
 * What clusters tell one another of a write, in headers of the registry's own API: it is a push as any other, but for these
 * (docs/replication.md). And what an operator asks an index of its remotes.
 *
 * Rule 1: who knows none of these headers ignores them. So a sender looks first who it speaks to, and what is taken there
 *   (`introduced`); a write that lost its version on the way would be a new one, and come back for ever.
 * Rule 2: a version is believed of who shows a secret of both clusters, and of nobody else.
 */

import { type TagVersion, versionOfTag } from '../index-api.ts';
import { type Parsed, parse } from '../parse.ts';

export const REPLICATION_HEADERS = {
  /** Of a PUT or DELETE by tag: the write as it was made elsewhere. Of an answer by tag: the write that the tag is at. */
  version: 'shoal-tag-version',
  /** A secret that both clusters know. */
  token: 'shoal-replication-token',
  /** Of GET /v2/: whoever sends it, as `ask`, is told of the next two. Of the answer: what becomes of a version. */
  taken: 'shoal-replication',
  /** Of that answer, as `taken`: deletions by digest, with a version, delete what nothing there needs, and nothing else. */
  deletions: 'shoal-replication-deletions',
  /** Of that answer: which cluster this is, as its index knows itself. */
  cluster: 'shoal-cluster',
} as const;

export type ReplicationHeader = (typeof REPLICATION_HEADERS)[keyof typeof REPLICATION_HEADERS];

export const askedForReplication = 'ask';

/** taken: as they were made; refused: the secret is not one of theirs; off: versions are not taken from anybody. */
export type ReplicationTaken = 'taken' | 'refused' | 'off';
const takings: readonly string[] = ['taken', 'refused', 'off'] satisfies ReplicationTaken[];

/** `deletions`: it takes those of manifests. */
export type Introduced = { readonly cluster: string; readonly taken: ReplicationTaken; readonly deletions: boolean };

type Headers = Readonly<Record<string, unknown>>;

/** What a cluster said of itself; undefined: it is none that knows of this. */
export function introducedIn(headers: Headers): Introduced | undefined {
  const [cluster, taken] = [headers[REPLICATION_HEADERS.cluster], headers[REPLICATION_HEADERS.taken]];
  if (typeof cluster !== 'string' || !/^[0-9a-f]{32}$/.test(cluster)) return undefined;
  if (typeof taken !== 'string' || !takings.includes(taken)) return undefined;
  return { cluster, taken: taken as ReplicationTaken, deletions: headers[REPLICATION_HEADERS.deletions] === 'taken' };
}

/** The version that a header says: a tag's, by whoever made the write. */
export function tagVersionIn(text: string): Parsed<TagVersion> {
  return parse(versionOfTag, text, REPLICATION_HEADERS.version);
}
