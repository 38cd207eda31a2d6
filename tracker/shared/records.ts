/**
 * What trackers that share leases tell one another, and keep, in Redis.
 *
 * A node is a hash of its own, which ends with its leases: the field of the empty name says who it is, every other is a
 * blob that it wants or has. Beside it each tracker publishes what it was announced.
 *
 * Rule 1: whatever is read there may be anybody's: it is believed as an announce is, and metainfo is never among it.
 * Rule 2: what cannot be read is undefined; nobody fails for it.
 */

import { node, peer, digest as validDigest } from '../../core/contracts/fields.ts';
import { field, fields, listOf, oneOf, optional, type Parser, parse, text, whole } from '../../core/contracts/parse.ts';
import type { AnnounceEntry } from '../../core/contracts/tracker.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';

/** Of a node, what it announced to one tracker. */
export type NodeNews = {
  readonly self: PeerAddress;
  /** Whose limits count it. */
  readonly client: string;
  /** Its leases once this is applied. */
  readonly held: number;
  /** All others of it end. */
  readonly reset: boolean;
  readonly entries: readonly AnnounceEntry[];
};

export type ToldNews = { readonly from: string; readonly news: readonly NodeNews[]; readonly left: readonly string[] };

/** The field of a node's hash that says who it is. */
export const selfField = '';
/** Nodes of a message: more than a tracker sends. */
const nodesMax = 4_096;
/** Blobs of a node; the limits of the tracker's own table come on top. */
const blobsMax = 1_000_000;
const clientCharsMax = 128;

const state = oneOf('want', 'have', 'gone');
const entry: Parser<AnnounceEntry> = (value) => {
  const of = fields(value);
  return { digest: field(of, 'digest', validDigest), state: field(of, 'state', state), seek: 0 };
};
const news: Parser<NodeNews> = (value) => {
  const of = fields(value);
  return {
    self: field(of, 'self', peer),
    client: field(of, 'client', text(clientCharsMax)),
    held: field(of, 'held', whole(Number.MAX_SAFE_INTEGER)),
    reset: of['reset'] === true,
    entries: field(of, 'entries', listOf(entry, blobsMax)),
  };
};
const told: Parser<ToldNews> = (value) => {
  const of = fields(value);
  return {
    from: field(of, 'from', text(64)),
    news: field(of, 'news', optional(listOf(news, nodesMax))) ?? [],
    left: field(of, 'left', optional(listOf(node, nodesMax))) ?? [],
  };
};

export function readTold(message: string): ToldNews | undefined {
  return readAs(told, message);
}

export function selfText({ self, client }: Pick<NodeNews, 'self' | 'client'>): string {
  return JSON.stringify({ self, client });
}

/** The node whose hash this is; undefined: it is none, or another's. */
export function readNode(id: string, hash: Readonly<Record<string, string>>): NodeNews | undefined {
  const who = readAs((value) => {
    const of = fields(value);
    return { self: field(of, 'self', peer), client: field(of, 'client', text(clientCharsMax)) };
  }, hash[selfField] ?? '');
  if (who === undefined || who.self.node !== id) return undefined;
  const entries: AnnounceEntry[] = [];
  for (const [name, said] of Object.entries(hash)) {
    if (name === selfField) continue;
    const read = parse(entry, { digest: name, state: said }, 'entry');
    if (!read.ok || read.value.state === 'gone') return undefined;
    entries.push(read.value);
  }
  return { ...who, held: entries.length, reset: true, entries };
}

function readAs<T>(parser: Parser<T>, from: string): T | undefined {
  try {
    const read = parse(parser, JSON.parse(from), 'it');
    return read.ok ? read.value : undefined;
  } catch {
    return undefined;
  }
}
