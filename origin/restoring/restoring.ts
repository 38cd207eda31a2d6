/**
 * Blobs that no origin holds any more and a backend does: brought back here without anybody's asking, after disks were lost.
 *
 * What a backend has and no origin is no loss by itself: what goes for want of room, or by its age, is left there on purpose.
 * So this runs only after something was lost: an origin that begins empty, more that is missing than is mended by name, an
 * origin that went without being drained. It is noted on the disk until it is done, and goes on after a restart.
 *
 * Rule 1: only once lists were compared with the others (repair/): what they hold comes from there.
 * Rule 2: of a blob's owners that answer, the first fetches it; the others have it from there.
 * Rule 3: only what the index links to, no faster than all repairs together may, and only where nothing has to go for it. What
 *         somebody asks for meanwhile comes as fast as it can.
 * Rule 4: what nothing links to may be linked by a reconcile that is still to come, and what failed may be had later: it is
 *         looked again, later and later, for a day.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { AskLinked } from '../repair/links.ts';
import type { RepairPace } from '../repair/pace.ts';
import type { RepairRing } from '../repair/ring.ts';
import type { ListedBlob } from './stored.ts';

/** Of the places that an origin has for large blobs, readers keep the most. */
const atOnceMax = 4;
const lookMs = 2_000;
/** An origin that does not answer is not waited for longer. */
const comparedMsMax = 60_000;
const again = { delayMs: 30_000, delayMsMax: 3_600_000 };
export const overMs = 24 * 3_600_000;

export type RestoringOptions = {
  /** Since when there is something to bring back, by the wall's clock, where a process before has noted that. */
  readonly note: { read(): Promise<number | undefined>; write(sinceMs: number | undefined): Promise<void> };
  readonly stored: (signal: AbortSignal) => AsyncIterable<readonly ListedBlob[]>;
  readonly ring: Pick<RepairRing, 'self' | 'owners' | 'others'>;
  readonly here: (digest: Digest) => boolean;
  readonly linked: AskLinked;
  /** A repository that has the blob and rests there (or anywhere); undefined: the index knows none. Rejects with ApiError. */
  readonly repoOf: (digest: Digest, backend: string | undefined, signal: AbortSignal) => Promise<string | undefined>;
  /** False: another origin has it, or nothing does. Rejects with ApiError. */
  readonly bring: (blob: BlobIn, slowly: (bytes: number) => Promise<void>) => Promise<boolean>;
  /** Whether so much more fits without anything having to go. */
  readonly room: (bytes: number) => boolean;
  readonly compared: () => boolean;
  readonly leaving: () => boolean;
  readonly pace: Pick<RepairPace, 'wait'>;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly log: LineLog;
};

type Pass = { fetched: number; failed: number; unlinked: number; noRoom: number; why: string | undefined };

export class Restoring implements Disposable {
  readonly #o: RestoringOptions;
  readonly #stop = new AbortController();
  #sinceMs: number | undefined;
  #timer: Disposable | undefined;
  #running = false;
  #begunMs = 0;
  #vain = 0;
  /** Since the start. */
  blobs = 0;
  failed = 0;

  constructor(options: RestoringOptions) {
    this.#o = options;
  }

  /** There is, or may be, something to bring back. */
  get active(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** `lost`: this origin begins with nothing. Else it goes on where the process before was. */
  async resume(lost: boolean): Promise<void> {
    const sinceMs = await this.#o.note.read();
    if (sinceMs !== undefined) this.#go(sinceMs);
    else if (lost) await this.begin();
  }

  /** Something was lost. */
  async begin(): Promise<void> {
    const sinceMs = this.#o.wallMs();
    this.#go(sinceMs);
    await this.#noted(sinceMs);
  }

  /** One blob of which no peer is found. False: no backend has it. */
  async one(digest: Digest): Promise<boolean> {
    const repo = await this.#o.repoOf(digest, undefined, this.#stop.signal);
    return repo !== undefined && (await this.#o.bring({ digest, repo }, (bytes) => this.#turn(bytes)));
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new ApiError('UNAVAILABLE', 'this origin is shutting down'));
    this.#timer?.[Symbol.dispose]();
  }

  #go(sinceMs: number): void {
    this.#sinceMs = sinceMs;
    this.#begunMs = this.#o.clock.nowMs();
    this.#vain = 0;
    this.#later(lookMs);
  }

  #later(ms: number): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#stop.signal.aborted) return;
    this.#timer = this.#o.clock.after(ms, () => void this.#run());
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    const { compared, leaving, clock, wallMs, log } = this.#o;
    if (!compared() && clock.nowMs() - this.#begunMs < comparedMsMax) return this.#later(lookMs);
    this.#running = true;
    const sinceMs = this.#sinceMs;
    const pass = await this.#pass().finally(() => {
      this.#running = false;
    });
    if (this.#stop.signal.aborted || this.#sinceMs === undefined) return;
    this.blobs += pass.fetched;
    this.failed += pass.failed;
    if (this.#sinceMs !== sinceMs) return this.#later(lookMs);
    const left = pass.why !== undefined || pass.failed > 0 || pass.unlinked > 0;
    const isOver = wallMs() - this.#sinceMs > overMs;
    if (pass.fetched > 0 || pass.why !== undefined)
      log.info({ ...pass }, 'what backends have and no origin held was looked for: it is brought back');
    this.#vain = pass.fetched > 0 ? 0 : this.#vain + 1;
    if (left && !isOver && !leaving()) return this.#later(backoffMs(again, this.#vain + 1));
    this.#sinceMs = undefined;
    await this.#noted(undefined);
  }

  async #pass(): Promise<Pass> {
    const pass: Pass = { fetched: 0, failed: 0, unlinked: 0, noRoom: 0, why: undefined };
    const { signal } = this.#stop;
    try {
      for await (const page of this.#o.stored(signal)) await this.#bring(page, pass);
    } catch (error) {
      if (!signal.aborted && !(error instanceof ApiError) && !(error instanceof BackendError)) throw error;
      pass.why = (error as Error).message;
    }
    return pass;
  }

  async #bring(page: readonly ListedBlob[], pass: Pass): Promise<void> {
    const { linked, leaving } = this.#o;
    const { signal } = this.#stop;
    const ours = page.filter(({ digest }) => this.#ours(digest));
    if (ours.length === 0) return;
    const needed = await linked(
      ours.map(({ digest }) => digest),
      signal,
    );
    const due = ours.filter(({ digest }) => needed.has(digest));
    pass.unlinked += ours.length - due.length;
    const work = async (): Promise<void> => {
      for (let one = due.shift(); one !== undefined; one = due.shift()) {
        if (leaving()) return;
        signal.throwIfAborted();
        await this.#one(one, pass);
      }
    };
    await Promise.all(Array.from({ length: atOnceMax }, work));
  }

  async #one({ digest, size, backend }: ListedBlob, pass: Pass): Promise<void> {
    const { repoOf, bring, room, log } = this.#o;
    // The members may be others by now.
    if (!this.#ours(digest)) return;
    if (!room(size)) {
      pass.noRoom++;
      return;
    }
    try {
      const repo = await repoOf(digest, backend, this.#stop.signal);
      if (repo === undefined) pass.unlinked++;
      else if (await bring({ digest, repo }, (bytes) => this.#turn(bytes))) pass.fetched++;
    } catch (error) {
      if (!(error instanceof ApiError) && !(error instanceof BackendError)) throw error;
      pass.failed++;
      log.debug({ digest, backend, why: error.message }, 'a blob could not be brought back');
    }
  }

  /** It is for us to fetch. */
  #ours(digest: Digest): boolean {
    const { ring, here } = this.#o;
    if (here(digest)) return false;
    const live = new Set(ring.others().flatMap(({ place, live: answers }) => (answers ? [place] : [])));
    return ring.owners(digest).find((place) => place === ring.self || live.has(place)) === ring.self;
  }

  #turn(bytes: number): Promise<void> {
    return new Promise((resolve) => this.#o.pace.wait(bytes, resolve));
  }

  async #noted(sinceMs: number | undefined): Promise<void> {
    try {
      await this.#o.note.write(sinceMs);
    } catch (error) {
      this.#o.log.warn(
        { why: String(error) },
        'that blobs are to be brought back could not be noted: a restart forgets it',
      );
    }
  }
}
