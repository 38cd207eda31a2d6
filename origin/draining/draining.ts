/**
 * An origin that is to be switched off for good: it takes nothing new, tells the others, which own what it owned from then
 * on, and says when nothing would be lost with it.
 *
 * Rule 1: it says so only after it has looked at all that is here, from the start, and nothing came since that look began:
 *         each blob is whole on each of its owners, by their own word and a look at its bytes, or in a backend, which was
 *         asked just then; nothing is owed to a backend, no upload is open, no hand-over under way.
 * Rule 2: what the index links to nothing stays behind; but a push may be about to link it: so only when nothing came, and the
 *         process has run, for `settleMs`.
 * Rule 3: it counts as nobody's copy from the start: whoever asks for a proof is told that the blob is not here.
 * Rule 4: whoever does not answer holds nothing. What was said is looked at again as long as it drains.
 */

import type { DrainState } from '../../core/contracts/drain.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { AskLinked } from '../repair/links.ts';
import type { HeldHere } from '../repair/listing.ts';
import type { RepairRing } from '../repair/ring.ts';
import type { EachUnsafe } from '../repair/spare.ts';

/** While something is left; afterwards. */
const lookMs = { left: 2_000, none: 10_000 } as const;
/** A proxy links what was pushed a call later; one that hung may take as long as clients wait. */
export const settleMs = 120_000;
/** Asked of backends at a time (cold/copies.ts); each costs a request, so a look after that waits for as long, at least. */
const confirmMax = 64;
const confirmMs = 10;

export type DrainingOptions = {
  /** Whether it drains lies on the disk before anybody is told. */
  readonly file: { read(): Promise<boolean>; write(draining: boolean): Promise<void> };
  readonly ring: RepairRing;
  /** Tells the others, and owns nothing any more. */
  readonly tell: (draining: boolean) => void;
  /** All that is here, offered to its owners, who look at the bytes; resolves with the number of it. */
  readonly spares: (each: EachUnsafe, ctx: CallContext) => Promise<number>;
  readonly linked: AskLinked;
  readonly confirmed: (digests: readonly Digest[], signal: AbortSignal) => Promise<readonly Digest[]>;
  readonly uploads: () => number;
  /** Blobs that came by a push since the start, and hand-overs under way. */
  readonly came: () => number;
  readonly handing: () => number;
  readonly owed: () => Promise<number>;
  readonly clock: Clock;
  readonly log: LineLog;
};

type Look = {
  readonly begunMs: number;
  readonly came: number;
  readonly blobs: number;
  /** On neither all of their owners nor in a backend, and needed. */
  readonly left: number;
  readonly leftBytes: number;
  readonly unlinked: number;
  /** That a backend confirmed. */
  readonly backed: number;
};

export class Draining implements Disposable {
  readonly #o: DrainingOptions;
  readonly #stop = new AbortController();
  readonly #startedMs: number;
  #draining = false;
  #timer: Disposable | undefined;
  #looking = false;
  #look: Look | undefined;
  #why: string | undefined;
  #owed = 0;
  #cameMs: number;
  #came: number;
  #said = false;

  constructor(options: DrainingOptions) {
    this.#o = options;
    this.#startedMs = options.clock.nowMs();
    this.#cameMs = this.#startedMs;
    this.#came = options.came();
  }

  /** Goes on where the process before was draining. */
  async resume(): Promise<void> {
    if (await this.#o.file.read()) this.#begin();
  }

  async begin(): Promise<void> {
    if (this.#draining) return;
    await this.#o.file.write(true);
    this.#begin();
  }

  async cancel(): Promise<void> {
    await this.#o.file.write(false);
    this.#draining = false;
    this.#look = undefined;
    this.#said = false;
    this.#timer?.[Symbol.dispose]();
    this.#o.tell(false);
    this.#o.log.warn({}, 'the origin is drained no longer');
  }

  state(): DrainState {
    const look = this.#look;
    const why = this.#draining ? this.#trouble() : [];
    return {
      draining: this.#draining,
      mayStop: this.#draining && why.length === 0,
      why,
      blobs: look?.blobs ?? 0,
      left: look?.left ?? 0,
      leftBytes: look?.leftBytes ?? 0,
      unlinked: look?.unlinked ?? 0,
      uploads: this.#o.uploads(),
      owed: this.#owed,
      ...(look !== undefined && { lookedMsAgo: Math.round(this.#o.clock.nowMs() - look.begunMs) }),
    };
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('the origin is stopping'));
    this.#timer?.[Symbol.dispose]();
  }

  #begin(): void {
    this.#draining = true;
    this.#o.tell(true);
    this.#o.log.warn({}, 'the origin is being drained: it takes nothing new, and others own what it owned');
    this.#later(0);
  }

  #later(ms: number): void {
    if (this.#stop.signal.aborted || !this.#draining) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#o.clock.after(ms, () => void this.#run());
  }

  async #run(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      this.#owed = await this.#o.owed();
      this.#look = await this.#lookAtAll();
      this.#owed = await this.#o.owed();
      this.#why = undefined;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#look = undefined;
      this.#why = error.message;
    } finally {
      this.#looking = false;
    }
    const { mayStop, ...state } = this.state();
    if (mayStop !== this.#said)
      this.#o.log.warn(
        { ...state },
        mayStop ? 'the origin may be switched off' : 'the origin may not be switched off any more',
      );
    this.#said = mayStop;
    this.#later(Math.max(mayStop ? lookMs.none : lookMs.left, confirmMs * (this.#look?.backed ?? 0)));
  }

  async #lookAtAll(): Promise<Look> {
    const { spares, linked, confirmed, clock } = this.#o;
    const { signal } = this.#stop;
    const [begunMs, came] = [clock.nowMs(), this.#o.came()];
    if (came !== this.#came) this.#cameMs = begunMs;
    this.#came = came;
    const sums = { left: 0, leftBytes: 0, unlinked: 0, backed: 0 };
    const each = async (unsafe: readonly HeldHere[]): Promise<void> => {
      const needed = await linked(digestsOf(unsafe), signal);
      const asked = unsafe.filter(({ digest }) => needed.has(digest));
      sums.unlinked += unsafe.length - asked.length;
      for (let at = 0; at < asked.length; at += confirmMax) {
        const batch = asked.slice(at, at + confirmMax);
        // Where something is left anyway, nothing more needs to be asked for in this look.
        const backed = new Set(sums.left === 0 ? await confirmed(digestsOf(batch), signal) : []);
        sums.backed += backed.size;
        for (const { digest, meta } of batch) {
          if (backed.has(digest)) continue;
          sums.left++;
          sums.leftBytes += meta.length;
        }
      }
    };
    const blobs = await spares(each, CallContext.begin({ signal }));
    return { begunMs, came, blobs, ...sums };
  }

  /** What stands in the way, as far as is known by now. */
  #trouble(): string[] {
    const { ring, uploads, came, handing, clock } = this.#o;
    const look = this.#look;
    const why: string[] = [];
    if (ring.others().length === 0) why.push('no other origin is known');
    if (this.#why !== undefined) why.push(this.#why);
    else if (look === undefined) why.push('what is here has not been looked at yet');
    if (look !== undefined && look.left > 0) why.push(`${look.left} blobs are not on all of their owners yet`);
    if (look !== undefined && look.came !== came()) why.push('blobs were pushed since it was looked');
    if (look !== undefined && look.unlinked > 0 && clock.nowMs() - this.#cameMs < settleMs)
      why.push(
        `nothing links to ${look.unlinked} blobs, which may have been pushed just now: it is waited for ${settleMs / 1000} s`,
      );
    if (uploads() > 0) why.push(`${uploads()} uploads are open`);
    if (handing() > 0) why.push(`${handing()} blobs are being handed over`);
    if (this.#owed > 0) why.push(`${this.#owed} blobs are owed to backends (shoal origin queue ls)`);
    return why;
  }
}

function digestsOf(blobs: readonly HeldHere[]): Digest[] {
  return blobs.map(({ digest }) => digest);
}
