/**
 * The members of one role (all origins, all trackers, all indexes) as this process knows them: one value per list and
 * process, shared by whoever calls them, so that what one caller finds out about a member holds for all.
 *
 * Rule 1: a member has one client, whatever it is asked for. One that leaves the list is asked for nothing new; what is
 *         under way there ends by itself.
 * Rule 2: who is silent goes to the end of every order until it answers; it is pinged, so that no call has to find out
 *         that it is back (clients/pulse.ts). A dead or hung one so costs its time-out once, not at each call.
 * Rule 3: a question goes to the next member as soon as 99 of 100 would have been answered; the first answer wins.
 * Rule 4: who owns a key depends on the ids of the members and their weights only, and is the same for all who know the
 *         same ones. Where a role has no ids, their URLs are.
 * Rule 5: whatever finds members (a configuration, a tracker that tells of the origins, DNS, Kubernetes) is a MemberList;
 *         nobody else looks where the URLs come from. What they are called on the ring is found out here (places.ts).
 */

import type { OriginIdentity, ToldPlace } from '../../core/contracts/members.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { Latency } from '../../core/retry/latency.ts';
import { type Checked, Checks, checksTiming, type Health, rareTiming } from './checks.ts';
import { KnownPlaces, type MemberRing, type RingPlace, ringOfUrls, unheardIn } from './places.ts';
import type { Member, MembersOptions } from './types.ts';

/** A question goes to the next member at the recent 99th percentile, no sooner and no later than this. */
const hedgeMsMin = 20;
/** Somebody who is silent for so long is not waited for alone: a dead one costs a reader, and a push, little. */
export const hedgeMs = 500;
/** Who has left the list may be a pod that is being restarted, and comes back under another address. */
export const graceMsDefault = 300_000;
/** What is to be placed waits so long for the ids of members. */
const placedMsMax = 2_000;
/** How often it is looked whether one that left still has calls under way. */
const leavingMs = 5_000;

export class Members<M extends Member> implements AsyncDisposable {
  readonly #options: MembersOptions<M>;
  readonly #listening: Disposable;
  readonly #answers = new Latency();
  readonly #leaving = new Map<M, NodeJS.Timeout>();
  readonly #listeners = new Set<() => void>();
  readonly #places: KnownPlaces | undefined;
  readonly #checks: Checks | undefined;
  /** All that are listed, and those of them that are to be called. */
  #listed: ReadonlyMap<string, M> = new Map();
  #clients: ReadonlyMap<string, M> = new Map();
  #ring: MemberRing = {
    places: [],
    doubles: [],
    beside: new Set(),
    strangersLeft: [],
    elsewhere: [],
    replaced: [],
    untilMs: Number.POSITIVE_INFINITY,
  };
  #byId: ReadonlyMap<string, { readonly place: RingPlace; readonly member: M | undefined }> = new Map();
  #ids: ReadonlyMap<string, string> = new Map();
  #owners: Rendezvous = Rendezvous.of([]);
  /** In the order of the list: those of whom it is not known who they are; those that are being emptied. */
  #strangers: readonly M[] = [];
  #emptied: readonly M[] = [];
  /** Whose checks are not answered. */
  readonly #out = new WeakSet<M>();
  readonly #priorities = new Map<M, number>();
  #turn: NodeJS.Timeout | undefined;
  #waited = false;
  #closed = false;

  constructor(options: MembersOptions<M>) {
    this.#options = options;
    const { list, check, ids, self, graceMs = graceMsDefault } = options;
    if (ids === true) this.#places = new KnownPlaces({ graceMs, self });
    if (check !== undefined) {
      this.#checks = new Checks({
        timing: options.timing ?? (options.rarely === true ? rareTiming : checksTiming),
        rarely: options.rarely,
        answered: (url, identity) => this.#answered(url, identity),
        missed: (url) => this.#missed(url),
      });
    }
    this.#take();
    this.#listening = list.onChange(() => this.#take());
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

  /** The one of that id (of a role without ids, its URL); undefined: its address is not known, or it is ourselves. */
  byId(id: string): M | undefined {
    return this.#byId.get(id)?.member;
  }

  /** undefined: not known. */
  idOf(url: string): string | undefined {
    return this.#ids.get(url);
  }

  /** Our own id; undefined: we are none of them. */
  get self(): string | undefined {
    return this.#options.self?.id;
  }

  /** Everybody who has a place, ourselves and those among them that cannot be reached. */
  get places(): readonly RingPlace[] {
    return this.#ring.places;
  }

  /** What others may be told. */
  get known(): ToldPlace[] {
    return this.#ring.places.flatMap(({ id, url, weight }) => (url === undefined ? [] : [{ id, url, weight }]));
  }

  /** Ids that two processes have. */
  get doubles(): MemberRing['doubles'] {
    return this.#ring.doubles;
  }

  /** Whether the last checks were answered, and how fast; undefined: nobody checks. */
  health(url: string): Health | undefined {
    return this.#checks?.health(url);
  }

  /** Calls after each change of the list, or of the ring, when this knows of it. */
  onChange(then: () => void): Disposable {
    this.#listeners.add(then);
    return { [Symbol.dispose]: () => void this.#listeners.delete(then) };
  }

  /** Nobody answers, as far as known. */
  get silent(): boolean {
    return this.all.every(({ pulse }) => pulse.silent);
  }

  /** Those of whom it is not known who they are. */
  get strangers(): readonly M[] {
    return this.#strangers;
  }

  /** What may be held by somebody who cannot be asked: why, one line each. Then nobody may say that nobody has it. */
  get unheard(): string[] {
    // Who nobody asks who they are cannot be waited for.
    const unknown = this.#checks === undefined ? [] : this.#places?.unheard;
    return [...unheardIn(this.#ring, this.#options.self?.id), ...(unknown ?? [])];
  }

  /** The owners of `key`, ourselves among them, whether they answer or not, or can be reached. */
  owners(key: string, count?: number): RingPlace[] {
    return this.#owners.pick(key, count).flatMap((id) => this.#byId.get(id)?.place ?? []);
  }

  owns(key: string, id: string, count: number): boolean {
    return this.#owners.owns(key, id, count);
  }

  /**
   * Every member that can be called, the owners of `key` first, those that did not answer lately last. While it is not
   * known of anybody who it is, in the order of the list.
   */
  order(key: string): M[] {
    if (this.#options.rarely === true) this.#checks?.used();
    const owners = this.#owners.pick(key).flatMap((id) => this.#byId.get(id)?.member ?? []);
    const all = this.#ranked([...owners, ...this.#strangers, ...this.#emptied]);
    return [...all.filter((member) => this.#well(member)), ...all.filter((member) => !this.#well(member))];
  }

  /**
   * For whoever places something: waits until it is known who is there, as far as they answer, and no longer than a
   * moment, once. What is placed by less than all is handed over later.
   */
  async placed(signal: AbortSignal): Promise<void> {
    const checks = this.#checks;
    if (this.#waited || this.#places === undefined || checks === undefined) return;
    checks.used();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        waiting[Symbol.dispose]();
        for (const timer of [soon, late]) clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const soon = setTimeout(() => this.#ring.places.length > 0 && done(), hedgeMs);
      const late = setTimeout(done, placedMsMax);
      signal.addEventListener('abort', done, { once: true });
      const waiting = checks.whenBegun(() => setImmediate(done));
    });
    this.#waited = true;
  }

  /** For whoever is to say that nobody has a thing: who has not said yet who it is, and just answered, is asked that now. */
  async introduced(signal: AbortSignal): Promise<void> {
    await this.placed(signal);
    await this.#checks?.now(this.#places?.unknown ?? []);
  }

  /** Another process knows these; of those in the list it is believed until they speak for themselves. */
  told(places: readonly ToldPlace[]): void {
    if (this.#places?.told(places, performance.now()) === true) this.#rebuild();
  }

  /** What was known before this process was started. */
  remember(places: readonly ToldPlace[]): void {
    if (this.#places?.remember(places, performance.now()) === true) this.#rebuild();
  }

  /** We are being emptied, or not any more. */
  drain(draining: boolean): void {
    if (this.#options.self === undefined) return;
    this.#options.self.draining = draining;
    this.#rebuild();
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
    this.#closed = true;
    this.#listening[Symbol.dispose]();
    this.#checks?.[Symbol.dispose]();
    clearTimeout(this.#turn);
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    const all = [...this.#listed.values(), ...this.#leaving.keys()];
    await Promise.all(all.map((member) => member[Symbol.asyncDispose]()));
  }

  /** Those of the lowest priority first, where a list has any. */
  #ranked(members: M[]): M[] {
    if (this.#priorities.size === 0) return members;
    const of = (member: M): number => this.#priorities.get(member) ?? 0;
    return members.toSorted((one, other) => of(one) - of(other));
  }

  #well(member: M): boolean {
    return member.pulse.well && !this.#out.has(member);
  }

  #take(): void {
    const { list, connect, self, check } = this.#options;
    const before = this.#listed;
    const others = list.urls.filter((url) => url !== self?.url);
    this.#listed = new Map(others.map((url) => [url, before.get(url) ?? connect(url, list.about?.(url)?.host)]));
    for (const [url, member] of before) if (!this.#listed.has(url)) this.#leave(member);
    this.#priorities.clear();
    for (const [url, member] of this.#listed) {
      const priority = list.about?.(url)?.priority ?? 0;
      if (priority > 0) this.#priorities.set(member, priority);
    }
    this.#places?.listed(list.urls, performance.now());
    this.#rebuild();
    if (check === undefined) return;
    const told = (): boolean => this.#places !== undefined && this.#places.unknown.length > 0;
    const checked = (member: M): Checked => ({ check: (signal) => check(member, { signal, told: told() }) });
    this.#checks?.list(this.#listed, checked);
  }

  #answered(url: string, identity: OriginIdentity | undefined): void {
    this.#note(url);
    this.#waited ||= this.#checks?.begun === true;
    const nowMs = performance.now();
    const news = this.#places?.answered(url, identity, nowMs) === true;
    const told = identity?.members !== undefined && this.#places?.told(identity.members, nowMs) === true;
    if (news || told) this.#rebuild();
  }

  #missed(url: string): void {
    this.#listed.get(url)?.pulse.doubt();
    this.#options.list.doubt?.();
    this.#note(url);
    if (this.#places?.missed(url) === true) this.#rebuild();
  }

  #note(url: string): void {
    const member = this.#listed.get(url);
    if (member === undefined) return;
    if (this.#checks?.up(url) === false) this.#out.add(member);
    else this.#out.delete(member);
  }

  /** Of what is known now, who is where. */
  #rebuild(): void {
    if (this.#closed) return;
    const { list } = this.#options;
    const nowMs = performance.now();
    this.#ring = this.#places?.ring(nowMs) ?? ringOfUrls(list.urls, (url) => list.about?.(url)?.weight ?? 1);
    const { places, beside, untilMs } = this.#ring;
    const idOf = (url: string): string | undefined => (this.#places === undefined ? url : this.#places.idOf(url));
    this.#ids = new Map(list.urls.flatMap((url) => [idOf(url)].flatMap((id) => (id === undefined ? [] : [[url, id]]))));
    this.#clients = new Map([...this.#listed].filter(([url]) => !beside.has(url)));
    const member = ({ url }: RingPlace): M | undefined => (url === undefined ? undefined : this.#clients.get(url));
    this.#byId = new Map(places.map((place) => [place.id, { place, member: member(place) }]));
    const lasting = places.filter(({ draining }) => !draining);
    const owners = lasting.length > 0 ? lasting : places;
    this.#owners = new Rendezvous(owners);
    const placed = new Set(owners.map(member));
    this.#emptied = places.flatMap((place) => member(place) ?? []).filter((one) => !placed.has(one));
    this.#strangers = this.all.filter((one) => !placed.has(one) && !this.#emptied.includes(one));
    clearTimeout(this.#turn);
    if (Number.isFinite(untilMs)) this.#turn = setTimeout(() => this.#rebuild(), untilMs - nowMs + 1).unref();
    for (const listener of [...this.#listeners]) listener();
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
