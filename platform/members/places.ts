/**
 * Who is on the ring, and where: what is known of the ids, weights and instances behind the URLs of a list.
 *
 * Rule 1: an id is a place of its own, whatever its address: that a member is restarted, moves, or cannot be reached
 *         moves nothing. One whose URL has left the list stays for `graceMs`, without an address until it is seen at another.
 *         Where another id answers at its URL, and everybody in the list says to be somebody else for `replacedMs`, its disk was
 *         replaced: its place is given up, though for `graceMs` nobody says that nobody has what it held.
 * Rule 2: what a member says of itself counts more than what others say of it, and what was heard last more than before.
 *         Of others only who is in our list is believed.
 * Rule 3: two processes of one id, both of which answer, are one place: of these the instance that sorts first, so that
 *         all who see them agree. One process under several URLs is one place too, and no such trouble.
 * Rule 4: a URL whose id is not known is nowhere on the ring.
 */

import { membersMax, type OriginIdentity, type ToldPlace } from '../../core/contracts/members.ts';
import type { RingNode } from '../../core/rendezvous/rendezvous.ts';

/** An origin that moves answers at its new address within it. */
export const replacedMs = 20_000;

/** A share of the ring. */
export type RingPlace = RingNode & {
  /** undefined: not known now. It is ours all the same to reckon with. */
  readonly url: string | undefined;
  /** It is being emptied, and owns nothing new. */
  readonly draining: boolean;
};

/** Two processes that say to be one member. */
export type Double = { readonly id: string; readonly urls: readonly string[] };

/** This process, where it is one of them. */
export type Self = {
  readonly id: string;
  readonly weight: number;
  /** undefined: it is told by nobody under which URL it is called. */
  readonly url?: string | undefined;
  readonly instance?: string | undefined;
  draining?: boolean;
};

export type MemberRing = {
  readonly places: readonly RingPlace[];
  readonly doubles: readonly Double[];
  /** URLs that answer for ourselves, or for a place that has another URL: nobody is to be called there. */
  readonly beside: ReadonlySet<string>;
  /** URLs that left not long ago, before anybody said who is there: whoever it is, it has no place. */
  readonly strangersLeft: readonly string[];
  /** Ids that others know, and that no URL of this list is known to have: whoever starts may have been given a part of it. */
  readonly elsewhere: readonly string[];
  /** Ids that are no places any more since others answer where they were, and that may be somewhere all the same. */
  readonly replaced: readonly string[];
  /** When it changes by itself; Infinity: never. */
  readonly untilMs: number;
};

type Seen = {
  readonly id: string;
  readonly weight: number;
  readonly draining: boolean;
  /** undefined: others told of it, or it is of a release that has none. */
  readonly instance: string | undefined;
  /** It said so itself; and it answers. */
  readonly bySelf: boolean;
  readonly answers: boolean;
  /** Since when it is this instance, and when it answered last. */
  readonly sinceMs: number;
  readonly atMs: number;
};
type Left = {
  readonly weight: number;
  readonly draining: boolean;
  readonly untilMs: number;
  /** Since when another id answers where it was. */
  readonly othersMs: number | undefined;
  /** It is no place any more. */
  replaced: boolean;
};

export class KnownPlaces {
  readonly #graceMs: number;
  readonly #self: Self | undefined;
  #urls: readonly string[] = [];
  readonly #seen = new Map<string, Seen>();
  readonly #left = new Map<string, Left>();
  /** URLs that left before it was known who was there, and until when they count. */
  readonly #strangersLeft = new Map<string, number>();

  /** Ids that others told of at URLs that are not in the list, and until when they count. */
  readonly #elsewhere = new Map<string, number>();

  constructor(o: { readonly graceMs: number; readonly self?: Self | undefined }) {
    this.#graceMs = o.graceMs;
    this.#self = o.self;
  }

  /** These are in the list now. */
  listed(urls: readonly string[], nowMs: number): void {
    const known = new Set(this.#seen.keys());
    for (const [url, seen] of this.#seen) {
      if (urls.includes(url)) continue;
      this.#seen.delete(url);
      this.#leave(seen, nowMs);
    }
    const strangers = this.#urls.filter((url) => !urls.includes(url) && url !== this.#self?.url && !known.has(url));
    for (const url of strangers) this.#strangersLeft.set(url, nowMs + this.#graceMs);
    for (const url of this.#strangersLeft.keys())
      if (urls.includes(url) || this.#strangersLeft.size > membersMax) this.#strangersLeft.delete(url);
    this.#urls = urls;
  }

  /** What lay on our disk from before we were started: who is not in the list any more may be on its way to another URL. */
  remember(places: readonly ToldPlace[], nowMs: number): boolean {
    const gone = places.filter(({ url }) => !this.#urls.includes(url));
    for (const { id, weight } of gone) this.#leave({ id, weight, draining: false }, nowMs);
    return this.told(places, nowMs) || gone.length > 0;
  }

  /** Another process knows these. True: that is news. */
  told(places: readonly ToldPlace[], nowMs: number): boolean {
    let news = false;
    for (const { id, url, weight } of places) {
      const before = this.#seen.get(url);
      // Of a release before, the URL is all: it may be called by another name here.
      if (!this.#urls.includes(url) && id !== url && id !== this.#self?.id)
        news = this.#noteElsewhere(id, nowMs) || news;
      // What we were before our disk was lost, others may tell still: nobody but us is there.
      if (!this.#urls.includes(url) || before?.bySelf === true || url === this.#self?.url) continue;
      const sinceMs = before?.id === id ? before.sinceMs : nowMs;
      const seen = { id, weight, draining: false, instance: undefined, sinceMs, atMs: nowMs };
      news = this.#see(url, { ...seen, bySelf: false, answers: false }, nowMs) || news;
    }
    return news;
  }

  /** Somebody answers there; undefined: one of a release before, which has no id but its URL. True: that is news. */
  answered(url: string, identity: OriginIdentity | undefined, nowMs: number): boolean {
    if (!this.#urls.includes(url)) return false;
    const { id, weight, instance, draining = false } = identity ?? { id: url, weight: 1, instance: undefined };
    const before = this.#seen.get(url);
    const same = before !== undefined && before.id === id && before.instance === instance;
    const sinceMs = same ? before.sinceMs : nowMs;
    const seen = { id, weight, draining, instance, bySelf: true, answers: true, sinceMs, atMs: nowMs };
    return this.#see(url, seen, nowMs);
  }

  /** Nobody answers there. What is known of it holds. */
  missed(url: string): boolean {
    const seen = this.#seen.get(url);
    if (seen === undefined || !seen.answers) return false;
    this.#seen.set(url, { ...seen, answers: false });
    return this.#shared(seen.id);
  }

  idOf(url: string): string | undefined {
    return this.#seen.get(url)?.id;
  }

  /** URLs of which it is not known who is there. */
  get unknown(): string[] {
    return this.#urls.filter((url) => !this.#seen.has(url) && url !== this.#self?.url);
  }

  /** Nobody of these has said, or was told, who is there: others that only they know may hold anything. One line each. */
  get unheard(): string[] {
    if (this.#urls.length === 0 && this.#self === undefined) return ['list: nobody is in it yet'];
    return this.unknown.map((url) => `${url}: it has not said yet who it is, and whom else it knows`);
  }

  ring(nowMs: number): MemberRing {
    const at = new Map<string, string[]>();
    for (const url of this.#urls) {
      const id = this.#seen.get(url)?.id;
      if (id !== undefined) at.set(id, [...(at.get(id) ?? []), url]);
    }
    const [places, doubles, beside] = [new Map<string, RingPlace>(), [] as Double[], new Set<string>()];
    const self = this.#self;
    if (self !== undefined) {
      const url = self.url ?? at.get(self.id)?.find((one) => this.#seen.get(one)?.instance === self.instance);
      places.set(self.id, { id: self.id, weight: self.weight, url, draining: self.draining === true });
    }
    for (const [id, urls] of at) {
      const double = this.#double(id, urls);
      if (double !== undefined) doubles.push(double);
      const best = id === self?.id ? undefined : this.#best(urls, double !== undefined);
      for (const url of urls) if (url !== best) beside.add(url);
      if (best === undefined) continue;
      const { weight, draining } = this.#seen.get(best) as Seen;
      places.set(id, { id, weight, url: best, draining });
    }
    const untilMs = Math.min(this.#addLeft(places, nowMs), this.#forgetStrangers(nowMs), this.#forgetElsewhere(nowMs));
    const elsewhere = [...this.#elsewhere.keys()].filter((id) => !at.has(id) && !places.has(id));
    const strangersLeft = [...this.#strangersLeft.keys()];
    const replaced = [...this.#left].flatMap(([id, left]) => (left.replaced ? [id] : []));
    return { places: [...places.values()], doubles, beside, strangersLeft, elsewhere, replaced, untilMs };
  }

  /** When the next of them counts no more. */
  #forgetStrangers(nowMs: number): number {
    for (const [url, untilMs] of this.#strangersLeft) if (untilMs <= nowMs) this.#strangersLeft.delete(url);
    return Math.min(Number.POSITIVE_INFINITY, ...this.#strangersLeft.values());
  }

  /** For as long as others tell of it, and `graceMs` more. True: that is news. */
  #noteElsewhere(id: string, nowMs: number): boolean {
    if (this.#elsewhere.size >= membersMax && !this.#elsewhere.has(id)) return false;
    const news = !this.#elsewhere.has(id);
    this.#elsewhere.set(id, nowMs + this.#graceMs);
    return news;
  }

  #forgetElsewhere(nowMs: number): number {
    for (const [id, untilMs] of this.#elsewhere) if (untilMs <= nowMs) this.#elsewhere.delete(id);
    return Math.min(Number.POSITIVE_INFINITY, ...this.#elsewhere.values());
  }

  /** Those that stay for a while; when the first of them goes. */
  #addLeft(places: Map<string, RingPlace>, nowMs: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const [id, left] of this.#left) {
      const { weight, draining, untilMs } = left;
      if (places.has(id) || untilMs <= nowMs) {
        this.#left.delete(id);
        continue;
      }
      const replacedAtMs = this.#replacedAt(left);
      left.replaced ||= replacedAtMs <= nowMs;
      first = Math.min(first, left.replaced ? untilMs : Math.min(untilMs, replacedAtMs));
      if (!left.replaced) places.set(id, { id, weight, url: undefined, draining });
    }
    return first;
  }

  /** When it is no place any more, as far as is known now. */
  #replacedAt({ othersMs }: Left): number {
    const heard = (url: string): boolean => {
      const seen = this.#seen.get(url);
      return url === this.#self?.url || (seen?.bySelf === true && seen.answers);
    };
    return othersMs !== undefined && this.#urls.every(heard) ? othersMs + replacedMs : Number.POSITIVE_INFINITY;
  }

  #see(url: string, seen: Seen, nowMs: number): boolean {
    const before = this.#seen.get(url);
    this.#seen.set(url, seen);
    // Of one that has got an id, its URL was no more than what it was called.
    if (before !== undefined && before.id !== seen.id && before.id !== url)
      this.#leave(before, nowMs, seen.bySelf ? nowMs : undefined);
    return before === undefined || !alike(before, seen) || this.#shared(seen.id);
  }

  /** Whether it has several URLs, so that the times decide. */
  #shared(id: string): boolean {
    let urls = id === this.#self?.id ? 1 : 0;
    for (const seen of this.#seen.values()) if (seen.id === id) urls++;
    return urls > 1;
  }

  #leave({ id, weight, draining }: Pick<Seen, 'id' | 'weight' | 'draining'>, nowMs: number, othersMs?: number): void {
    if (id === this.#self?.id) return;
    this.#left.delete(id);
    this.#left.set(id, { weight, draining, untilMs: nowMs + this.#graceMs, othersMs, replaced: false });
    for (const oldest of this.#left.keys()) {
      if (this.#left.size <= membersMax) return;
      this.#left.delete(oldest);
    }
  }

  /** Of several URLs of one id the one to call. */
  #best(urls: readonly string[], double: boolean): string {
    const ranked = urls.toSorted((one, two) => {
      const [a, b] = [this.#seen.get(one) as Seen, this.#seen.get(two) as Seen];
      if (a.bySelf !== b.bySelf) return a.bySelf ? -1 : 1;
      if (double) return (a.instance ?? '') < (b.instance ?? '') ? -1 : 1;
      // One process under several URLs: the first of the list. Else it has moved to where it was seen last.
      return a.instance === b.instance ? 0 : b.sinceMs - a.sinceMs;
    });
    return ranked[0] as string;
  }

  /** Both have answered since the later one was first seen: it has not moved. */
  #double(id: string, urls: readonly string[]): Double | undefined {
    const self = this.#self?.id === id ? this.#self : undefined;
    const seen = urls.map((url) => ({ url, ...(this.#seen.get(url) as Seen) }));
    const others = seen.filter(
      ({ answers, instance }) => answers && instance !== undefined && instance !== self?.instance,
    );
    const since = self === undefined ? Math.max(...others.map(({ sinceMs }) => sinceMs)) : 0;
    const live = others.filter(({ atMs, sinceMs }) => atMs > since || sinceMs === since);
    const instances = new Set(live.map(({ instance }) => instance));
    if (instances.size < (self === undefined ? 2 : 1)) return undefined;
    return { id, urls: [...(self === undefined ? [] : [self.url ?? 'this process']), ...live.map(({ url }) => url)] };
  }
}

/** Who has a place and cannot be asked, one line each. */
export function unheardIn(
  { places, replaced, elsewhere, strangersLeft, doubles }: MemberRing,
  self: string | undefined,
): string[] {
  const absent = places.filter(({ id, url }) => url === undefined && id !== self);
  return [
    ...absent.map(({ id }) => `${id}: it has left the list, and may be back under another address`),
    ...replaced.map((id) => `${id}: another one answers where it was; it may be back at another address`),
    ...elsewhere.map((id) => `${id}: others know it, and it is not in the list of this process`),
    ...strangersLeft.map((url) => `${url}: it has left the list before it said who it is`),
    ...doubles.map(({ id, urls }) => `${urls.join(' and ')}: two processes have the id ${id}`),
  ];
}

function alike(one: Seen, other: Seen): boolean {
  const { id, weight, draining, instance, answers } = one;
  const same = id === other.id && weight === other.weight && draining === other.draining;
  return same && instance === other.instance && answers === other.answers;
}

/** Of members that have no ids: each is where its URL is. */
export function ringOfUrls(urls: readonly string[], weightOf: (url: string) => number): MemberRing {
  const places = urls.map((url) => ({ id: url, url, weight: weightOf(url), draining: false }));
  return {
    places,
    doubles: [],
    beside: new Set(),
    strangersLeft: [],
    elsewhere: [],
    replaced: [],
    untilMs: Number.POSITIVE_INFINITY,
  };
}
