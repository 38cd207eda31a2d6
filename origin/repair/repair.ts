/**
 * Sees to it that this origin holds what it owns, and that the others hold what they own of what is here.
 *
 * A pass compares lists with each other origin (core/repair/sums.ts), fetches what is lacking here, and offers what others
 * own. Nobody remembers what is where: a disk that was lost, a member that came, went or was away for a month, a process that
 * was killed in the middle, are all found by the next pass.
 *
 * Rule 1: a blob counts as replicated once each of its owners says that it holds it whole.
 * Rule 2: a pass begins a moment after a change of the members, or when one that was silent answers; after a pass that left
 *         something undone soon, with back-off; else every `everyMs`.
 * Rule 3: blobs that one owner holds are fetched first, all of them; then those that more hold.
 * Rule 4: no table of everything: a page of each list, and what is being fetched.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { NamedBlob, RepairState } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import { differing, Sums } from '../../core/repair/sums.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import { type CoOwner, differences } from './compare.ts';
import type { Fetching } from './fetching.ts';
import type { BlobListing, HeldHere } from './listing.ts';
import type { RepairProgress } from './progress.ts';
import type { OtherOrigin, RepairRing } from './ring.ts';
import { offerSpares } from './spare.ts';

/** Several changes come at once. */
const settleMs = 1_000;
/** How often it is looked whether one that was silent answers. */
const lookMs = 2_000;
const firstAgainMs = 60_000;
/** What others lack they fetch at their own pace: it is looked whether they have, as long as that goes on. */
const againAfter = { delayMs: 2_000, delayMsMax: 15_000 };
/** Blobs of ours that others lack, or that are not safe, as far as they are asked of the index. */
export const belowMax = 10_000;

export type RepairOptions = {
  readonly ring: RepairRing;
  readonly listing: BlobListing;
  readonly fetching: Fetching;
  readonly progress: RepairProgress;
  readonly peer: PeerAddress;
  readonly rateMax: number;
  readonly everyMs: number;
  readonly named: (blobs: readonly HeldHere[]) => Promise<readonly NamedBlob[]>;
  /** Of these, those that something links to. Rejects with ApiError. */
  readonly linked: (digests: readonly Digest[], signal: AbortSignal) => Promise<ReadonlySet<Digest>>;
  readonly clock: Clock;
  readonly log: LineLog;
};

type Seen = RepairState['others'][number]['state'];

export class OriginRepair implements Disposable {
  readonly #o: RepairOptions;
  readonly #stop = new AbortController();
  readonly #seen = new Map<string, Seen>();
  /** Here, and lacking at another owner. */
  #below: ReadonlySet<Digest> = new Set();
  #spare = { blobs: 0, unsafe: 0 };
  #unheard = 0;
  #timer: Disposable | undefined;
  #looking: Disposable | undefined;
  #passing = false;
  #again = false;
  #vain = 0;
  #comparedMs: number | undefined;
  #why: string | undefined;
  /** Changes with the members: what was compared before is compared anew. */
  #generation = 0;
  #passes = 0;
  /** What others lacked when it was looked last. */
  #left = 0;

  constructor(options: RepairOptions) {
    this.#o = options;
  }

  begin(): void {
    this.#look();
    this.#later(settleMs);
  }

  /** The members are others, or much is gone from here. */
  changed(): void {
    this.#generation++;
    this.#o.listing.forget();
    this.#vain = 0;
    this.#later(settleMs);
  }

  /** Something was left to be found. */
  later(): void {
    this.#later(againAfter.delayMs);
  }

  /** Whatever it waits for. */
  now(): void {
    this.#vain = 0;
    this.#o.listing.forget();
    this.#later(0);
  }

  /** Some owner of what is here is known not to hold it. */
  underReplicated(digest: Digest): boolean {
    return this.#below.has(digest);
  }

  /** Blobs here that some owner is known to lack. */
  get below(): number {
    return this.#below.size;
  }

  state(): RepairState {
    const { fetching, progress, rateMax, ring, clock } = this.#o;
    const { lacking } = fetching;
    const why = fetching.why ?? this.#why;
    const leftMs = progress.leftMs(lacking.bytes);
    const phase = lacking.blobs > 0 ? 'fetches' : this.#passing ? 'compares' : 'idle';
    const { blobs, bytes, failed } = progress;
    return {
      phase: why !== undefined && phase !== 'compares' ? 'waits' : phase,
      ...(why !== undefined && { why }),
      lacking,
      below: this.#below.size,
      unheard: this.#unheard,
      spare: this.#spare,
      fetched: { blobs, bytes },
      failed,
      rate: progress.rate,
      rateMax,
      ...(leftMs !== undefined && { leftMs }),
      ...(this.#comparedMs !== undefined && { comparedMsAgo: Math.round(clock.nowMs() - this.#comparedMs) }),
      others: ring.others().map(({ place, url }) => ({ place, url, state: this.#seen.get(place) ?? 'unknown' })),
    };
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('the origin is stopping'));
    this.#timer?.[Symbol.dispose]();
    this.#looking?.[Symbol.dispose]();
  }

  #later(ms: number): void {
    if (this.#stop.signal.aborted) return;
    if (this.#passing) this.#again = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#o.clock.after(ms, () => void this.#run());
  }

  /** Who could not be asked, and answers now, is asked. */
  #look(): void {
    this.#looking = this.#o.clock.after(lookMs, () => {
      this.#look();
      const back = this.#o.ring.others().some(({ place, live }) => live && this.#seen.get(place) === 'silent');
      if (back && !this.#passing) this.#later(0);
    });
  }

  async #run(): Promise<void> {
    if (this.#passing || this.#stop.signal.aborted) return;
    this.#passing = true;
    this.#again = false;
    let undone = true;
    try {
      undone = await this.#pass(this.#generation);
      this.#why = undefined;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#why = error.message;
    } finally {
      this.#passing = false;
    }
    const left = this.#below.size + this.#spare.unsafe;
    this.#vain = undone && left === this.#left ? this.#vain + 1 : 0;
    this.#left = left;
    if (this.#again) this.#later(settleMs);
    else if (undone) this.#later(backoffMs(againAfter, this.#vain + 1));
    // What was pushed just before the process began was linked since.
    else this.#later(this.#passes++ === 0 ? Math.min(firstAgainMs, this.#o.everyMs) : this.#o.everyMs);
  }

  /** Whether something was left undone. */
  async #pass(generation: number): Promise<boolean> {
    const { ring, fetching, progress, clock } = this.#o;
    const ctx = CallContext.begin({ signal: this.#stop.signal });
    const before = progress.blobs + progress.failed;
    const asked = await Promise.all(ring.others().map((other) => this.#ask(other, ctx)));
    const owners = asked.flatMap((one) => one ?? []);
    const below = new Set<Digest>();
    for (const endangered of [true, false]) {
      let others = false;
      for await (const one of differences(this.#o, owners)) {
        if (generation !== this.#generation) return true;
        if (one.here && endangered && below.size < belowMax) below.add(one.digest);
        if (one.here) continue;
        if (one.holders.length > 1 === endangered) {
          others = true;
          continue;
        }
        await fetching.room();
        fetching.add({ ...one, from: one.holders.map(({ peer }) => peer), copies: one.holders.length });
      }
      await fetching.settled();
      if (!others) break;
    }
    const sums = await this.#o.listing.sums();
    const silent = ring.others().filter(({ place }) => this.#seen.get(place) === 'silent');
    this.#unheard = silent.reduce((sum, { place }) => sum + (sums.get(place)?.total ?? 0), 0);
    await this.#offer(below, ctx);
    if (owners.length === asked.length) this.#comparedMs = clock.nowMs();
    else if (silent.length > 0) return true;
    return progress.blobs + progress.failed > before || this.#below.size > 0 || this.#spare.unsafe > 0;
  }

  /** What others own of what is here; what of it, and of `below`, somebody needs is noted. */
  async #offer(below: ReadonlySet<Digest>, ctx: CallContext): Promise<void> {
    const { ring, linked } = this.#o;
    const others = new Map(ring.others().map((other) => [other.place, other]));
    const reach = (place: string): OtherOrigin | undefined => {
      const other = others.get(place);
      return other?.live && this.#seen.get(place) !== 'older' ? other : undefined;
    };
    const unsafe = new Set<Digest>();
    const each = async (blobs: readonly HeldHere[]): Promise<void> => {
      const needed = await linked(
        blobs.map(({ digest }) => digest),
        ctx.signal,
      );
      for (const digest of needed) if (unsafe.size < belowMax) unsafe.add(digest);
    };
    const blobs = await offerSpares({ ...this.#o, reach }, { sample: false, each }, ctx);
    this.#spare = { blobs, unsafe: unsafe.size };
    this.#below = new Set([...(await linked([...below], ctx.signal)), ...unsafe]);
  }

  /** Undefined: it cannot be asked now. */
  async #ask(other: OtherOrigin, ctx: CallContext): Promise<CoOwner | undefined> {
    const { ring, listing, log } = this.#o;
    const { place, client } = other;
    try {
      if (client === undefined || !other.live) throw new ApiError('UNAVAILABLE', 'it did not answer lately');
      const { peer, sums } = await client.sums(ring.self, ctx);
      const ours = (await listing.sums()).get(place) ?? new Sums();
      const mask = differing(ours, sums);
      this.#seen.set(place, mask.some((bits) => bits !== 0) ? 'differs' : 'equal');
      return { place, peer, mask, page: (after) => client.shared({ place: ring.self, mask, after }, ctx) };
    } catch (error) {
      if (!(error instanceof ApiError) || ctx.signal.aborted) throw error;
      this.#seen.set(place, error.code === 'NOT_FOUND' ? 'older' : 'silent');
      log.debug({ origin: other.url, why: error.message }, 'repair: an origin could not be compared with');
      return undefined;
    }
  }
}
