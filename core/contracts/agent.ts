/** The agent's control interface, on loopback: what is cached, what runs, blobs by plain digest; and Kraken's agent paths. */

import type { Digest } from '../digest.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { anyPeer, byteCount, digest, inPlainDigest, peer } from './fields.ts';
import { inKrakenTag } from './kraken/fields.ts';
import { finite, flag, listOf, oneOf, optional, type Parser, record, text, textThat } from './parse.ts';
import { type Param, route } from './route.ts';

/** The agent at a glance, for people and for the demo's table. */
export type AgentStatus = {
  readonly role: 'agent';
  readonly self: PeerAddress;
  readonly cluster: string;
  readonly peer: PeerStatus;
  readonly cache: CacheStatus;
  readonly running: readonly RunningPull[];
  /** The latest finished pulls, oldest first. */
  readonly finished: readonly FinishedPull[];
  /** Since the start; `finished` has the latest finishedPullsMax of them. */
  readonly finishedTotal: number;
};

export type PeerStatus = {
  readonly links: { readonly dialled: number; readonly accepted: number };
  /** Blobs in whose swarms it takes part. */
  readonly blobs: number;
  readonly peers: readonly { readonly address: PeerAddress; readonly dialled: boolean }[];
};

export type CacheStatus = {
  readonly blobs: number;
  readonly complete: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  /** Blobs that there is no room for and that are being read, and the bytes on disk of their windows. */
  readonly passing: number;
  readonly passingBytes: number;
};

/** `kept`: whether the cache has room for the blob. */
export type RunningPull = {
  readonly digest: Digest;
  readonly users: number;
  readonly ms: number;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigins: number;
  readonly kept: boolean;
};

export type FinishedPull = {
  readonly digest: Digest;
  readonly bytes: number;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigins: number;
  /** From the first request to the last verified piece. */
  readonly ms: number;
  /** From the first request until the first client got its first bytes. */
  readonly firstByteMs: number;
  /** False: the cache had no room for the blob, which passed through. */
  readonly kept: boolean;
};

export type CachedBlob = {
  readonly digest: Digest;
  readonly size: number;
  readonly complete: boolean;
  /** Share of its pieces that is here, 0 to 1. */
  readonly share: number;
};

export const finishedPullsMax = 256;
/** More than any agent has of anything; what is read stays below the client's limit of bytes. */
const entriesMax = 1_000_000;
const clusterMax = 64;

const pulled = { digest, bytesFromPeers: byteCount, bytesFromOrigins: byteCount, ms: finite, kept: flag };
const status: Parser<AgentStatus> = record({
  role: oneOf('agent'),
  self: peer,
  cluster: text(clusterMax),
  peer: record({
    links: record({ dialled: byteCount, accepted: byteCount }),
    blobs: byteCount,
    peers: listOf(record({ address: anyPeer, dialled: flag }), entriesMax),
  }),
  cache: record({
    blobs: byteCount,
    complete: byteCount,
    bytes: byteCount,
    budgetBytes: byteCount,
    passing: byteCount,
    passingBytes: byteCount,
  }),
  running: listOf(record({ ...pulled, users: byteCount }), entriesMax),
  finished: listOf(record({ ...pulled, bytes: byteCount, firstByteMs: finite }), finishedPullsMax),
  finishedTotal: byteCount,
});

const any = (refused: Param<string>['refused']): Param<string> => ({ parser: text(1024, 1), refused });

const dataPath = '/v1/blobs/:digest/data';
/** Kraken's: the namespace chose its backend, and names nothing here. */
const namespacePath = '/namespace/:ns/blobs/:digest';
/** As containerd's own rule. */
const runtimeNamespace = textThat(
  (name) => name.length <= 76 && /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/.test(name),
  'is no namespace of containerd',
);
const ofBlob = { params: { digest: inPlainDigest } };
const ofNamespace = { params: { ns: any('NAME_INVALID'), digest: inPlainDigest } };

export const AGENT = {
  status: route('GET', '/v1/status', { reply: status }),
  blobs: route('GET', '/v1/blobs', {
    reply: record({
      blobs: listOf(
        record({ digest, size: byteCount, complete: flag, share: finite }) satisfies Parser<CachedBlob>,
        entriesMax,
      ),
    }),
  }),
  /** From the cache only. */
  remove: route('DELETE', '/v1/blobs/:digest', ofBlob),
  /** The bytes; Range is honoured. */
  read: route('GET', dataPath, ofBlob),
  head: route('HEAD', dataPath, ofBlob),
} as const;

/** Kraken's paths, so that its users' scripts keep working. */
export const KRAKEN = {
  read: route('GET', namespacePath, ofNamespace),
  head: route('HEAD', namespacePath, ofNamespace),
  /** 200, whether it was there or not. */
  remove: route('DELETE', '/blobs/:digest', ofBlob),
  /** `repo:tag`, URL-encoded; answers the digest as text. */
  tag: route('GET', '/tags/:tag', { params: { tag: inKrakenTag } }),
  /** 200 once a container runtime of this host has it, by this agent; 500. `namespace`: containerd's. */
  preload: route('GET', '/preload/tags/:tag', {
    params: { tag: inKrakenTag },
    query: { runtime: optional(oneOf('docker', 'containerd')), namespace: optional(runtimeNamespace) },
  }),
} as const;
