/**
 * Active health checks of members: each is asked now and then whether it is there, and who it is.
 *
 * Rule 1: one is out after `fails` checks in a row without an answer, and in again after `passes` with one: who answers
 *         every other time is no member to begin with. The check after a failure comes at once, so that one that hangs is
 *         found within `everyMs` and a few times `withinMs`; who stays out is asked ever less often.
 * Rule 2: a process makes at most `checksPerS` of them, however many members there are; each comes at a time that is drawn.
 * Rule 3: where `rarely` is said, only members of a role that was in use within `usedMs` are checked.
 * Rule 4: the first round begins at once, or soon where `rarely` is said. `begun` resolves when each has answered, or failed once.
 */

import type { OriginIdentity } from '../../core/contracts/members.ts';
import { backoffMs } from '../../core/retry/retry.ts';

export type ChecksTiming = {
  readonly everyMs: number;
  /** No answer by then is none. */
  readonly withinMs: number;
  readonly fails: number;
  readonly passes: number;
};
export const checksTiming: ChecksTiming = { everyMs: 1_000, withinMs: 700, fails: 2, passes: 2 };
/** Of a process that has thousands beside it. */
export const rareTiming: ChecksTiming = { ...checksTiming, everyMs: 30_000 };
/** Of one process, to all members of one role. */
const checksPerS = 50;
/** Who is out is asked again after twice the time each time. */
const outMs = { delayMs: 500, delayMsMax: 5_000 } as const;
/** A caller comes back within this, or members are of no use to it. */
const usedMs = 60_000;
/** Who checks rarely is one of many: their first checks are spread over this. */
const herdMs = 3_000;

export type Checked = {
  /** 'same': it is there; its role has no ids. undefined: it is of a release that has none. */
  check(signal: AbortSignal): Promise<OriginIdentity | undefined>;
};

export type ChecksOptions = {
  readonly timing: ChecksTiming;
  readonly rarely?: boolean | undefined;
  readonly answered: (url: string, identity: OriginIdentity | undefined) => void;
  readonly missed: (url: string) => void;
};

export type Health = { readonly up: boolean; readonly latencyMs: number | undefined };

type State = {
  readonly of: unknown;
  readonly member: Checked;
  up: boolean;
  /** In a row, of what it is not at the moment. */
  against: number;
  /** In a row without an answer. */
  misses: number;
  first: boolean;
  latencyMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
  stop: AbortController | undefined;
  running: Promise<void> | undefined;
};

export class Checks {
  readonly #options: ChecksOptions;
  readonly #states = new Map<string, State>();
  readonly #waiting = new Set<() => void>();
  #usedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ChecksOptions) {
    this.#options = options;
  }

  /** These are to be checked from now on, and no others. */
  list<M>(members: ReadonlyMap<string, M>, checked: (member: M) => Checked): void {
    for (const [url, state] of this.#states) {
      if (members.get(url) === state.of) continue;
      end(state);
      this.#states.delete(url);
    }
    for (const [url, member] of members) {
      if (this.#states.has(url)) continue;
      const fresh = { up: true, against: 0, misses: 0, first: true };
      const none = { latencyMs: undefined, timer: undefined, stop: undefined, running: undefined };
      this.#states.set(url, { ...fresh, ...none, of: member, member: checked(member) });
      if (this.#due) this.#next(url, this.#soonMs());
    }
    this.#tellBegun();
  }

  health(url: string): Health | undefined {
    return this.#states.get(url);
  }

  up(url: string): boolean {
    return this.#states.get(url)?.up !== false;
  }

  /** Somebody asks for members. */
  used(): void {
    const idle = !this.#due;
    this.#usedMs = performance.now();
    if (!idle) return;
    for (const [url, state] of this.#states) if (state.timer === undefined) this.#next(url, this.#soonMs());
  }

  /** Asks these at once, however long they were left alone, and resolves when each has answered, or not in time. */
  async now(urls: readonly string[]): Promise<void> {
    const all = urls.map((url) => {
      const state = this.#states.get(url);
      if (state === undefined || this.#closed) return undefined;
      clearTimeout(state.timer);
      state.timer = undefined;
      return state.running ?? this.#begin(url, state);
    });
    await Promise.all(all);
  }

  /** Whether each has answered, or failed once. */
  get begun(): boolean {
    for (const { first } of this.#states.values()) if (first) return false;
    return true;
  }

  /** Calls at once where that is so, or else when it is. */
  whenBegun(then: () => void): Disposable {
    if (this.begun) then();
    else this.#waiting.add(then);
    return { [Symbol.dispose]: () => void this.#waiting.delete(then) };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const state of this.#states.values()) end(state);
    this.#states.clear();
  }

  get #due(): boolean {
    return this.#options.rarely !== true || performance.now() - this.#usedMs < usedMs;
  }

  /** Thousands lose their trackers at the same moment. */
  #soonMs(): number {
    return this.#options.rarely === true ? Math.random() * herdMs : 0;
  }

  #next(url: string, afterMs: number): void {
    const state = this.#states.get(url);
    if (state === undefined || this.#closed) return;
    state.timer = setTimeout(() => {
      state.timer = undefined;
      if (this.#due) void this.#begin(url, state);
    }, afterMs);
    state.timer.unref();
  }

  #begin(url: string, state: State): Promise<void> {
    state.running = this.#check(url, state).finally(() => {
      state.running = undefined;
    });
    return state.running;
  }

  async #check(url: string, state: State): Promise<void> {
    const { timing, answered, missed } = this.#options;
    const stop = new AbortController();
    state.stop = stop;
    const late = setTimeout(() => stop.abort(new Error('no answer in time')), timing.withinMs);
    late.unref();
    const begun = performance.now();
    let identity: OriginIdentity | undefined;
    let passed = true;
    try {
      identity = await state.member.check(stop.signal);
    } catch {
      passed = false;
    }
    clearTimeout(late);
    if (this.#closed || this.#states.get(url) !== state) return;
    this.#note(state, passed);
    if (passed) state.latencyMs = performance.now() - begun;
    state.first = false;
    if (passed) answered(url, identity);
    else missed(url);
    this.#tellBegun();
    this.#next(url, this.#pauseMs(state));
  }

  #note(state: State, passed: boolean): void {
    const { fails, passes } = this.#options.timing;
    state.misses = passed ? 0 : state.misses + 1;
    state.against = passed === state.up ? 0 : state.against + 1;
    if (state.against < (state.up ? fails : passes)) return;
    state.up = passed;
    state.against = 0;
  }

  #pauseMs({ up, against, misses }: State): number {
    const jitter = 0.75 + Math.random() / 2;
    if (!up && misses > 0) return jitter * backoffMs(outMs, misses);
    // It is not known yet which of the two it is.
    if (against > 0) return jitter * outMs.delayMs * (misses > 0 ? 0.1 : 1);
    return jitter * Math.max(this.#options.timing.everyMs, (1_000 * this.#states.size) / checksPerS);
  }

  #tellBegun(): void {
    if (!this.begun) return;
    for (const then of [...this.#waiting]) {
      this.#waiting.delete(then);
      then();
    }
  }
}

function end({ timer, stop }: State): void {
  clearTimeout(timer);
  stop?.abort(new Error('it is no member any more'));
}
