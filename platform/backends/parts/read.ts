/**
 * A range of an object, in order: large ones by several requests at once, since one connection to a store far away is
 * slow.
 *
 * Rule 1: the first bytes wait for nothing: the first request's are given as they come, and only then do others begin, one
 *         with each `rampShare` of a part that was given: they take the same processors and links, and a reader waits for these.
 * Rule 2: at most `parallel` parts are held, and all but the first only while there is room.
 * Rule 3: all parts are of one version, and exactly what was asked for comes, or it throws.
 * Rule 4: a part whose connection breaks, that ends early, or that the server has no time for, is gone on with by itself, a
 *         few times: what is held of later ones is not thrown away for it.
 * Rule 5: the last parts are smaller and smaller. Parts that are fetched at once come at the same time, so that what is given
 *         lags behind what has come by all of them but one; at the end nothing is left that could make up for that.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BackendError, type BackendRead } from '../backend.ts';
import { lastPartBytesMin, partAttemptsMax, partPauseMs, partPauseMsMax, rampShare } from './limits.ts';
import type { PartRoom } from './room.ts';

export type ReadPlan = {
  readonly room: PartRoom;
  readonly parts: { readonly size: number; readonly parallel: number };
  /** One request for one range. What is answered has been looked at: it is this range, of this version. */
  readonly open: (range: BackendRead, signal: AbortSignal) => Promise<PartAnswer>;
  /** About the object. */
  readonly wrong: (why: BackendError['why'], words: string) => BackendError;
};

/** `chunks` break off with a BackendError. */
export type PartAnswer = { readonly version: string; readonly chunks: AsyncIterable<Uint8Array> };

export async function* readParts(
  plan: ReadPlan,
  { start, end, version }: BackendRead,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { room, parts } = plan;
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  const held: Part[] = [];
  let pinned = version;
  let at = start;
  let given = 0;
  const begin = (taken: boolean): void => {
    const bytes = partBytesAt(end - at, parts);
    const part = new Part(plan, { start: at, end: at + bytes, version: pinned, taken });
    held.push(part);
    at = part.end;
    part.fetch(either);
  };
  try {
    begin(false);
    for (let head = held[0]; head !== undefined; head = held[0]) {
      for await (const chunk of head.bytes()) {
        pinned ??= head.version;
        given += chunk.length;
        const most = Math.min(parts.parallel, 1 + Math.floor(given / (parts.size * rampShare)));
        while (at < end && held.length < most && room.tryTake(parts.size)) begin(true);
        yield chunk;
      }
      held.shift();
      if (head.taken) room.give(parts.size);
      if (at < end && held.length === 0) begin(false);
    }
  } finally {
    ending.abort();
    for (const { taken } of held) if (taken) room.give(parts.size);
  }
}

/** Of the next part, where `left` bytes are to come. */
function partBytesAt(left: number, { size, parallel }: ReadPlan['parts']): number {
  const share = Math.max(lastPartBytesMin, Math.ceil(left / parallel));
  return Math.min(left, size, share);
}

type Range = {
  readonly start: number;
  readonly end: number;
  readonly version: string | undefined;
  /** PartRoom was taken for it. */
  readonly taken: boolean;
};

/** Before the part is asked for again; undefined: it is not. */
function pauseOf(
  { why, afterMs }: BackendError,
  { attempt, moved }: { readonly attempt: number; readonly moved: boolean },
): number | undefined {
  if (why === 'throttled') return afterMs ?? partPauseMs * attempt;
  // Too short is a break as well, if it was not so from the start.
  if (why === 'unavailable' || (why === 'damaged' && moved)) return afterMs ?? partPauseMs * (attempt - 1);
  return undefined;
}

/** One request, whose bytes are held until they are wanted. */
class Part {
  readonly #plan: ReadPlan;
  readonly #range: Range;
  readonly #chunks: Uint8Array[] = [];
  #state: 'running' | 'whole' | { readonly failed: unknown } = 'running';
  #wake: () => void = () => {};
  /** Bytes that have come. */
  #came = 0;
  /** Once its first byte is there. */
  version: string | undefined;

  constructor(plan: ReadPlan, range: Range) {
    this.#plan = plan;
    this.#range = range;
  }

  get end(): number {
    return this.#range.end;
  }

  /** What its bytes have to be of. */
  get #pinned(): string | undefined {
    return this.#range.version ?? this.version;
  }

  get taken(): boolean {
    return this.#range.taken;
  }

  /** Never rejects: what failed is thrown where the bytes are wanted. */
  fetch(signal: AbortSignal): void {
    this.#fetchAll(signal).then(
      () => this.#become('whole'),
      (failed: unknown) => this.#become({ failed }),
    );
  }

  async #fetchAll(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const before = this.#came;
      try {
        return await this.#fetch(signal);
      } catch (error) {
        const one = this.#came === 0 || this.#pinned !== undefined;
        if (!(error instanceof BackendError) || !one || attempt >= partAttemptsMax) throw error;
        const pauseMs = pauseOf(error, { attempt, moved: this.#came > before });
        if (pauseMs === undefined || pauseMs > partPauseMsMax) throw error;
        await sleep(pauseMs, undefined, { signal });
      }
    }
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    while (true) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#state === 'whole') return;
      else if (this.#state !== 'running') throw this.#state.failed;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { end } = this.#range;
    const start = this.#range.start + this.#came;
    const { version, chunks } = await this.#plan.open({ start, end, version: this.#pinned }, signal);
    this.version = version;
    let missing = end - start;
    for await (const chunk of chunks) {
      missing -= chunk.length;
      if (missing < 0) break;
      this.#came += chunk.length;
      this.#chunks.push(chunk);
      this.#wake();
    }
    if (missing > 0) throw this.#plan.wrong('damaged', `ended ${missing} bytes early: it is read again from there`);
    if (missing < 0) throw this.#plan.wrong('damaged', 'is answered with more bytes than were asked for');
  }

  #become(state: 'whole' | { failed: unknown }): void {
    this.#state = state;
    this.#wake();
  }
}
