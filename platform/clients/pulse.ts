/**
 * Whether the process behind one base URL lives.
 *
 * A stopped process, or one whose host is gone, keeps its connections and answers nothing, as a slow one does for a
 * while. To tell them apart, a ping (`GET /health`, answered by the main thread alone) is sent beside whatever waits.
 *
 * Rule 1: while calls are waited for (`watch`), a ping follows after `beatMs`, and one after the other while they go
 *         on. Where one is not answered within `silenceMs` of the call, every call that waits ends with NoAnswer: a
 *         commit of gigabytes may so take minutes, and a process that hangs costs two seconds.
 * Rule 2: what did not answer is remembered until it answers anything: callers ask it last, and have little patience.
 *         While that is so it is pinged, so that no call has to find out that it is back.
 * Rule 3: whoever was itself held up reads what has come meanwhile before it judges (`afterReading`).
 * Rule 4: only silence counts: a refused connection is an answer of the host, and ends no call that is under way.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { backoffMs } from '../../core/retry/retry.ts';

/** Silence of so long is a process that hangs: the most that anyone waits for a control answer. */
export const silenceMs = 2_000;
/** What did not answer before is given so long: enough for one that is back and has not been pinged yet. */
export const impatienceMs = 500;
/** Most calls are answered before a ping is worth sending. */
const beatMs = 200;
/** A turn to read the answer's head, another one for what the reading has put off. */
const readingTurns = 2;
/** Of what waits for an answer, the newest so many: each is a small request. */
const returnsMax = 1_024;
/** Pings of what did not answer: a second apart at first. Half of it is drawn at random, for thousands may ask. */
const healing = { delayMs: 1_000, delayMsMax: 5_000 } as const;

/** Nothing was heard, as opposed to an answer that says no. */
export class NoAnswer extends ApiError {
  /** Who was asked. */
  readonly url: string;
  /** No connection came about: nobody got the request. Else it may have been done. */
  readonly unsent: boolean;
  constructor(url: string, why: string, unsent = false) {
    super('UNAVAILABLE', `${url}: ${why}`);
    this.url = url;
    this.unsent = unsent;
  }
}

/**
 * Calls `then` after `ms`, and after what lies in the sockets by then was read: timers come first in a turn of the event
 * loop, and ours may have been busy, or stopped, for longer than the other side.
 */
export function afterReading(ms: number, then: () => void): { [Symbol.dispose](): void } {
  let immediate: NodeJS.Immediate | undefined;
  let turns = readingTurns;
  const turn = (): void => {
    if (turns-- > 0) immediate = setImmediate(turn);
    else then();
  };
  const timer = setTimeout(turn, ms);
  timer.unref();
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      if (immediate !== undefined) clearImmediate(immediate);
    },
  };
}

export type PulseOptions = {
  readonly url: string;
  /** Resolves with any answer. */
  readonly ping: (signal: AbortSignal) => Promise<void>;
  readonly silenceMs?: number | undefined;
};

/** A call that is waited for. */
export type Watch = { readonly signal: AbortSignal; [Symbol.dispose](): void };

export class Pulse {
  readonly #options: PulseOptions;
  readonly #silenceMs: number;
  readonly #watches = new Set<AbortController>();
  #state: 'well' | 'doubted' | 'silent' = 'well';
  #timer: NodeJS.Timeout | undefined;
  /** The timer is one of a call that is waited for. */
  #soon = false;
  #ping: AbortController | undefined;
  /** To be done once it answers. */
  readonly #returns: (() => void)[] = [];
  /** Something was heard since the last ping was sent. */
  #heardMeanwhile = false;
  /** Pings in a row without an answer. */
  #misses = 0;
  #closed = false;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#silenceMs = options.silenceMs ?? silenceMs;
  }

  /** False from the first doubt to the next answer: ask others first. */
  get well(): boolean {
    return this.#state === 'well';
  }

  /** It did not answer in time, and has not since. */
  get silent(): boolean {
    return this.#state === 'silent';
  }

  /** An answer came, whatever it says. */
  heard(): void {
    this.#state = 'well';
    this.#heardMeanwhile = true;
    this.#misses = 0;
    if (this.#returns.length > 0) for (const call of this.#returns.splice(0)) call();
  }

  /** For what can wait: called at its next answer, if one ever comes. */
  onceHeard(call: () => void): void {
    this.#returns.push(call);
    if (this.#returns.length > returnsMax) this.#returns.shift();
  }

  /** A call got no answer. */
  missed(): void {
    this.#state = 'silent';
    this.#schedule();
  }

  /** It is later than usual. */
  doubt(): void {
    if (this.#state === 'well') this.#state = 'doubted';
    this.#beat();
  }

  /** The signal is aborted with NoAnswer where pings are not answered any more. To be disposed of with the call. */
  watch(): Watch {
    const controller = new AbortController();
    this.#watches.add(controller);
    this.#schedule();
    return { signal: controller.signal, [Symbol.dispose]: () => void this.#watches.delete(controller) };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#ping?.abort();
  }

  #schedule(): void {
    const watched = this.#watches.size > 0;
    if (this.#ping !== undefined || this.#closed || (this.#state === 'well' && !watched)) return;
    // A call does not wait for the next ping of what was silent before.
    if (this.#timer !== undefined && (this.#soon || !watched)) return;
    clearTimeout(this.#timer);
    this.#soon = watched;
    const waitMs = watched ? beatMs : (0.5 + Math.random() / 2) * backoffMs(healing, this.#misses + 1);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#state !== 'well' || this.#watches.size > 0) this.#beat();
    }, waitMs);
    this.#timer.unref();
  }

  #beat(): void {
    if (this.#ping !== undefined || this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const ping = new AbortController();
    this.#ping = ping;
    this.#heardMeanwhile = false;
    const late = afterReading(this.#silenceMs - beatMs, () => ping.abort());
    const over = (then: () => void) => (): void => {
      late[Symbol.dispose]();
      this.#ping = undefined;
      if (this.#closed) return;
      then();
      this.#schedule();
    };
    this.#options.ping(ping.signal).then(
      over(() => this.heard()),
      over(() => this.#unanswered(ping.signal.aborted)),
    );
  }

  #unanswered(late: boolean): void {
    // A process under load answers, though not everybody in time.
    if (late && this.#heardMeanwhile) return;
    this.#misses += 1;
    this.#state = 'silent';
    if (!late) return;
    const why = new NoAnswer(this.#options.url, `hangs: it has answered nothing for ${this.#silenceMs} ms`);
    for (const controller of this.#watches) controller.abort(why);
    this.#watches.clear();
  }
}
