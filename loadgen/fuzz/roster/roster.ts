/**
 * Which origins there are, and which of them each process of the run believes that there are.
 *
 * Rule 1: in a run that moves, an origin has an id, joins, leaves, and comes back, under the same address or another.
 *         Each process hears of it at a moment of its own, no later than `lateMsMax`, and starts with what is true then.
 * Rule 2: one origin may be out of the list for long, or two for so short a time that nobody has forgotten them: what
 *         is only with whoever was forgotten is nowhere, whoever is asked. A process that is started while two are out,
 *         and so cannot know of them, begins with the list as it was.
 * Rule 3: in any other run every process has all of them in its list, by their URLs, from its start to its end.
 */

import type { OriginClient } from '../../../platform/clients/origin.ts';
import { fixedList, ToldList } from '../../../platform/members/list.ts';
import type { Members } from '../../../platform/members/members.ts';
import type { Calls } from '../http/calls.ts';
import type { Process, World } from '../world.ts';

/** Neither with a backend nor with litter: there, blobs may go from origins for other reasons. */
export function moves(seed: number): boolean {
  return seed % 12 === 7;
}

/** How late a process hears of a change. */
const lateMsMax = 4_000;
/** Who has left keeps its place for longer than others may hear late that somebody is back. */
const graceMs = 6_000;
/** Each question costs a run as much as any call. */
const timing = { everyMs: 2_000, withinMs: 700, fails: 2, passes: 1 };
/** A list may name somebody whom nobody else knows. */
const stray = 'http://nowhere';

export type Self = { readonly id: string; readonly url: string; readonly weight: number; readonly instance: string };
type Listed = { readonly process: Process; readonly list: ToldList };

export class Roster {
  readonly moving: boolean;
  readonly #world: World;
  #urls: readonly string[];
  #listed: Listed[] = [];
  /** The list as it was, while two are out. */
  #before: readonly string[] | undefined;

  constructor(world: World, urls: readonly string[], moving = moves(world.seed)) {
    this.#world = world;
    this.#urls = urls;
    this.moving = moving;
  }

  get urls(): readonly string[] {
    return this.#urls;
  }

  /** The origins as that process knows them. `self`: which of them it is. `rarely`: as agents ask. */
  members(calls: Calls, how: { readonly self?: Self; readonly rarely?: boolean } = {}): Members<OriginClient> {
    const { self, rarely } = how;
    if (!this.moving) {
      return calls.origins(fixedList(this.#urls), self && { self: { id: self.url, url: self.url, weight: 1 } });
    }
    const list = new ToldList(this.#before ?? this.#urls);
    this.#listed = this.#listed.filter(({ process }) => process.alive);
    this.#listed.push({ process: calls.process, list });
    return calls.origins(list, { self, ids: true, timing, graceMs, ...(rarely === true && { rarely }) });
  }

  /** It is there from now on; with `instead`, that one has moved. */
  joins(url: string, instead?: string): void {
    this.#now([...this.#urls.filter((one) => one !== instead), url]);
  }

  leaves(...urls: readonly string[]): void {
    this.#now(this.#urls.filter((one) => !urls.includes(one)));
  }

  /** Both go, and are back before they are forgotten. */
  leaveTogether(urls: readonly string[], backMs: number, back: () => void): void {
    const before = this.#urls;
    this.leaves(...urls);
    this.#before = before;
    this.#world.after(backMs, () => {
      this.#before = undefined;
      back();
    });
  }

  /** Somebody's list is wrong for a while. */
  strays(): void {
    const world = this.#world;
    const alive = this.#listed.filter(({ process }) => process.alive);
    if (alive.length === 0) return;
    const { list, process } = world.pick(alive);
    list.tell([...list.urls, stray]);
    world.after(world.between(500, 5_000), () => {
      if (process.alive) list.tell(list.urls.filter((url) => url !== stray));
    });
  }

  #now(urls: readonly string[]): void {
    const world = this.#world;
    this.#urls = urls;
    const alive = this.#listed.filter(({ process }) => process.alive);
    for (const { list, process } of alive) {
      // What is true by then: who hears late may never hear of what has passed.
      world.after(world.between(0, lateMsMax), () => {
        if (process.alive) list.tell(this.#urls);
      });
    }
  }
}
