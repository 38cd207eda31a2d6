/**
 * In-memory parts for the agent's tests: a swarm that brings blobs piece by piece when it is told to,
 * a cache, an index. They keep the contracts of platform/peer, platform/store and IndexReads.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import type { ManifestRecord } from '../../core/contracts/index-api.ts';
import { type BlobIn, type Digest, digestOf } from '../../core/digest.ts';
import { pieceCount, pieceLengthFor } from '../../core/piece.ts';
import { Part } from '../../platform/peer/pulls/part.ts';
import type { PullWatcher } from '../../platform/peer/pulls/pull.ts';
import type { BlobEntry } from '../../platform/store/store.ts';
import type { ReferrersOf } from '../../platform/tags/store.ts';
import { Arena, type Slot } from '../../platform/workers/arena.ts';
import type { IndexReads } from '../registry.ts';

export function digestOfBytes(bytes: Uint8Array): Digest {
  return digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
}

type Page = Parameters<IndexReads['tags']>[1];
const sweepMs = 5;
type Cached = { readonly bytes: Uint8Array; readonly held: Set<number>; readonly entry: BlobEntry };

/** Origins, trackers, peers and this node's in one: what it `has` can be pulled; `stopAt` keeps pieces back. */
export class MemorySwarm {
  readonly has = new Map<Digest, Uint8Array>();
  readonly cache = new Map<Digest, Cached>();
  /** Pieces from this one on do not arrive. */
  stopAt = Number.POSITIVE_INFINITY;
  /** No tracker answers. */
  down = false;
  pulled: Digest[] = [];
  /** The repository of each pull, and of each question for a size. */
  readonly askedIn: (string | undefined)[] = [];
  stopped: Digest[] = [];
  dropped: Digest[] = [];
  readonly arena = new Arena(16 * 1024 * 1024);
  readonly #how: { readonly lingerMs: number; readonly findMs: number; readonly watcher: PullWatcher | undefined };
  readonly #parts = new Map<Digest, Part>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(how: { readonly lingerMs?: number; readonly findMs?: number; readonly watcher?: PullWatcher } = {}) {
    this.#how = { lingerMs: how.lingerMs ?? 50, findMs: how.findMs ?? 200, watcher: how.watcher };
  }

  add(bytes: Uint8Array): Digest {
    const digest = digestOfBytes(bytes);
    this.has.set(digest, bytes);
    return digest;
  }

  /** Lets pieces up to `piece` (exclusive) arrive. */
  arrive(piece: number): void {
    this.stopAt = piece;
    for (const part of this.#parts.values()) this.#bring(part);
  }

  get store() {
    return {
      usedBytes: 0,
      get: (digest: Digest) => this.cache.get(digest)?.entry,
      blobs: () =>
        Array.from(this.cache.values(), ({ entry: { digest, meta, complete } }) => ({
          digest,
          meta,
          complete,
          damaged: false,
        })),
      remove: async (digest: Digest) => void this.cache.delete(digest),
    };
  }

  get tracking() {
    return {
      locate: async ({ digest, repo }: BlobIn) => {
        this.askedIn.push(repo);
        if (this.down) throw new ApiError('UNAVAILABLE', 'no tracker answers');
        const bytes = this.has.get(digest);
        return bytes && { digest, meta: metaOf(bytes) };
      },
    };
  }

  get node() {
    return {
      pull: (digest: Digest, from: { repo?: string | undefined } = {}) => this.#pull(digest, from.repo),
      running: () => [...this.#parts.values()].filter((part) => part.running),
      drop: (digest: Digest) => void this.dropped.push(digest),
      lost: () => undefined,
    };
  }

  /** Nothing comes, and nothing ends, any more. */
  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
  }

  #pull(digest: Digest, repo: string | undefined): Part {
    const known = this.#parts.get(digest);
    if (known !== undefined) return known;
    this.pulled.push(digest);
    this.askedIn.push(repo);
    const nowMs = (): number => performance.now();
    const nothing = (): void => undefined;
    const host = { nowMs, readerAt: nothing, readerGone: nothing, waits: (one: Part) => this.#bring(one) };
    const part = new Part(digest, { pulls: true, given: false, repo }, { ...host, ...this.#how });
    this.#parts.set(digest, part);
    queueMicrotask(() => this.#bring(part));
    this.#sweeper ??= setInterval(() => this.#sweep(performance.now()), sweepMs);
    return part;
  }

  #sweep(nowMs: number): void {
    for (const part of this.#parts.values()) {
      this.#bring(part);
      part.sweep(nowMs, { stallMs: 60_000, learnMs: this.#how.findMs });
      if (part.used) part.usedMs = nowMs;
      if (part.unused(nowMs) !== 'unwanted') continue;
      this.stopped.push(part.digest);
      this.#parts.delete(part.digest);
      part.fail('unwanted', new ApiError('UNAVAILABLE', 'nobody reads it any more'));
    }
  }

  /** What may come of it, of what somebody waits for. */
  #bring(part: Part): void {
    if (this.down || this.#parts.get(part.digest) !== part) return;
    const { digest } = part;
    const bytes = this.has.get(digest);
    if (bytes === undefined) {
      this.#parts.delete(digest);
      return part.fail('unknown', new ApiError('BLOB_UNKNOWN', `no origin knows blob ${digest}`));
    }
    const { entry, held } = this.cached(digest, bytes, []);
    if (part.state === 'seeking') part.enter(entry, entry.complete ? 'arrived' : 'learned');
    for (const piece of part.waited()) {
      if (piece >= this.stopAt) continue;
      held.add(piece);
      part.held(piece);
    }
    if (!entry.complete) return;
    this.#parts.delete(digest);
    part.stats.bytesFromPeers = bytes.length;
    if (part.state === 'pulling') part.finish();
  }

  /** Puts a blob in the cache with the pieces given. */
  cached(digest: Digest, bytes: Uint8Array, pieces: 'all' | readonly number[]): Cached {
    const known = this.cache.get(digest);
    if (known !== undefined) return known;
    const meta = metaOf(bytes);
    const count = pieceCount(meta);
    const held = new Set(pieces === 'all' ? Array.from({ length: count }, (_, i) => i) : pieces);
    const entry = {
      digest,
      meta,
      failure: undefined,
      get complete() {
        return held.size === count;
      },
      get heldCount() {
        return held.size;
      },
      has: (piece: number) => held.has(piece),
      haveBits: () => {
        const bits = new Uint8Array(Math.ceil(count / 8));
        for (const piece of held) bits[piece >> 3] = (bits[piece >> 3] ?? 0) | (1 << (piece & 7));
        return bits;
      },
      read: async (piece: number, slot: Slot) => {
        let at = piece * meta.pieceLength;
        for (const part of slot.parts()) {
          part.set(bytes.subarray(at, at + part.length));
          at += part.length;
        }
        return 'ok' as const;
      },
      pin: () => () => undefined,
      touch: () => undefined,
    };
    const cached = { bytes, held, entry: entry as unknown as BlobEntry };
    this.cache.set(digest, cached);
    return cached;
  }
}

function metaOf(bytes: Uint8Array) {
  return { length: bytes.length, pieceLength: pieceLengthFor(bytes.length), root: '0'.repeat(64) };
}

export class MemoryIndex implements IndexReads {
  readonly tagged = new Map<string, ManifestRecord>();
  readonly held = new Map<string, ManifestRecord>();
  readonly blobs = new Map<string, number>();
  down = false;

  async tag(repo: string, tag: string) {
    this.#up();
    return this.tagged.get(`${repo}:${tag}`);
  }
  async manifest(repo: string, digest: Digest) {
    this.#up();
    return this.held.get(`${repo}@${digest}`);
  }
  async tags(repo: string, page: Page) {
    this.#up();
    const all = [...this.tagged.keys()]
      .filter((key) => key.startsWith(`${repo}:`))
      .map((key) => key.slice(repo.length + 1));
    if (all.length === 0) throw new ApiError('NAME_UNKNOWN', `there is no repository ${repo}`);
    const rest = all.sort().filter((tag) => tag > (page.last ?? ''));
    return { tags: rest.slice(0, page.n), more: rest.length > page.n };
  }
  /** The manifest itself, as often as there are tags on it. */
  async referrers(repo: string, digest: Digest, { artifactType, n, last }: ReferrersOf) {
    this.#up();
    const record = this.held.get(`${repo}@${digest}`);
    const all =
      record === undefined || last !== undefined
        ? []
        : [
            { ...record, artifactType },
            { ...record, artifactType },
          ];
    return { manifests: all.slice(0, n), more: all.length > n };
  }
  async blob(repo: string, digest: Digest) {
    this.#up();
    const size = this.blobs.get(`${repo}@${digest}`);
    return size === undefined ? undefined : { digest, size };
  }
  async catalog(page: Page) {
    this.#up();
    const all = [...new Set([...this.tagged.keys()].map((key) => key.slice(0, key.lastIndexOf(':'))))].sort();
    return { repositories: all.slice(0, page.n), more: all.length > page.n };
  }
  #up(): void {
    if (this.down) throw new ApiError('UNAVAILABLE', 'the index does not answer');
  }
}
