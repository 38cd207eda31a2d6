/** What happens to the origins of a run that moves: they join, leave and come back, one at a time. */

import type { OriginSite } from '../origin.ts';
import type { World } from '../world.ts';
import type { Roster } from './roster.ts';

export type ChangesOptions = {
  readonly world: World;
  readonly roster: Roster;
  readonly origins: ReadonlyMap<string, OriginSite>;
  /** Starts it unless it runs. */
  readonly up: (site: OriginSite) => void;
};

/** How long one is out of the list: shorter than its place is kept, or longer. */
const outMs = [800, 3_000, 12_000] as const;
/** Whoever hears of it at once, and late that they are back, has not forgotten them (roster.ts). */
const outTogetherMsMax = 1_500;
/** Until others have heard of it, at the latest, and a little more. */
const settledMs = 5_000;

export class Changes {
  readonly #o: ChangesOptions;
  /** One is out, or was a moment ago. */
  #out: OriginSite | undefined;
  #over = false;

  constructor(options: ChangesOptions) {
    this.#o = options;
  }

  /** It is taken out of the list: its process goes on, or ends and comes back under the same address or another one. */
  leave(): boolean {
    const { world, roster, up } = this.#o;
    const site = this.#pick();
    if (site === undefined) return false;
    this.#out = site;
    const stops = world.once(2);
    const moves = stops && world.once(2);
    roster.leaves(site.base);
    if (stops) site.crash(world.once(2));
    world.after(world.pick(outMs), () => {
      if (this.#over) return;
      // It may have been killed and started meanwhile.
      if (moves) site.crash(false);
      if (moves) site.moveTo(`${site.name}-${world.prng.below(1_000_000)}`);
      if (stops) up(site);
      this.#back(site);
    });
    return true;
  }

  /** Two at once, for a moment: as where a rollout is in a hurry. Their processes end, or do not. */
  leaveTogether(): boolean {
    const { world, roster, up } = this.#o;
    const [one, two] = [this.#pick(), this.#pick()];
    if (one === undefined || two === undefined || one === two) return false;
    this.#out = one;
    const stopped = [one, two].filter(() => world.once(2));
    for (const site of stopped) site.crash(world.once(2));
    roster.leaveTogether([one.base, two.base], world.between(300, outTogetherMsMax), () => {
      if (this.#over) return;
      for (const site of stopped) up(site);
      for (const site of [one, two]) this.#back(site);
    });
    return true;
  }

  /** One that never was there. */
  join(): boolean {
    const { origins, roster, up } = this.#o;
    const site = [...origins.values()].find(({ joined }) => !joined);
    if (site === undefined || this.#out !== undefined) return false;
    site.joined = true;
    up(site);
    this.#out = site;
    this.#back(site);
    roster.joins(site.base);
    return true;
  }

  /** Its address changes from one moment to the next. */
  move(): boolean {
    const { world, roster, up } = this.#o;
    const site = this.#pick();
    if (site === undefined) return false;
    const before = site.base;
    this.#out = site;
    site.crash(world.once(2));
    site.moveTo(`${site.name}-${world.prng.below(1_000_000)}`);
    roster.joins(site.base, before);
    up(site);
    world.after(settledMs, () => {
      this.#out = undefined;
    });
    return true;
  }

  stray(): boolean {
    this.#o.roster.strays();
    return true;
  }

  /** Faults are over: all that ever joined are there. */
  end(): void {
    this.#over = true;
    const { roster, origins } = this.#o;
    for (const { joined, base } of origins.values()) if (joined && !roster.urls.includes(base)) roster.joins(base);
  }

  #back(site: OriginSite): void {
    const { world, roster } = this.#o;
    if (!roster.urls.includes(site.base)) roster.joins(site.base);
    world.after(settledMs, () => {
      this.#out = undefined;
    });
  }

  #pick(): OriginSite | undefined {
    const { world, origins, roster } = this.#o;
    const there = [...origins.values()].filter(({ base, joined }) => joined && roster.urls.includes(base));
    return this.#out !== undefined || there.length < 2 ? undefined : world.pick(there);
  }
}
