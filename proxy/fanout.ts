/**
 * One request body to several origins at once, chunk by chunk, each chunk to all before the next one.
 *
 * Rule 1: nothing is gathered: at most two chunks per origin are in this process, beside the sockets' buffers.
 * Rule 2: an origin that fails or stalls is left behind; the others go on. When none is left, so ends this.
 * Rule 3: when the client fails, every origin's request is broken off, so that none takes the part for the whole.
 */

import { ApiError } from '../core/contracts/errors.ts';

/** Where a part of the stream goes. */
export type OriginLane = {
  /** Leading bytes of the body that this one already holds. */
  readonly skip: number;
  /** Sends the body; resolves with the offset that it leads to. */
  send(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number>;
};

export type LaneResult =
  | { readonly kind: 'sent'; readonly offset: number }
  | { readonly kind: 'failed'; readonly error: unknown };

export type FanOut = {
  /** Bytes of the body. */
  readonly bytes: number;
  /** In the order of the lanes. */
  readonly results: readonly LaneResult[];
};

export type FanOutOptions = {
  /** An origin that takes no byte for so long, while one waits for it, is left behind. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
};

/** Throws what the body throws. A lane that fails is a result, not an error. */
export async function fanOut(
  body: AsyncIterable<Uint8Array>,
  lanes: readonly OriginLane[],
  options: FanOutOptions,
): Promise<FanOut> {
  const runs = lanes.map((lane) => new LaneRun(lane, options));
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      const taken = await Promise.all(runs.map((run) => run.put(chunk)));
      if (!taken.includes(true)) break;
    }
  } catch (error) {
    for (const run of runs) run.fail(error);
    await Promise.all(runs.map((run) => run.result));
    throw error;
  }
  for (const run of runs) run.end();
  return { bytes, results: await Promise.all(runs.map((run) => run.result)) };
}

class LaneRun {
  readonly result: Promise<LaneResult>;
  readonly #feed = new Feed();
  readonly #abort = new AbortController();
  readonly #stall: NodeJS.Timeout;
  #skip: number;
  /** While the origin, not the client, is waited for. */
  #waiting = false;

  constructor(lane: OriginLane, options: FanOutOptions) {
    this.#skip = lane.skip;
    this.#stall = setTimeout(() => {
      if (this.#waiting) this.#abort.abort(stalled(options.stallMs));
      else this.#stall.refresh();
    }, options.stallMs);
    this.#stall.unref();
    this.result = this.#run(lane, AbortSignal.any([options.signal, this.#abort.signal]));
  }

  /** Whether the lane still takes bytes. */
  async put(chunk: Uint8Array): Promise<boolean> {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    if (skipped === chunk.length) return true;
    this.#waiting = true;
    this.#stall.refresh();
    const taken = await this.#feed.put(skipped === 0 ? chunk : chunk.subarray(skipped));
    this.#waiting = false;
    return taken;
  }

  end(): void {
    this.#waiting = true;
    this.#stall.refresh();
    this.#feed.end();
  }

  fail(error: unknown): void {
    this.#feed.fail(error);
    this.#abort.abort(error);
  }

  async #run(lane: OriginLane, signal: AbortSignal): Promise<LaneResult> {
    try {
      return { kind: 'sent', offset: await lane.send(this.#feed, signal) };
    } catch (error) {
      return { kind: 'failed', error };
    } finally {
      clearTimeout(this.#stall);
      this.#feed.leave();
    }
  }
}

type FeedState = 'open' | 'ended' | 'left' | { readonly failed: unknown };

/**
 * A handover of chunks from one writer to one reader: a chunk is offered, and the writer goes on when
 * the reader has taken it. At most one chunk waits here, so the slower side sets the pace.
 */
class Feed implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  #state: FeedState = 'open';
  #offer: { readonly chunk: Uint8Array; taken(): void } | undefined;
  #wake: (() => void) | undefined;

  /** Resolves true once the reader has taken `chunk`, false once it has left. One at a time. */
  put(chunk: Uint8Array): Promise<boolean> {
    if (this.#state !== 'open') return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#offer = { chunk, taken: () => resolve(this.#state !== 'left') };
      this.#wake?.();
    });
  }

  /** Nothing more comes. */
  end(): void {
    this.#change('ended');
  }

  /** The rest will never come: the reader throws `error`. */
  fail(error: unknown): void {
    this.#change({ failed: error });
  }

  /** The reader is gone; whoever offers is told so. */
  leave(): void {
    this.#change('left');
    this.#take();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (true) {
      if (typeof this.#state === 'object') throw this.#state.failed;
      const chunk = this.#take();
      if (chunk !== undefined) return { done: false, value: chunk };
      if (this.#state !== 'open') return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.leave();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Uint8Array | undefined {
    const offer = this.#offer;
    this.#offer = undefined;
    offer?.taken();
    return offer?.chunk;
  }

  #change(state: FeedState): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.#wake?.();
  }
}

function stalled(stallMs: number): ApiError {
  return new ApiError('UNAVAILABLE', `the origin took nothing for ${stallMs / 1000} s`);
}
