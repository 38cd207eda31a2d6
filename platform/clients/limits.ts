/**
 * What may end a call beside its own failure: the caller, the time until its head, silence, a process that hangs.
 *
 * Rule: silence counts while the other side is waited for: to take what it is sent, to answer, to send on. A body's own
 *       source, and whoever reads the answer, may take their time.
 */

import { afterReading, NoAnswer, type Pulse, type Watch } from './pulse.ts';

export type Limits = {
  readonly url: string;
  readonly signal: AbortSignal | undefined;
  /** Silence that ends it, milliseconds; 0: none does. */
  readonly stallMs: number;
  readonly withinMs?: number | undefined;
  readonly watched?: boolean | 'head' | undefined;
  /** Told when the call is over; more than once, perhaps. */
  readonly ended?: (() => void) | undefined;
};

/** `code` of the error where the other side was silent for too long. */
export const stalled = { head: 'STALLED_HEAD', body: 'STALLED_BODY' } as const;

export class CallLimits {
  readonly #pulse: Pulse;
  readonly #abort = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #watch: Watch | undefined;
  readonly #late: Disposable | undefined;
  readonly #stallMs: number;
  readonly #headOnly: boolean;
  readonly #ended: (() => void) | undefined;
  #stall: NodeJS.Timeout | undefined;
  /** The other side is waited for. */
  #waiting = false;
  #answered = false;
  #over = false;
  /** Counts what the other side did. */
  #progress = 0;
  readonly #stop = (): void => this.#abort.abort(this.#caller?.reason);

  constructor(pulse: Pulse, call: Limits) {
    this.#pulse = pulse;
    this.#caller = call.signal;
    if (call.signal?.aborted === true) this.#stop();
    call.signal?.addEventListener('abort', this.#stop, { once: true });
    const { withinMs = Number.POSITIVE_INFINITY } = call;
    this.#stallMs = call.stallMs;
    this.#ended = call.ended;
    const bounded = Number.isFinite(withinMs);
    if (bounded) this.#late = afterReading(Math.max(0, withinMs), () => this.#end(call.url, withinMs));
    this.#headOnly = call.watched !== true;
    if (!bounded && !call.watched) return;
    this.#watch = pulse.watch();
    const { signal } = this.#watch;
    signal.addEventListener('abort', () => this.#abort.abort(signal.reason), { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The head is here. */
  answered(): void {
    this.#late?.[Symbol.dispose]();
    if (this.#headOnly) this.#watch?.[Symbol.dispose]();
    this.#answered = true;
    this.rest();
    this.#pulse.heard();
  }

  /** From now on the other side is waited for. */
  wait(): void {
    if (this.#stallMs === 0 || this.#over) return;
    this.#waiting = true;
    this.#progress++;
    if (this.#stall === undefined) this.#stall = setTimeout(() => this.#silent(), this.#stallMs).unref();
    else this.#stall.refresh();
  }

  /** It did what it was waited for. */
  rest(): void {
    this.#waiting = false;
    this.#progress++;
  }

  /** A body on its way to the other side. */
  async *sent(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.rest();
    for await (const chunk of body) {
      this.wait();
      yield chunk;
      this.rest();
    }
    if (!this.#answered) this.wait();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#ended?.();
    this.#late?.[Symbol.dispose]();
    this.#watch?.[Symbol.dispose]();
    clearTimeout(this.#stall);
    this.#caller?.removeEventListener('abort', this.#stop);
  }

  /** Unless we were held up ourselves, and it has sent something meanwhile. */
  #silent(): void {
    const seen = this.#progress;
    afterReading(0, () => {
      if (!this.#waiting || this.#over || this.#progress !== seen) return;
      const code = this.#answered ? stalled.body : stalled.head;
      this.#abort.abort(Object.assign(new Error('the other side is silent'), { code }));
    });
  }

  #end(url: string, withinMs: number): void {
    this.#abort.abort(new NoAnswer(url, `no answer within ${Math.round(withinMs)} ms`));
  }
}
