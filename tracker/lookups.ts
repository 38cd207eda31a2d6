/**
 * What the origins know of a blob: metainfo, the bytes of a small one, and which of them hold it.
 *
 * Rule 1: one lookup per blob and repository at a time, whoever asks; its owners first and at once, then all others,
 *   since a blob that was just pushed is not yet at its owners.
 * Rule 2: 'unknown' is said only where every origin said so; where one did not answer, 'unavailable'. Both are said of the
 *   repository that it was asked for in, which decides the backend that was asked: no other one's question is answered so.
 *   What is known is known of the digest.
 * Rule 3: what is known is used while it is refreshed in the background; what is not is asked again
 *   after a fraction of a second, so that a pull right after a push finds the blob.
 * Rule 4: a blob that an origin still receives from a backend is asked of that origin anew, no more often than `growingMs` says, and
 *   only while somebody asks. Nothing is fetched from a backend because of a refresh, or of who asks for its size.
 * Rule 5: a client that asks for what no origin has is not asked for any longer (allowance.ts); others are.
 */

import { inlineBytesMax } from '../core/contracts/fields.ts';
import type { BlobInfo, GrowingInfo } from '../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import type { Growth, Metainfo } from '../core/piece.ts';
import type { PeerAddress } from '../core/wire/messages.ts';
import { CallContext } from '../platform/clients/context.ts';
import { silent } from '../platform/clients/copies.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Time } from '../platform/net/clock.ts';
import type { LookupAllowance } from './allowance.ts';
import { Lru } from './lru.ts';
import { lookupsText } from './refusal.ts';

/** `inline`: base64 of a blob of at most inlineBytesMax. */
export type Known = {
  readonly kind: 'known';
  readonly meta: Metainfo;
  readonly inline: string | undefined;
  readonly origins: readonly PeerAddress[];
};
/** An origin still receives it. */
export type Growing = { readonly kind: 'growing'; readonly growth: Growth; readonly origins: readonly PeerAddress[] };
export type Found =
  | Known
  | Growing
  | { readonly kind: 'unknown' }
  /** `limited`: the origins were not asked, as the client asked for too much. */
  | { readonly kind: 'unavailable'; readonly why: string; readonly limited?: true };

/** An origin's address changes when it restarts; its metainfo never does. */
const knownMs = 15_000;
/**
 * Of a piece list that grows: hosts that read at its edge ask ten times a second, and there are thousands of them. At first
 * everybody waits for the first pieces: it is asked of more often, in steps of this share of the time that it has been known.
 */
const growingMs = { least: 20, most: 50, share: 0.25 };
const unknownMs = 300;
const unavailableMs = 500;
/** Owners that are asked at once. */
const ownersAtOnce = 2;
/**
 * What has got old meanwhile goes to the origins as one question, of so many blobs at most: 320 a second, as many as 4,800 blobs
 * need that are asked for all the time. Of more each is refreshed more rarely, so that a tracker of a million leases, which
 * had 1,300 a second to ask of, does not pay for that with every announce.
 */
const refreshMs = 50;
const refreshAtOnce = 16;
/** Lookups on their way; more are told to come back. */
const lookupsMax = 1024;
/** A lookup ends by then, answered or not. */
const lookupMsMax = 10_000;
/** Memory of a cached answer beside its inline bytes, about. */
const weightOfFact = 1024;

type Asked = Pick<OriginClient, 'info' | 'located'>;
/** `from`: who told it. */
type Fact = {
  readonly found: Found;
  readonly atMs: number;
  readonly untilMs: number;
  readonly from?: Asked;
  /** Of one that grows: since when it is known to. */
  readonly sinceMs?: number;
};
/** 'size': nothing is fetched for whoever asks so. */
type Question = { readonly blob: BlobIn; readonly for: 'bytes' | 'size' };
type Heard = { readonly info: BlobInfo | GrowingInfo; readonly from: Asked };

/** `client`: whose limit counts it, if anybody's. */
export type Asker = { readonly call: CallContext; readonly client?: string | undefined };

export type LookupsOptions = {
  readonly origins: {
    order(digest: Digest): readonly Asked[];
    /** What may be held by origins that cannot be asked (Members). */
    readonly unheard?: readonly string[];
    introduced?(signal: AbortSignal): Promise<void>;
  };
  readonly memoryBytes: number;
  readonly clock: Time;
  readonly allowance: LookupAllowance;
  /** Told of every lookup that ended. */
  readonly onLookup: (blob: BlobIn, found: Found) => void;
};

export class Lookups {
  readonly #options: LookupsOptions;
  /** What is known lies under the digest alone, anything else under `keyOf`. */
  readonly #facts: Lru<string, Fact>;
  readonly #running = new Map<string, Promise<Found>>();
  /** Known, and to be refreshed together. */
  readonly #old = new Map<Digest, BlobIn>();
  #refreshedMs = Number.NEGATIVE_INFINITY;

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
    if (fact.untilMs <= this.#options.clock.nowMs()) this.#refresh({ digest, repo });
    return fact.found;
  }

  #refresh(blob: BlobIn): void {
    const nowMs = this.#options.clock.nowMs();
    if (this.#old.size < lookupsMax) this.#old.set(blob.digest, blob);
    if (nowMs - this.#refreshedMs < refreshMs) return;
    this.#refreshedMs = nowMs;
    const call = CallContext.begin();
    let asked = 0;
    for (const old of this.#old.values()) {
      if (asked === refreshAtOnce) return;
      this.#old.delete(old.digest);
      if (this.fresh(old.digest)) continue;
      asked++;
      void this.#look({ blob: old, for: 'size' }, { call });
    }
  }

  /** What was heard last of a blob that an origin still receives. */
  growing(digest: Digest): Growing | undefined {
    const found = this.#facts.get(digest)?.found;
    return found?.kind === 'growing' ? found : undefined;
  }

  /** Whether what is known of the digest is as good as new. */
  fresh(digest: Digest): boolean {
    return (this.#facts.get(digest)?.untilMs ?? 0) > this.#options.clock.nowMs();
  }

  /** What is known, or what the origins say, which fetch the blob where only a backend has it. Never rejects. */
  find(blob: BlobIn, asker: Asker): Promise<Found> {
    return this.#find({ blob, for: 'bytes' }, asker);
  }

  /** As `find`, for who wants the blob's size only. */
  size(blob: BlobIn, asker: Asker): Promise<Found> {
    return this.#find({ blob, for: 'size' }, asker);
  }

  /** What was heard of the blob may hold no more: the next who asks has the origins asked. Often is as good as once. */
  doubt(digest: Digest): void {
    const fact = this.#facts.get(digest);
    if (fact?.found.kind === 'known' && this.#options.clock.nowMs() - fact.atMs > unknownMs) this.#facts.delete(digest);
  }

  /** An origin says that it has all of one that was growing: the next who asks has the origins asked. Anybody can say so. */
  grown(digest: Digest): void {
    const fact = this.#facts.get(digest);
    const nowMs = this.#options.clock.nowMs();
    if (fact?.found.kind === 'growing' && nowMs - fact.atMs >= growingMs.least)
      this.#facts.set(digest, { ...fact, untilMs: nowMs });
  }

  #find(question: Question, asker: Asker): Promise<Found> {
    const { digest, repo } = question.blob;
    const known = this.peek(digest, repo);
    if (known !== undefined) return Promise.resolve(known);
    const fact = this.#facts.get(digest) ?? this.#facts.get(keyOf(question.blob));
    if (fact !== undefined && fact.untilMs > this.#options.clock.nowMs()) return Promise.resolve(fact.found);
    return this.#look(question, asker);
  }

  #look(question: Question, { call, client }: Asker): Promise<Found> {
    const key = `${question.for} ${keyOf(question.blob)}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    if (this.#running.size >= lookupsMax) {
      return Promise.resolve({ kind: 'unavailable', why: `${lookupsMax} lookups are on their way` });
    }
    const { allowance, clock } = this.#options;
    if (client !== undefined && !allowance.take(client, clock.nowMs())) {
      return Promise.resolve({ kind: 'unavailable', why: lookupsText(client, allowance.most), limited: true });
    }
    const lookup = this.#ask(question, call).then(({ found, from }) => {
      this.#running.delete(key);
      if (client !== undefined && found.kind !== 'unknown') allowance.giveBack(client, clock.nowMs());
      this.#learn(question, found, from);
      return found;
    });
    this.#running.set(key, lookup);
    return lookup;
  }

  #learn({ blob, for: wanted }: Question, found: Found, from: Asked | undefined): void {
    const { digest } = blob;
    const atMs = this.#options.clock.nowMs();
    const before = this.#facts.get(digest);
    const keep = (key: string, forMs: number, kept: Found = found): void =>
      this.#facts.set(key, { found: kept, atMs, untilMs: atMs + forMs, ...(from && { from }) });
    switch (found.kind) {
      case 'known':
        keep(digest, knownMs);
        break;
      case 'growing':
        // Only a backend has it, and nobody fetches it yet: whoever wants its bytes has to ask.
        if (wanted === 'size') this.#facts.delete(digest);
        else {
          const { sinceMs = atMs } = before ?? {};
          const forMs = Math.max(growingMs.least, Math.min(growingMs.most, growingMs.share * (atMs - sinceMs)));
          this.#facts.set(digest, { found, atMs, untilMs: atMs + forMs, sinceMs, ...(from && { from }) });
        }
        break;
      case 'unknown':
        this.#facts.delete(digest);
        keep(keyOf(blob), unknownMs);
        break;
      case 'unavailable':
        // Origins that do not answer have not forgotten the blob.
        if (before?.found.kind === 'known') keep(digest, unavailableMs, before.found);
        else {
          this.#facts.delete(digest);
          keep(keyOf(blob), unavailableMs);
        }
    }
    this.#options.onLookup(blob, found);
  }

  async #ask({ blob, for: wanted }: Question, call: CallContext): Promise<{ found: Found; from?: Asked }> {
    const { origins } = this.#options;
    const order = origins.order(blob.digest);
    // Others may wait for it as well.
    using ctx = call.detached().within(lookupMsMax);
    const failures: string[] = [];
    for (const group of this.#groups(blob.digest, order)) {
      const heard: Heard[] = [];
      const asks = group.map(async (client) => {
        const info = await (wanted === 'size' ? client.located(blob, ctx) : client.info(blob, ctx));
        if (info !== undefined) heard.push({ info, from: client });
      });
      await firstOf(asks, () => heard.length > 0, failures);
      if (heard.length > 0) return foundOf(heard);
    }
    // Who has just started may not know yet who else there is.
    if (failures.length === 0) await origins.introduced?.(ctx.signal);
    failures.push(...(origins.unheard ?? []));
    if (failures.length > 0) return { found: { kind: 'unavailable', why: [...new Set(failures)].join('; ') } };
    return { found: { kind: 'unknown' } };
  }

  /** Whom to ask at once, one group after the other; first of all whoever receives it. */
  #groups(digest: Digest, order: readonly Asked[]): (readonly Asked[])[] {
    const fact = this.#facts.get(digest);
    const receives = fact?.found.kind === 'growing' ? fact.from : undefined;
    const groups = [order.slice(0, ownersAtOnce), order.slice(ownersAtOnce)];
    return receives === undefined || !order.includes(receives) ? groups : [[receives], ...groups];
  }
}

function keyOf({ digest, repo = '' }: BlobIn): string {
  return `${digest} ${repo}`;
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

/** Whoever holds it whole knows best; then whoever has received most of it. */
function foundOf(heard: readonly Heard[]): { found: Known | Growing; from: Asked } {
  const infos = heard.flatMap(({ info }) => ('meta' in info ? [info] : []));
  const [first] = infos;
  const [{ from }] = heard as [Heard, ...Heard[]];
  if (first !== undefined) {
    const small = first.meta.length <= inlineBytesMax;
    const inline = small ? infos.find((info) => info.inline !== undefined)?.inline : undefined;
    return { found: { kind: 'known', meta: first.meta, inline, origins: apart(infos) }, from };
  }
  const growing = heard.flatMap(({ info, from: who }) => ('growth' in info ? [{ info, who }] : []));
  const most = growing.reduce((one, other) => (other.info.growth.known > one.info.growth.known ? other : one));
  const origins = apart(growing.map(({ info }) => info));
  return { found: { kind: 'growing', growth: most.info.growth, origins }, from: most.who };
}

/** An origin that was asked may have asked another, which answered as well. */
function apart(infos: readonly (BlobInfo | GrowingInfo)[]): PeerAddress[] {
  return [...new Map(infos.map(({ peer }) => [peer.node, peer])).values()];
}
