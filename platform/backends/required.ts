/**
 * Whether the backends answer on which a process's readiness depends.
 *
 * Rule 1: whoever asks is answered within `waitMs`, whatever the backends do, and a backend is asked no more often than
 *         every few seconds, however many ask.
 * Rule 2: that it may be written to is tried (`probe`, which writes an object) until it was once and every ten minutes; in
 *         between, that it answers is enough.
 */

import type { Clock } from '../net/clock.ts';
import { pause } from './around/pause.ts';
import { type Backend, BackendError } from './backend.ts';

/** A probe of Kubernetes waits a second by default, and has five at most in the chart. */
const waitMs = 900;
/** An answer is told on for so long. */
const fineMs = 5_000;
const failedMs = 1_000;
const probeMs = 600_000;
/** An object that nobody has; whether it is there does not matter. */
const nobodysKey = '.shoal/readiness';

type Look = { readonly atMs: number; readonly problem: string | undefined };

export class RequiredBackends implements Disposable {
  readonly #backends: readonly RequiredBackend[];
  readonly #end = new AbortController();

  constructor(backends: readonly Backend[], clock: Clock) {
    this.#backends = backends.map((backend) => new RequiredBackend(backend, clock, this.#end.signal));
  }

  /** What keeps them from serving, one line each. */
  async problems(): Promise<string[]> {
    const problems = await Promise.all(this.#backends.map((backend) => backend.problem()));
    return problems.filter((problem) => problem !== undefined);
  }

  [Symbol.dispose](): void {
    this.#end.abort(new Error('the process ends'));
  }
}

class RequiredBackend {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #last: Look | undefined;
  #looking: Promise<string | undefined> | undefined;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(backend: Backend, clock: Clock, signal: AbortSignal) {
    this.#backend = backend;
    this.#clock = clock;
    this.#signal = signal;
  }

  async problem(): Promise<string | undefined> {
    const last = this.#last;
    if (last !== undefined && this.#clock.nowMs() - last.atMs < (last.problem === undefined ? fineMs : failedMs))
      return last.problem;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    const late = new AbortController();
    const tooLong = pause(this.#clock, waitMs, late.signal).then(() => this.#silent());
    try {
      return await Promise.race([this.#looking, tooLong]);
    } finally {
      tooLong.catch(() => undefined);
      late.abort();
    }
  }

  async #look(): Promise<string | undefined> {
    const problem = await this.#ask().then(
      () => undefined,
      (error: unknown) => (error instanceof BackendError ? `backend ${error.why}: ${error.message}` : String(error)),
    );
    this.#last = { atMs: this.#clock.nowMs(), problem };
    if (problem !== undefined) this.#probedMs = Number.NEGATIVE_INFINITY;
    return problem;
  }

  async #ask(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#probedMs < probeMs) {
      await this.#backend.stat(nobodysKey, this.#signal);
      return;
    }
    await this.#backend.probe(this.#signal);
    this.#probedMs = nowMs;
  }

  #silent(): string {
    const before = this.#last?.problem;
    return (
      before ?? `backend ${this.#backend.name} has not answered for ${waitMs / 1000} s: see whether it is reachable`
    );
  }
}
