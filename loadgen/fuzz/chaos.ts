/** Makes faults, all kinds at once, until told to stop; then mends everything. */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Pair } from '../../platform/net/simulated-connection.ts';
import type { AgentSite } from './agent.ts';
import type { Fuzzed } from './cluster.ts';
import type { Ailments } from './disks/disk.ts';
import { type Rotten, rightSomewhere, rotOrigin } from './disks/stored.ts';
import { wiresOf } from './http/wires.ts';
import type { OriginSite } from './origin.ts';
import { hostsOf } from './peers/net.ts';
import { Changes } from './roster/changes.ts';
import type { TrackerSite } from './tracker.ts';
import type { Process, World } from './world.ts';

type Kind = { readonly name: string; readonly weight: number; readonly make: () => boolean };

export class Chaos {
  readonly #world: World;
  readonly #f: Fuzzed;
  readonly #rotten: Rotten;
  readonly #kinds: readonly Kind[];
  readonly #meanMs: number;
  readonly #hung = new Set<Process>();
  readonly #changes: Changes;
  #over = false;

  constructor(fuzzed: Fuzzed, rotten: Rotten) {
    this.#f = fuzzed;
    this.#world = fuzzed.cluster.world;
    this.#rotten = rotten;
    this.#meanMs = this.#world.pick([150, 400, 1_000]);
    const { roster, origins } = fuzzed;
    this.#changes = new Changes({ world: this.#world, roster, origins, up: (site) => this.#up(site) });
    this.#kinds = this.#all();
  }

  /** Everything comes up, faults begin. */
  start(): void {
    for (const tracker of this.#f.trackers.values()) tracker.start();
    this.#f.index.start();
    for (const proxy of this.#f.proxies) proxy.start();
    for (const site of this.#f.origins.values()) if (site.joined) this.#up(site);
    for (const site of this.#f.agents) this.#up(site);
    this.#world.after(1_000, () => this.#next());
  }

  /** Everything is mended and comes up. */
  stop(): void {
    this.#over = true;
    const { world, net } = this.#f.cluster;
    world.faultsOver = true;
    for (let host = 0; host < world.hosts; host++) world.setSide(host, 0);
    for (const pair of net.pairs) this.#mend(pair);
    for (const site of this.#f.origins.values()) site.medium.heal();
    for (const site of this.#f.agents) site.heal();
    void this.#f.backend?.heal();
    this.#trackersAtLast();
    if (!this.#f.index.up) this.#f.index.start();
    for (const proxy of this.#f.proxies) if (!proxy.up) proxy.start();
    for (const process of this.#hung) this.#goOn(process);
    this.#changes.end();
    for (const site of [...this.#joined(), ...this.#f.agents]) if (!site.up) this.#up(site);
  }

  /** Every tracker that was left dead or hung comes back. */
  trackersReturn(): void {
    for (const tracker of this.#f.trackers.values()) {
      this.#wake(tracker);
      if (!tracker.up) tracker.start();
    }
  }

  /** In a part of the runs none comes back before all is done: what should complete does without them. */
  #trackersAtLast(): void {
    const { world } = this.#f.cluster;
    this.trackersReturn();
    if (!world.once(3)) return;
    const hang = world.once(2);
    for (const tracker of this.#f.trackers.values()) {
      if (hang) tracker.hang();
      else tracker.crash();
    }
    world.fault(hang ? 'every tracker hangs at last' : 'no tracker at last');
  }

  #next(): void {
    if (this.#over) return;
    const total = this.#kinds.reduce((sum, kind) => sum + kind.weight, 0);
    let draw = this.#world.prng.below(total);
    const kind = this.#kinds.find((one) => {
      draw -= one.weight;
      return draw < 0;
    }) as Kind;
    if (kind.make()) this.#world.fault(kind.name);
    this.#world.after(this.#world.between(0, 2 * this.#meanMs), () => this.#next());
  }

  #all(): Kind[] {
    return [
      { name: 'agent killed', weight: 5, make: () => this.#crash(this.#world.pick(this.#f.agents), false) },
      { name: 'agent without power', weight: 5, make: () => this.#crash(this.#world.pick(this.#f.agents), true) },
      { name: 'origin killed', weight: 2, make: () => this.#crash(this.#origin(), false) },
      { name: 'origin without power', weight: 4, make: () => this.#crash(this.#origin(), true) },
      { name: 'tracker killed', weight: 2, make: () => this.#tracker() },
      { name: 'tracker hangs', weight: 2, make: () => this.#hang() },
      { name: 'index killed', weight: 2, make: () => this.#index() },
      { name: 'proxy killed', weight: 2, make: () => this.#proxy() },
      { name: 'HTTP connection cut', weight: 12, make: () => wiresOf(this.#world).cut() },
      { name: 'a process hangs', weight: 3, make: () => this.#stop() },
      { name: 'partition', weight: 4, make: () => this.#partition() },
      { name: 'connection reset', weight: 8, make: () => this.#reset() },
      {
        name: 'slow disk',
        weight: 3,
        make: () => this.#ail((disk) => this.#set(disk, { slowMs: this.#world.between(5, 400) })),
      },
      { name: 'full disk', weight: 3, make: () => this.#ail((disk) => this.#set(disk, { full: true })) },
      {
        name: 'failing disk',
        weight: 3,
        make: () => this.#ail((disk) => this.#set(disk, { failsOnceIn: 2 + this.#world.prng.below(60) })),
      },
      { name: 'rot at an agent', weight: 5, make: () => this.#world.pick(this.#f.agents).rot() },
      ...(this.#f.roster.moving
        ? this.#moves()
        : [
            { name: 'rot at an origin', weight: 3, make: () => rotOrigin(this.#world, this.#f, this.#rotten) },
            { name: 'a file spoilt at an origin', weight: 4, make: () => this.#f.damage.spoil(this.#f) },
          ]),
      { name: 'blob removed at an agent', weight: 2, make: () => this.#remove() },
      ...(this.#f.backend === undefined
        ? []
        : [
            { name: 'disk of an origin lost', weight: 3, make: () => this.#lose() },
            { name: 'room made at an origin', weight: 4, make: () => this.#makeRoom() },
            { name: 'disk of the index to be lost', weight: 2, make: () => this.#loseIndex() },
            { name: 'an object changed at the backend', weight: 2, make: () => this.#f.backend?.spoil() === true },
          ]),
    ];
  }

  #origin(): OriginSite {
    return this.#world.pick(this.#joined());
  }

  #joined(): OriginSite[] {
    return [...this.#f.origins.values()].filter(({ joined }) => joined);
  }

  #moves(): Kind[] {
    return [
      { name: 'an origin leaves the list', weight: 6, make: () => this.#changes.leave() },
      { name: 'two origins leave the list', weight: 4, make: () => this.#changes.leaveTogether() },
      { name: 'an origin joins', weight: 1, make: () => this.#changes.join() },
      { name: 'an origin moves', weight: 2, make: () => this.#changes.move() },
      { name: 'a list names a stranger', weight: 2, make: () => this.#changes.stray() },
    ];
  }

  /** Only where the others, or the backend, have whatever was acknowledged: what two lose is lost. */
  #lose(): boolean {
    const lost = this.#origin();
    const others = [...this.#f.origins.values()].filter((site) => site !== lost);
    const { backend } = this.#f;
    const spared = [...this.#f.acked.values()].every(
      (content) => rightSomewhere(others, content) || backend?.has(content) === true,
    );
    if (!spared || this.#f.damage.waiting.length > 0) return false;
    lost.loseDisk();
    this.#world.after(this.#world.between(100, 5_000), () => this.#up(lost));
    return true;
  }

  /** Where there is litter an origin would have to note by which index it goes. */
  #loseIndex(): boolean {
    const { index, indexLoss, litter } = this.#f;
    if (!index.up || litter !== undefined || indexLoss === undefined) return false;
    indexLoss.lose().catch((error: unknown) => {
      // Its disk failed just then.
      if (!(error instanceof ApiError)) this.#world.threw(error);
    });
    return true;
  }

  /** As an operator does (`shoal origin evict`): what the backend confirms may go, least recently used first. */
  #makeRoom(): boolean {
    const { store } = this.#origin().running ?? {};
    if (store === undefined) return false;
    store.room.shrink(this.#world.prng.below(store.usedBytes + 1)).catch((error: unknown) => {
      if (!(error instanceof ApiError)) this.#world.threw(error);
    });
    return true;
  }

  #crash(site: AgentSite | OriginSite, power: boolean): boolean {
    site.crash(power);
    this.#world.after(this.#world.between(100, 5_000), () => this.#up(site));
    return true;
  }

  /** Starts it unless it runs; a disk that fails is tried again. */
  #up(site: AgentSite | OriginSite): void {
    if (site.up || site.starting) return;
    this.#world.dirty = true;
    site.start().then(
      (up) => {
        if (!up && !site.up) this.#world.after(this.#world.between(200, 800), () => this.#up(site));
      },
      (error: unknown) => this.#world.threw(error),
    );
  }

  #tracker(): boolean {
    const tracker = this.#world.pick([...this.#f.trackers.values()]);
    if (!tracker.up) return false;
    tracker.crash();
    this.#world.after(this.#world.between(100, 8_000), () => {
      if (!tracker.up) tracker.start();
    });
    return true;
  }

  #hang(): boolean {
    const tracker = this.#world.pick([...this.#f.trackers.values()]);
    if (!tracker.up || tracker.hangs) return false;
    tracker.hang();
    this.#world.after(this.#world.between(100, 8_000), () => this.#wake(tracker));
    return true;
  }

  #wake(tracker: TrackerSite): void {
    this.#world.dirty = true;
    tracker.wake();
  }

  #index(): boolean {
    const { index } = this.#f;
    if (!index.up) return false;
    index.crash();
    this.#world.after(this.#world.between(100, 3_000), () => {
      if (!index.up) index.start();
    });
    return true;
  }

  #proxy(): boolean {
    const proxy = this.#world.pick(this.#f.proxies);
    if (!proxy.up) return false;
    proxy.crash();
    this.#world.after(this.#world.between(100, 3_000), () => {
      if (!proxy.up) proxy.start();
    });
    return true;
  }

  /** SIGSTOP, as far as HTTP goes: of an origin, the index or a proxy. */
  #stop(): boolean {
    const site = this.#world.pick([this.#f.index, this.#origin(), this.#world.pick(this.#f.proxies)]);
    const process = site.process();
    if (process === undefined || process.hangs === true) return false;
    process.hangs = true;
    this.#hung.add(process);
    this.#world.after(this.#world.between(100, 6_000), () => this.#goOn(process));
    return true;
  }

  #goOn(process: Process): void {
    if (!this.#hung.delete(process)) return;
    process.hangs = false;
    wiresOf(this.#world).woke(process);
  }

  /** A random part of all hosts hears nothing of the rest for a while. */
  #partition(): boolean {
    const { world, net } = this.#f.cluster;
    const side = 1 + world.prng.below(3);
    const share = world.pick([0.1, 0.3, 0.5]);
    const cut: number[] = [];
    for (let host = 0; host < world.hosts; host++) if (world.prng.unit() < share) cut.push(host);
    for (const host of cut) world.setSide(host, side);
    for (const pair of net.pairs) if (!world.connected(...hostsOf(pair))) pair.cut();
    world.after(world.between(300, 7_000), () => {
      for (const host of cut) world.setSide(host, 0);
      for (const pair of net.pairs) if (pair.cutOff && world.connected(...hostsOf(pair))) this.#mend(pair);
    });
    return cut.length > 0;
  }

  #reset(): boolean {
    const alive = [...this.#f.cluster.net.pairs].filter((pair) => !pair.cutOff);
    if (alive.length === 0) return false;
    this.#world.pick(alive).reset();
    return true;
  }

  /** It was cut off: it goes on, or turns out to be dead. */
  #mend(pair: Pair): void {
    const world = this.#world;
    pair.mend(world.once(2), world.between(0, 50));
  }

  #ail(how: (disk: Ailments) => void): boolean {
    const ofOrigin = this.#world.once(3) && !this.#f.roster.moving;
    const site = ofOrigin ? this.#origin().medium : this.#world.pick(this.#f.agents);
    how(site.ailments);
    return true;
  }

  #set(disk: Ailments, ailments: Partial<Ailments>): void {
    Object.assign(disk, ailments);
    this.#world.after(this.#world.between(200, 5_000), () =>
      Object.assign(disk, { slowMs: 0, full: false, failsOnceIn: 0 }),
    );
  }

  #remove(): boolean {
    const site = this.#world.pick(this.#f.agents);
    if (!site.up) return false;
    site.remove(this.#world.pick(this.#f.contents).digest).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== 'ApiError') this.#world.threw(error);
    });
    return true;
  }
}
