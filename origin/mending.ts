/**
 * Blobs that this origin held, and that are gone or damaged here: fetched again from whoever has them.
 *
 * Rule 1: what its own file tells is taken from there: a damaged list of hashes is made again from right bytes.
 * Rule 2: at once where it is noticed, then with back-off as long as nobody has it; a push of the blob ends it.
 * Rule 3: what has lost its whole file may be one of very many (a disk that is gone), and may have been deleted elsewhere
 *   since: it comes no faster than all repairs together may, but where somebody waits for it (`hurry`), and only if the
 *   index links to it. What has its file here lacks no more than whoever reads the disk finds out: it comes at once.
 * Rule 4: at most `mendsMax` are waited for at a time, none of them for longer than `patienceMs` in which nothing of it
 *   comes: others come after it. (What was begun goes on: a peer may come up with it at any time.)
 * Rule 5: at most `casesMax` are known here; whoever finds more at once has others compared with (`left`).
 * Rule 6: a blob is a line in the log when it could not be had at the first attempt, with the reason, and one when it is whole again.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { Digest } from '../core/digest.ts';
import type { Metainfo } from '../core/piece.ts';
import { backoffMs } from '../core/retry/retry.ts';
import type { Clock } from '../platform/net/clock.ts';
import type { PeerNode, Pull } from '../platform/peer/node.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { LineLog } from '../platform/telemetry/log.ts';
import { LinkAsks } from './repair/link-asks.ts';
import type { AskLinked } from './repair/links.ts';
import type { RepairPace } from './repair/pace.ts';

const mendsMax = 16;
/** About 300 bytes each. A disk that loses more at once is made good by comparing with others (repair/). */
export const casesMax = 1_000;
export const patienceMs = 60_000;
const nothingCame = `nothing of it came for ${patienceMs / 1_000} s`;
/** Somebody who holds it may come up in a moment, or never. */
const mendAgain = { delayMs: 5_000, delayMsMax: 600_000 };
/** The index says nothing now. */
const askAgain = { delayMs: 500, delayMsMax: 30_000 };
/** A push is linked one call after its commit: what nothing links to is asked of once more, as long after. */
const unlinkedMax = 2;

export type MendingOptions = {
  readonly store: Pick<BlobStore, 'get' | 'blobs' | 'missing' | 'watch' | 'restore' | 'remove'>;
  readonly node: Pick<PeerNode, 'pull' | 'mend' | 'arrived' | 'drop'>;
  /** Of what has no file here any more: what something links to. */
  readonly linked: AskLinked;
  readonly pace: Pick<RepairPace, 'wait' | 'came'>;
  readonly clock: Clock;
  readonly log: LineLog;
};

type Case = {
  readonly digest: Digest;
  /** undefined: only its digest is known. */
  readonly meta: Metainfo | undefined;
  attempts: number;
  /** Of the last attempt. */
  why: string;
  /** How often the index said that nothing links to it. */
  unlinked: number;
  /** Somebody waits for it. */
  hurried: boolean;
  pull: Pull | undefined;
};
type Mended = 'whole' | 'not found' | 'not needed' | 'not said';

export class Mending {
  readonly #options: MendingOptions;
  readonly #cases = new Map<Digest, Case>();
  readonly #due: Case[] = [];
  readonly #timers = new Set<Disposable>();
  readonly #stop = new AbortController();
  readonly #asks: LinkAsks;
  /** More is missing than is mended one by one. */
  left: () => void = () => undefined;
  /** Fetches it from where no peer is, a backend. False: it is not there. Rejects with ApiError. */
  elsewhere: (digest: Digest) => Promise<boolean> = async () => false;
  #running = 0;
  /** How often in a row the index did not say. */
  #refused = 0;

  constructor(options: MendingOptions) {
    this.#options = options;
    this.#asks = new LinkAsks(options.linked, this.#stop.signal);
  }

  /** Begins with what the store lacks, and is told of what it finds lacking from then on. */
  begin(): void {
    const { store } = this.#options;
    store.watch({ missing: (digest, meta) => this.want(digest, meta) });
    // One that never was whole here is offered again by whoever has it.
    for (const { damaged, digest, meta } of store.blobs()) if (damaged) this.want(digest, meta);
    for (const digest of store.missing) this.want(digest);
  }

  /** Blobs that are to be whole here and are not, as far as known. */
  get waiting(): number {
    return this.#cases.size;
  }

  /** The blob is not whole here, though it was. Again is harmless. */
  want(digest: Digest, meta?: Metainfo): void {
    if (this.#stop.signal.aborted || this.#cases.has(digest)) return;
    if (this.#cases.size >= casesMax) return this.left();
    const one: Case = { digest, meta, attempts: 0, why: '', unlinked: 0, hurried: false, pull: undefined };
    this.#cases.set(digest, one);
    this.#due.push(one);
    this.#go();
  }

  /** Somebody waits for it: where it is to be mended, it comes before others, and as fast as it can. */
  hurry(digest: Digest): void {
    const one = this.#cases.get(digest);
    if (one === undefined || one.hurried) return;
    one.hurried = true;
    if (one.pull !== undefined) this.#options.node.pull(digest);
    const at = this.#due.indexOf(one);
    if (at > 0) this.#due.unshift(...this.#due.splice(at, 1));
  }

  /** It is not what its digest says: nobody gets any more of it, and it is sought elsewhere. */
  async replace(digest: Digest): Promise<void> {
    const { store, node } = this.#options;
    node.drop(digest);
    await store.remove(digest);
    this.want(digest);
  }

  /** What is done about what reading the disk back finds. */
  readonly scrubbing = {
    wrong: (entry: BlobEntry): Promise<void> => this.replace(entry.digest),
    decayed: (entry: BlobEntry): void => this.want(entry.digest, entry.meta),
  };

  /** A push brought it, it was removed, or nobody needs it. */
  forget(digest: Digest): void {
    this.#cases.delete(digest);
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new ApiError('UNAVAILABLE', 'this origin is shutting down'));
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
    this.#cases.clear();
  }

  #go(): void {
    while (!this.#stop.signal.aborted && this.#running < mendsMax) {
      const one = this.#due.shift();
      if (one === undefined) return;
      if (this.#cases.get(one.digest) !== one) continue;
      this.#running++;
      void this.#mend(one).finally(() => {
        this.#running--;
        this.#go();
      });
    }
  }

  async #mend(one: Case): Promise<void> {
    const { store, log } = this.#options;
    const { digest, meta } = one;
    const told = await this.#sought(one);
    one.pull = undefined;
    if (this.#stop.signal.aborted || this.#cases.get(digest) !== one) return;
    if (store.get(digest)?.complete === true) {
      this.#cases.delete(digest);
      log.info({ digest, attempts: one.attempts + 1 }, 'a blob that was missing or damaged here is whole again');
      return;
    }
    if (told === 'not needed') return this.forget(digest);
    if (told === 'not said') return this.#later(one, backoffMs(askAgain, this.#refused));
    one.attempts++;
    if (one.attempts === 1) {
      log.error(
        { digest, length: meta?.length, why: one.why },
        'a blob that was here is missing or damaged, and could not be fetched: it is tried again; if nobody has it, push it again',
      );
    }
    this.#later(one, backoffMs(mendAgain, one.attempts));
  }

  #later(one: Case, ms: number): void {
    this.#after(ms, () => {
      this.#due.push(one);
      this.#go();
    });
  }

  /** From peers, or else from a backend. */
  async #sought(one: Case): Promise<Mended> {
    const told = await this.#fetch(one);
    if (told === 'not said' || this.#options.store.get(one.digest)?.complete === true) return told;
    if (told === 'not needed' && one.unlinked > 0) return told;
    try {
      return (await this.elsewhere(one.digest)) ? 'whole' : told;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.#failed(one, error.message);
    }
  }

  #failed(one: Case, why: string): 'not found' {
    one.why = why;
    return 'not found';
  }

  async #fetch(one: Case): Promise<Mended> {
    const { node, store } = this.#options;
    const { digest, meta } = one;
    const entry = store.get(digest);
    try {
      if (entry === undefined) return (await this.#needed(one)) ?? (await this.#pulled(one));
      // Where only its list of hashes was damaged, nobody else is needed.
      if (await store.restore(entry)) node.arrived(entry);
      else if (!(await this.#inTime(node.mend(entry), () => false))) this.#failed(one, nothingCame);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Of a digest alone it is not known whether it should be here.
      if (error.code === 'BLOB_UNKNOWN' && meta === undefined && entry === undefined) return 'not needed';
      this.#failed(one, error.message);
    }
    return 'not found';
  }

  /** Undefined: it is. */
  async #needed(one: Case): Promise<Mended | undefined> {
    try {
      const linked = await this.#asks.linked(one.digest);
      this.#refused = 0;
      if (linked) return undefined;
      one.unlinked++;
      return one.unlinked < unlinkedMax ? 'not found' : 'not needed';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#refused++;
      if (this.#refused === 1)
        this.#options.log.warn(
          { why: error.message },
          'what is missing here waits for the index to say what is needed',
        );
      return 'not said';
    }
  }

  /** All of it, from whoever has it. Rejects with ApiError. */
  async #pulled(one: Case): Promise<Mended> {
    const { node, pace, store } = this.#options;
    const { digest, meta } = one;
    if (!one.hurried) await new Promise<void>((resolve) => void pace.wait(0, resolve));
    let waits = false;
    let paid = false;
    const wait = (bytes: number, go: () => void): Disposable => {
      [waits, paid] = [true, true];
      const turn = pace.wait(bytes, () => {
        waits = false;
        go();
      });
      return {
        [Symbol.dispose]: () => {
          waits = false;
          turn[Symbol.dispose]();
        },
      };
    };
    const pull = node.pull(digest, { meta, ...(!one.hurried && { pace: { wait } }) });
    one.pull = pull;
    let held = 0;
    const goesOn = (): boolean => {
      const now = pull.entry?.heldCount ?? 0;
      const moved = now > held;
      held = now;
      return waits || moved;
    };
    if (!(await this.#inTime(pull.complete, goesOn))) return this.#failed(one, nothingCame);
    // What is small comes as a whole, with an answer of a tracker; what a backend has may come through an origin's hands.
    if (!paid && !one.hurried) pace.came(pull.entry?.meta.length ?? store.get(digest)?.meta.length ?? 0);
    return 'whole';
  }

  /** False: `patienceMs` have passed, and `goesOn` says no. */
  async #inTime(mended: Promise<void>, goesOn: () => boolean): Promise<boolean> {
    for (;;) {
      const late = Promise.withResolvers<false>();
      const timer = this.#after(patienceMs, () => late.resolve(false));
      try {
        if (await Promise.race([mended.then(() => true), late.promise])) return true;
        if (!goesOn()) return false;
      } finally {
        this.#timers.delete(timer);
        timer[Symbol.dispose]();
      }
    }
  }

  #after(ms: number, call: () => void): Disposable {
    const timer = this.#options.clock.after(ms, () => {
      this.#timers.delete(timer);
      call();
    });
    this.#timers.add(timer);
    return timer;
  }
}
