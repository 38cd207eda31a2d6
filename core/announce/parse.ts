/**
 * Announces, answers and leaves as they come off the network, checked by hand: they are the tracker's
 * hot path, where a schema library would cost more than the work itself.
 *
 * Rule: what is returned has exactly the fields of the contract, each within its limits; unknown fields
 * are dropped. A failure is a line that names the field.
 */

import type { BlobInfo } from '../contracts/origin.ts';
import {
  type AnnounceAnswer,
  type AnnounceEntry,
  type AnnounceReply,
  type AnnounceRequest,
  announceEntriesMax,
  handoutPeersMax,
  inlineBytesMax,
  type LeaveRequest,
  type Located,
  originsTellable,
  originsToldMax,
} from '../contracts/tracker.ts';
import { type Digest, parseDigest } from '../digest.ts';
import { type Metainfo, metainfoValid } from '../piece.ts';
import { hostBytesMax, zoneBytesMax } from '../wire/limits.ts';
import type { PeerAddress } from '../wire/messages.ts';

/** `problem` names what is wrong, ready to be shown. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const nodePattern = /^[0-9a-f]{32}$/;
const hostPattern = /^[A-Za-z0-9.:_%-]+$/;
/** What the wire can carry: peers tell one another of each other. */
const zonePattern = /^[\x20-\x7e]*$/;
const base64LengthMax = Math.ceil(inlineBytesMax / 3) * 4;
/** A lease of more than a day is a mistake. */
const timeMsMax = 86_400_000;
const seekMax = 1024;

/** Thrown within this file only. */
class Malformed extends Error {}

export function parseAnnounce(body: unknown): Parsed<AnnounceRequest> {
  return guarded(() => {
    const { self, entries, held, reset } = fields(body, 'the body');
    if (!Array.isArray(entries)) throw new Malformed('entries is not a list');
    if (entries.length > announceEntriesMax)
      throw new Malformed(`entries has more than ${announceEntriesMax}: send several batches`);
    const request: AnnounceRequest = { self: peerOf(self, 'self'), entries: entries.map(entryOf) };
    if (held === undefined && reset !== true) return request;
    return {
      ...request,
      held: held === undefined ? undefined : whole(held, Number.MAX_SAFE_INTEGER, 'held'),
      reset: reset === true,
    };
  });
}

export function parseLeave(body: unknown): Parsed<LeaveRequest> {
  return guarded(() => ({ node: nodeOf(fields(body, 'the body')['node'], 'node') }));
}

export function parseReply(body: unknown): Parsed<AnnounceReply> {
  return guarded(() => {
    const { leaseMs, intervalMs, answers, resync, origins } = fields(body, 'the reply');
    if (!Array.isArray(answers)) throw new Malformed('answers is not a list');
    if (answers.length > announceEntriesMax) throw new Malformed('answers is too long');
    const reply = {
      leaseMs: whole(leaseMs, timeMsMax, 'leaseMs'),
      // Never so short that the announcer would spin.
      intervalMs: Math.max(100, whole(intervalMs, timeMsMax, 'intervalMs')),
      answers: answers.map(answerOf),
    };
    const told = origins === undefined ? reply : { ...reply, origins: originsOf(origins) };
    return resync === true ? { ...told, resync } : told;
  });
}

export function parseLocated(body: unknown): Parsed<Located> {
  return guarded(() => {
    const { digest, meta, inline } = fields(body, 'the answer');
    return { digest: digestOf(digest, 'digest'), meta: metaOf(meta, 'meta'), inline: inlineOf(inline, 'inline') };
  });
}

/** What an origin says of a blob that it holds. */
export function parseInfo(body: unknown): Parsed<BlobInfo> {
  return guarded(() => {
    const { digest, meta, inline, peer } = fields(body, 'the answer');
    const info = { digest: digestOf(digest, 'digest'), meta: metaOf(meta, 'meta'), peer: peerOf(peer, 'peer') };
    return inline === undefined ? info : { ...info, inline: inlineOf(inline, 'inline') };
  });
}

function guarded<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, problem: error.message };
    throw error;
  }
}

function entryOf(value: unknown, index: number): AnnounceEntry {
  const { digest, state, seek, meta } = fields(value, `entries[${index}]`);
  if (state !== 'want' && state !== 'have' && state !== 'gone')
    throw new Malformed(`entries[${index}].state is none of want, have, gone`);
  const entry = {
    digest: digestOf(digest, `entries[${index}].digest`),
    state,
    seek: whole(seek, seekMax, `entries[${index}].seek`),
  } as const;
  return meta === undefined ? entry : { ...entry, meta: metaOf(meta, `entries[${index}].meta`) };
}

function answerOf(value: unknown, index: number): AnnounceAnswer {
  const { digest, peers, meta, inline, error } = fields(value, `answers[${index}]`);
  if (!Array.isArray(peers) || peers.length > handoutPeersMax)
    throw new Malformed(`answers[${index}].peers is not a list of at most ${handoutPeersMax}`);
  if (error !== undefined && error !== 'unknown' && error !== 'unavailable')
    throw new Malformed(`answers[${index}].error is not known`);
  return {
    digest: digestOf(digest, `answers[${index}].digest`),
    peers: peers.map((peer, i) => peerOf(peer, `answers[${index}].peers[${i}]`)),
    meta: meta === undefined ? undefined : metaOf(meta, `answers[${index}].meta`),
    inline: inlineOf(inline, `answers[${index}].inline`),
    error,
  };
}

/** An address that a peer gave of itself or of another. */
function peerOf(value: unknown, name: string): PeerAddress {
  const { node, host, port, role, zone } = fields(value, name);
  if (typeof host !== 'string' || host.length > hostBytesMax || !hostPattern.test(host))
    throw new Malformed(`${name}.host is no address`);
  if (role !== 'agent' && role !== 'origin') throw new Malformed(`${name}.role is neither agent nor origin`);
  if (typeof zone !== 'string' || zone.length > zoneBytesMax || !zonePattern.test(zone))
    throw new Malformed(`${name}.zone is not printable ASCII of at most ${zoneBytesMax}`);
  return { node: nodeOf(node, `${name}.node`), host, port: whole(port, 65_535, `${name}.port`), role, zone };
}

function nodeOf(value: unknown, name: string): string {
  if (typeof value !== 'string' || !nodePattern.test(value)) throw new Malformed(`${name} is not 32 hex digits`);
  return value;
}

function digestOf(value: unknown, name: string): Digest {
  const digest = typeof value === 'string' ? parseDigest(value) : undefined;
  if (digest === undefined) throw new Malformed(`${name} is no digest`);
  return digest;
}

function metaOf(value: unknown, name: string): Metainfo {
  const { length, pieceLength, root } = fields(value, name);
  const meta = { length, pieceLength, root } as Metainfo;
  if (typeof root !== 'string' || !metainfoValid(meta)) throw new Malformed(`${name} is no metainfo`);
  return meta;
}

function originsOf(value: unknown): readonly string[] {
  if (!Array.isArray(value) || !originsTellable(value))
    throw new Malformed(`origins is not a list of 1 to ${originsToldMax} different http(s) URLs`);
  return value;
}

function inlineOf(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  // Whether it is base64, and of the right bytes, its digest will tell (platform/peer/pulls/inline.ts).
  if (typeof value !== 'string' || value.length > base64LengthMax || value.length % 4 !== 0)
    throw new Malformed(`${name} is no small blob in base64`);
  return value;
}

function whole(value: unknown, max: number, name: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max)
    throw new Malformed(`${name} is no whole number from 0 to ${max}`);
  return value;
}

function fields(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Malformed(`${name} is not an object`);
  return value as Record<string, unknown>;
}
