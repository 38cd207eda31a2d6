/**
 * Documents: small values that the index keeps for all processes of a cluster, each with a name and a version. Who changes
 * one says which version it has read; who follows one is told of the next version within a second or two.
 *
 * Rule 1: each name has routes of its own, so that core/access/table.ts says of each who may read and who may write it.
 * Rule 2: a version is a number that goes up with each change, and follows the clock: whoever has one of a database that was
 *   lost, or put back to an older state, has another one than those that come after. So followers compare for being equal.
 * Rule 3: an index of the release before knows no such paths.
 */

import { digits, Malformed, optional, type Parser, record, whole } from '../parse.ts';
import { route } from '../route.ts';

export const DOCUMENT_NAMES = [
  // Users, and what they may do.
  'access',
  // What tokens are signed with.
  'access-key',
  // What of both is for everybody to know.
  'access-public',
  // Digests that nobody is given (blocks.ts).
  'blocks',
] as const;
export type DocumentName = (typeof DOCUMENT_NAMES)[number];

/** As JSON. It goes to every host. */
export const documentBytesMax = 1024 * 1024;
/** How long a question for the next version is kept open: thousands of hosts that ask again are some hundred questions a second. */
export const documentWaitMs = 25_000;
const againMsMax = 60_000;
const versionMax = Number.MAX_SAFE_INTEGER;

/** `version` 0: there is none. Without `body` there is nothing newer. `againMs`: to be asked for no sooner, as too many wait. */
export type DocumentSaid = {
  readonly version: number;
  readonly body?: unknown;
  readonly againMs?: number | undefined;
};
/** Written only where the version still is `expected`; 0: where there is none. Else 409 DOCUMENT_CHANGED. */
export type DocumentPut = { readonly expected: number; readonly body: unknown };
/** `detail` of DOCUMENT_CHANGED: the present one. */
export type DocumentChanged = { readonly version: number };

const anything: Parser<unknown> = (value) => value;
const something: Parser<unknown> = (value) => {
  if (value === undefined || value === null) throw new Malformed('is missing');
  return value;
};
const version = whole(versionMax);

function routesOf(name: DocumentName) {
  const pattern = `/v1/documents/${name}`;
  return {
    /** With `after`: waits until the version is another one, or documentWaitMs is over. */
    read: route('GET', pattern, {
      query: { after: optional(digits(versionMax)) },
      reply: record({ version, body: anything, againMs: optional(whole(againMsMax)) }) satisfies Parser<DocumentSaid>,
    }),
    put: route('PUT', pattern, {
      body: record({ expected: version, body: something }) as Parser<DocumentPut>,
      reply: record({ version }) satisfies Parser<DocumentChanged>,
    }),
  };
}

export const DOCUMENTS = {
  access: routesOf('access'),
  'access-key': routesOf('access-key'),
  'access-public': routesOf('access-public'),
  blocks: routesOf('blocks'),
} as const satisfies Readonly<Record<DocumentName, unknown>>;
