/**
 * The members of one role (all origins, all trackers, all indexes) as this process knows them: one value per list and
 * process, shared by whoever calls them, so that what one caller finds out about a member holds for all.
 *
 * Rule 1: a member has one client, whatever it is asked for. One that leaves the list is asked for nothing new; what is
 *         under way there ends by itself.
 * Rule 2: who is silent goes to the end of every order until it answers; it is pinged, so that no call has to find out
 *         that it is back (clients/pulse.ts). A dead or hung one so costs its time-out once, not at each call.
 * Rule 3: a question goes to the next member as soon as 99 of 100 would have been answered; the first answer wins.
 * Rule 4: who owns a key depends on the list only, and is the same for all who have the same list.
 * Rule 5: whatever finds members (a configuration, a tracker that tells of the origins, DNS, Kubernetes) is a MemberList;
 *         nobody else looks where the URLs come from.
 */

import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { Latency } from '../../core/retry/latency.ts';
import type { Pulse } from '../clients/pulse.ts';

/** A question goes to the next member at the recent 99th percentile, no sooner and no later than this. */
const hedgeMsMin = 20;
/** Somebody who is silent for so long is not waited for alone: a dead one costs a reader, and a push, little. */
export const hedgeMs = 500;
/** How often it is looked whether one that left still has calls under way. */
const leavingMs = 5_000;

/** Who is there of one role: base URLs, and being told when they change. */
export interface MemberList {
  readonly urls: readonly string[];
  /** Calls after each change, until it is disposed of. */
  onChange(then: () => void): Disposable;
}

export type Member = AsyncDisposable & {
  /** Whether it answers. */
  readonly pulse: Pick<Pulse, 'well' | 'silent' | 'doubt'>;
  /** Calls that have not ended. */
  readonly underWay: number;
};

export type MembersOptions<M> = {
  readonly list: MemberList;
  readonly connect: (url: string) => M;
  /** Which of them this process is: it owns keys as the others do, and calls nobody by that name. */
  readonly self?: string | undefined;
};

export class Members<M extends Member> implements AsyncDisposable {
  readonly #options: MembersOptions<M>;
  readonly #listening: Disposable;
  readonly #answers = new Latency();
  readonly #leaving = new Map<M, NodeJS.Timeout>();
  readonly #listeners = new Set<() => void>();
  #clients: ReadonlyMap<string, M> = new Map();
  #owners: Rendezvous = Rendezvous.of([]);

  constructor(options: MembersOptions<M>) {
    this.#options = options;
    this.#take();
    this.#listening = options.list.onChange(() => this.#take());
  }

  /** Those that can be called, in the order of the list. */
  get urls(): string[] {
    return [...this.#clients.keys()];
  }

  get all(): M[] {
    return [...this.#clients.values()];
  }

  /** undefined: it is not there, or is ourselves. */
  of(url: string): M | undefined {
    return this.#clients.get(url);
  }

  /** Calls after each change of the list, when this knows of it. */
  onChange(then: () => void): Disposable {
    this.#listeners.add(then);
    return { [Symbol.dispose]: () => void this.#listeners.delete(then) };
  }

  /** Nobody answers, as far as known. */
  get silent(): boolean {
    return this.all.every(({ pulse }) => pulse.silent);
  }

  /** The owners of `key`, ourselves among them, whether they answer or not. */
  pick(key: string, count?: number): string[] {
    return this.#owners.pick(key, count);
  }

  owns(key: string, url: string, count: number): boolean {
    return this.#owners.owns(key, url, count);
  }

  /** Every member that can be called, the owners of `key` first, those that did not answer lately last. */
  order(key: string): M[] {
    const ranked = this.#owners.pick(key).flatMap((url) => this.#clients.get(url) ?? []);
    return [...ranked.filter(({ pulse }) => pulse.well), ...ranked.filter(({ pulse }) => !pulse.well)];
  }

  /** The first answer of `candidates` in order; none of them is waited for much longer than usual alone. */
  async first<T>(
    candidates: readonly M[],
    ask: (member: M, signal: AbortSignal) => Promise<T | undefined>,
    signal: AbortSignal,
  ): Promise<Hedged<M, T>> {
    const begun = performance.now();
    const hedged = await firstAnswer(candidates, ask, {
      hedgeMs: this.#answers.p99(hedgeMsMin, hedgeMs),
      signal,
      onSilent: ({ pulse }) => pulse.doubt(),
    });
    if (hedged.kind === 'answer') this.#answers.add(performance.now() - begun);
    return hedged;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]();
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    await Promise.all([...this.all, ...this.#leaving.keys()].map((member) => member[Symbol.asyncDispose]()));
  }

  #take(): void {
    const { list, connect, self } = this.#options;
    const before = this.#clients;
    const others = list.urls.filter((url) => url !== self);
    this.#owners = Rendezvous.of(list.urls);
    this.#clients = new Map(others.map((url) => [url, before.get(url) ?? connect(url)]));
    for (const [url, member] of before) if (!this.#clients.has(url)) this.#leave(member);
    for (const listener of this.#listeners) listener();
  }

  #leave(member: M): void {
    const timer = setTimeout(() => {
      if (member.underWay > 0) return this.#leave(member);
      this.#leaving.delete(member);
      void member[Symbol.asyncDispose]();
    }, leavingMs);
    timer.unref();
    this.#leaving.set(member, timer);
  }
}

/** As the configuration has them. */
export function fixedList(urls: readonly string[]): MemberList {
  return { urls, onChange: () => ({ [Symbol.dispose]: () => undefined }) };
}

/** As somebody told last; empty while nobody has. */
export class ToldList implements MemberList {
  #urls: readonly string[];
  readonly #listeners = new Set<() => void>();

  constructor(urls: readonly string[] = []) {
    this.#urls = [...urls];
  }

  get urls(): readonly string[] {
    return this.#urls;
  }

  onChange(then: () => void): Disposable {
    const listener = (): void => then();
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** These are all of them, in any order. True: that is news. */
  tell(urls: readonly string[]): boolean {
    if (urls.length === this.#urls.length && urls.every((url) => this.#urls.includes(url))) return false;
    this.#urls = [...urls];
    for (const listener of this.#listeners) listener();
    return true;
  }
}

export type Hedging<C> = {
  readonly hedgeMs: number;
  readonly signal?: AbortSignal | undefined;
  /** `candidate` was silent for so long that the next one is asked beside it. */
  readonly onSilent?: ((candidate: C) => void) | undefined;
};

export type Hedged<C, T> =
  | { readonly kind: 'answer'; readonly from: C; readonly answer: T }
  /** Nobody has it (undefined), as far as no one failed. */
  | { readonly kind: 'none'; readonly failures: readonly unknown[] };

/**
 * Asks several that can give the same answer, one after the other: the next one when the last one failed, said that it has
 * nothing, or was silent for `hedgeMs`. The first answer wins; whoever is still being asked then is told to stop (its
 * signal is aborted). `ask` answers undefined where the candidate has nothing. Its signal stays unaborted for the winner, unless the caller's is.
 */
export function firstAnswer<C, T>(
  candidates: readonly C[],
  ask: (candidate: C, signal: AbortSignal) => Promise<T | undefined>,
  options: Hedging<C>,
): Promise<Hedged<C, T>> {
  return new Promise((resolve) => {
    const failures: unknown[] = [];
    const running = new Map<C, AbortController>();
    let asked = 0;
    let timer: NodeJS.Timeout | undefined;

    function next(): void {
      clearTimeout(timer);
      const candidate = candidates[asked];
      if (candidate === undefined) {
        if (running.size === 0) resolve({ kind: 'none', failures });
        return;
      }
      asked += 1;
      const stop = new AbortController();
      running.set(candidate, stop);
      if (asked < candidates.length) timer = setTimeout(() => hedge(candidate), options.hedgeMs);
      const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
      ask(candidate, signal).then(
        (answer) => settle(candidate, answer),
        (error: unknown) => {
          if (!stop.signal.aborted) failures.push(error);
          settle(candidate, undefined);
        },
      );
    }

    function hedge(silent: C): void {
      options.onSilent?.(silent);
      next();
    }

    function settle(candidate: C, answer: T | undefined): void {
      if (!running.delete(candidate)) return;
      if (answer === undefined) return next();
      clearTimeout(timer);
      const others = [...running.values()];
      running.clear();
      for (const stop of others) stop.abort(new Error('another one answered first'));
      resolve({ kind: 'answer', from: candidate, answer });
    }

    next();
  });
}
