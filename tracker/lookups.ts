/**
 * What the origins know of a blob: metainfo, the bytes of a small one, and which of them hold it.
 *
 * Rule 1: one lookup per blob at a time, whoever asks; its owners first and at once, then all others,
 *   since a blob that was just pushed is not yet at its owners.
 * Rule 2: 'unknown' is said only where every origin said so; where one did not answer, 'unavailable'.
 *   The answer is that of the digest, whichever repository it was asked for in: whoever asks first names that to the
 *   origins, for all who wait. (What an origin would refuse to one of them it cannot tell apart yet.)
 * Rule 3: what is known is used while it is refreshed in the background; what is not is asked again
 *   after a fraction of a second, so that a pull right after a push finds the blob.
 */

import { inlineBytesMax } from '../core/contracts/fields.ts';
import type { BlobInfo } from '../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import type { Metainfo } from '../core/piece.ts';
import type { PeerAddress } from '../core/wire/messages.ts';
import { CallContext } from '../platform/clients/context.ts';
import { silent } from '../platform/clients/copies.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import { Lru } from './lru.ts';

/** `inline`: base64 of a blob of at most inlineBytesMax. */
export type Known = {
  readonly kind: 'known';
  readonly meta: Metainfo;
  readonly inline: string | undefined;
  readonly origins: readonly PeerAddress[];
};
export type Found = Known | { readonly kind: 'unknown' } | { readonly kind: 'unavailable'; readonly why: string };

/** An origin's address changes when it restarts; its metainfo never does. */
const knownMs = 15_000;
const unknownMs = 300;
const unavailableMs = 500;
/** Owners that are asked at once. */
const ownersAtOnce = 2;
/** Lookups on their way; more are told to come back. */
const lookupsMax = 1024;
/** A lookup ends by then, answered or not. */
const lookupMsMax = 10_000;
/** Memory of a cached answer beside its inline bytes, about. */
const weightOfFact = 1024;

type Fact = { readonly found: Found; readonly atMs: number; readonly untilMs: number };

export type LookupsOptions = {
  readonly origins: { order(digest: Digest): readonly Pick<OriginClient, 'info'>[] };
  readonly memoryBytes: number;
  readonly nowMs: () => number;
  /** Told of every lookup that ended. */
  readonly onLookup: (blob: BlobIn, found: Found) => void;
};

export class Lookups {
  readonly #options: LookupsOptions;
  readonly #facts: Lru<Digest, Fact>;
  readonly #running = new Map<Digest, Promise<Found>>();

  constructor(options: LookupsOptions) {
    this.#options = options;
    this.#facts = new Lru(
      options.memoryBytes,
      ({ found }) => weightOfFact + (found.kind === 'known' ? (found.inline?.length ?? 0) : 0),
    );
  }

  get bytes(): number {
    return this.#facts.weight;
  }

  /** What is known now; a refresh is begun where that is old. */
  peek(digest: Digest, repo?: string): Known | undefined {
    const fact = this.#facts.get(digest);
    if (fact?.found.kind !== 'known') return undefined;
    if (fact.untilMs <= this.#options.nowMs()) void this.#look({ digest, repo });
    return fact.found;
  }

  /** What is known, or what the origins say. Never rejects. */
  find(blob: BlobIn, call: CallContext): Promise<Found> {
    const { digest, repo } = blob;
    const known = this.peek(digest, repo);
    if (known !== undefined) return Promise.resolve(known);
    const fact = this.#facts.get(digest);
    if (fact !== undefined && fact.untilMs > this.#options.nowMs()) return Promise.resolve(fact.found);
    return this.#look(blob, call);
  }

  /** What was heard of the blob may hold no more: the next who asks has the origins asked. Often is as good as once. */
  doubt(digest: Digest): void {
    const fact = this.#facts.get(digest);
    if (fact?.found.kind === 'known' && this.#options.nowMs() - fact.atMs > unknownMs) this.#facts.delete(digest);
  }

  #look(blob: BlobIn, call: CallContext = CallContext.begin()): Promise<Found> {
    const { digest } = blob;
    const running = this.#running.get(digest);
    if (running !== undefined) return running;
    if (this.#running.size >= lookupsMax) {
      return Promise.resolve({ kind: 'unavailable', why: `${lookupsMax} lookups are on their way` });
    }
    const lookup = this.#ask(blob, call).then((found) => {
      this.#running.delete(digest);
      this.#learn(blob, found);
      return found;
    });
    this.#running.set(digest, lookup);
    return lookup;
  }

  #learn(blob: BlobIn, found: Found): void {
    const { digest } = blob;
    const nowMs = this.#options.nowMs();
    const before = this.#facts.get(digest)?.found;
    // Origins that do not answer have not forgotten the blob.
    const kept = found.kind === 'unavailable' && before?.kind === 'known' ? before : found;
    const forMs = found.kind === 'known' ? knownMs : found.kind === 'unknown' ? unknownMs : unavailableMs;
    this.#facts.set(digest, { found: kept, atMs: nowMs, untilMs: nowMs + forMs });
    this.#options.onLookup(blob, found);
  }

  async #ask(blob: BlobIn, call: CallContext): Promise<Found> {
    const { origins } = this.#options;
    const order = origins.order(blob.digest);
    // Others may wait for it as well.
    using ctx = call.detached().within(lookupMsMax);
    const failures: string[] = [];
    for (const group of [order.slice(0, ownersAtOnce), order.slice(ownersAtOnce)]) {
      const infos: BlobInfo[] = [];
      const asks = group.map(async (client) => {
        const info = await client.info(blob, ctx);
        if (info !== undefined) infos.push(info);
      });
      await firstOf(asks, () => infos.length > 0, failures);
      if (infos.length > 0) return known(infos);
    }
    if (failures.length > 0) return { kind: 'unavailable', why: failures.join('; ') };
    return { kind: 'unknown' };
  }
}

/** Waits until one of `asks` has found something, or all have ended; notes why any failed. */
function firstOf(asks: readonly Promise<void>[], done: () => boolean, failures: string[]): Promise<void> {
  return new Promise((resolve) => {
    let left = asks.length;
    if (left === 0) resolve();
    for (const ask of asks) {
      ask
        .catch((error: unknown) => {
          failures.push(silent(error) ? (error as Error).message : `unexpected: ${(error as Error).message}`);
        })
        .finally(() => {
          left--;
          if (left === 0 || done()) resolve();
        });
    }
  });
}

function known(infos: readonly BlobInfo[]): Known {
  const [first] = infos as [BlobInfo, ...BlobInfo[]];
  const small = first.meta.length <= inlineBytesMax;
  const inline = small ? infos.find((info) => info.inline !== undefined)?.inline : undefined;
  return { kind: 'known', meta: first.meta, inline, origins: infos.map((info) => info.peer) };
}
