/**
 * One seed, from start to verdict: faults and pushes and reads at once, judged after every step; then
 * everything is mended, and whatever should complete has to, within a bound.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { SHARES } from '../../platform/workers/arena.ts';
import { Chaos } from './chaos.ts';
import { build, type Fuzzed } from './cluster.ts';
import { judgeAcked, judgeVisible, type Rotten, rightSomewhere } from './disks/stored.ts';
import type { OciClient } from './http/oci-client.ts';
import { wiresOf } from './http/wires.ts';
import { giveBackArenas } from './peers/arenas.ts';
import { judgeTables, judgeWaits } from './peers/judge.ts';
import { type Plant, plantIn } from './plants/plants.ts';
import type { Image } from './push.ts';
import { misplaced } from './roster/placed.ts';
import { installRandom } from './virtual/random.ts';
import { installTimers } from './virtual/timers.ts';
import { type Violation, World } from './world.ts';

export type SeedOptions = {
  readonly seed: number;
  readonly plant?: Plant | undefined;
  readonly degree?: number | undefined;
  /** In place of `liveWithinMs`. */
  readonly liveMs?: number | undefined;
  readonly trace?: ((line: string) => void) | undefined;
};

export type SeedResult = {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** Events of the run, and inputs that machines of core/ handled. */
  readonly steps: number;
  readonly inputs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly virtualS: number;
  readonly pushes: number;
  readonly tagReads: number;
  readonly traceHash: string;
};

/** What should complete has this long after the last fault; a ban of an honest node, which a flipped bit earns it, takes up to minutes. */
export const liveWithinMs = 240_000;
/** Then everything must come to rest: leases of memory, pulls that linger. */
const restMs = 20_000;
const judgeEveryMs = 2_000;
/** Whoever hung or was cut off has answered a ping by then. */
const quietMs = 10_000;

export async function runSeed(o: SeedOptions): Promise<SeedResult> {
  const world = new World(o.seed);
  world.trace = o.trace;
  const threw = (error: unknown): void => world.threw(error);
  process.on('unhandledRejection', threw);
  process.on('uncaughtException', threw);
  const restore = installTimers(world.events, () => {
    world.dirty = true;
  });
  const restoreRandom = installRandom(o.seed);
  const takeOut = plantIn(o.plant);
  try {
    return await run(world, o);
  } finally {
    // Whoever still waits for an answer hears of it while time is virtual.
    wiresOf(world).close();
    await world.settle();
    restore();
    restoreRandom();
    takeOut();
    giveBackArenas(world);
    process.off('unhandledRejection', threw);
    process.off('uncaughtException', threw);
  }
}

async function run(world: World, o: SeedOptions): Promise<SeedResult> {
  const rotten: Rotten = new Set();
  const fuzzed = build(world, {
    plant: o.plant,
    degree: o.degree,
    rotten,
    onOriginStart: (site) => judgeVisible(world, site, fuzzed.cluster.contents, rotten),
  });
  const work = new Work(fuzzed);
  const chaos = new Chaos(fuzzed, rotten);
  chaos.start();
  work.start();
  fuzzed.litter?.start();
  const judge = (): void => {
    judgeAcked(world, fuzzed);
    for (const site of fuzzed.origins.values()) judgeVisible(world, site, fuzzed.cluster.contents, rotten);
    for (const { running, host } of fuzzed.agents)
      if (running !== undefined) judgeTables(fuzzed.cluster, host, running.peer.node);
    for (const { running, host } of [...fuzzed.agents, ...fuzzed.origins.values()])
      if (running !== undefined) judgeWaits(fuzzed.cluster, host, running.peer.place);
    world.after(judgeEveryMs, judge);
  };
  world.after(judgeEveryMs, judge);
  await world.run(world.between(10_000, 30_000), () => false);
  if (world.violation === undefined) await live(world, { fuzzed, work, chaos, withinMs: o.liveMs ?? liveWithinMs });
  for (const [kind, count] of world.faults) world.note(`${kind}: ${count}`);
  return {
    seed: o.seed,
    violation: world.violation,
    steps: world.events.count,
    inputs: world.inputs,
    faults: world.faults,
    virtualS: world.nowMs / 1000,
    pushes: work.pushed,
    tagReads: fuzzed.history.reads,
    traceHash: world.traceHash,
  };
}

/** Faults are over: what should complete does. */
async function live(
  world: World,
  { fuzzed, work, chaos, withinMs }: { fuzzed: Fuzzed; work: Work; chaos: Chaos; withinMs: number },
): Promise<void> {
  chaos.stop();
  if (world.once(2)) for (const hostile of fuzzed.hostiles) hostile.end();
  const endMs = world.nowMs + withinMs;
  const done = await world.run(endMs, () => work.done());
  if (world.violation !== undefined) return;
  if (!done && world.trace !== undefined) describe(world, fuzzed);
  if (!done)
    return world.violate('liveness', `${withinMs / 1000} s after the last fault: ${work.lacking().join('; ')}`);
  work.stop();
  for (const hostile of fuzzed.hostiles) hostile.end();
  fuzzed.mixed?.end();
  chaos.trackersReturn();
  await world.run(world.nowMs + restMs, () => false);
  if (world.violation === undefined) judgeRest(world, fuzzed);
  // Where there is litter, origins have no room to keep what came.
  if (fuzzed.litter === undefined) fuzzed.cold?.judgeCopies();
  if (world.violation === undefined) judgeJoined(world, fuzzed);
}

/** Whatever was pulled or pushed without trackers, they know of it once they are back. */
function judgeJoined(world: World, { agents, origins }: Fuzzed): void {
  for (const site of [...agents, ...origins.values()]) {
    const stats = site.running?.peer.tracking.stats;
    // Who has nothing to announce asks after no tracker.
    if (stats !== undefined && stats.blobs > 0 && (stats.down > 0 || stats.held !== stats.blobs))
      world.violate(
        'joined',
        `h${site.host} has announced ${stats.held} of ${stats.blobs} blobs, with ${stats.down} trackers down, at rest`,
      );
  }
}

/** For whoever looks into a run that did not complete. */
function describe(world: World, { agents, origins, roster }: Fuzzed): void {
  world.debug(`origins: ${roster.urls.join(', ')}`);
  for (const { name, running } of origins.values())
    for (const { id, url } of running?.members.places ?? [])
      world.debug(`${name} knows ${Number.parseInt(id, 16)} at ${url ?? 'no address'}`);
  for (const site of [...agents, ...origins.values()]) {
    const { running } = site;
    if (running === undefined) continue;
    const { store, arena, peer } = running;
    world.debug(
      `h${site.host}: ${SHARES.map((share) => `${share} ${arena.freeBytes(share)} of ${arena.shareBytes(share)} free`).join(', ')}`,
    );
    for (const { digest } of store.blobs()) {
      const entry = store.get(digest);
      if (entry === undefined) continue;
      const stats = peer.node.statsOf(entry.digest);
      world.debug(
        `h${site.host}   ${entry.digest.slice(7, 15)} ${entry.heldCount} of ${entry.pieces} ${entry.complete ? 'complete' : 'partial'} ${entry.failure?.message ?? ''} ${JSON.stringify(stats)}`,
      );
    }
  }
}

/** No memory is held by anybody. */
function judgeRest(world: World, { agents, origins }: Fuzzed): void {
  for (const site of [...agents, ...origins.values()]) {
    const { running } = site;
    if (running === undefined) continue;
    for (const share of SHARES) {
      const used = running.arena.shareBytes(share) - running.arena.freeBytes(share);
      if (used > 0) world.violate('memory', `h${site.host} still holds ${used} bytes of its ${share} share, at rest`);
    }
  }
}

/** What is asked of the cluster all along: pushes, reads of tags, pulls. */
class Work {
  readonly #f: Fuzzed;
  readonly #world: World;
  readonly #unpushed = new Set<Image>();
  #final = new Set<number>();
  #looked = -1;
  #isDone = false;
  #over = false;
  /** When faults were over. */
  #overMs: number | undefined;
  pushed = 0;

  constructor(fuzzed: Fuzzed) {
    this.#f = fuzzed;
    this.#world = fuzzed.cluster.world;
  }

  start(): void {
    let atMs = 200;
    for (const image of this.#f.images) {
      this.#unpushed.add(image);
      this.#world.after(atMs, () => void this.#push(image));
      atMs += this.#world.between(0, 4_000);
    }
    this.#world.after(1_000, () => void this.#pushAgain());
    for (const clients of this.#f.clients)
      this.#world.after(this.#world.between(500, 3_000), () => void this.#readAgent(clients));
    for (const pusher of this.#f.pushers)
      this.#world.after(this.#world.between(500, 3_000), () => void this.#readPusher(pusher));
  }

  /** No more reads. */
  stop(): void {
    this.#over = true;
  }

  done(): boolean {
    // Not at every step: looking costs more than a step.
    const at = Math.floor(this.#world.nowMs / 250);
    if (at !== this.#looked) {
      this.#looked = at;
      this.#isDone = this.lacking().length === 0;
    }
    return this.#isDone;
  }

  /** What is not done yet. */
  lacking(): string[] {
    const lacking: string[] = [];
    if (this.#f.litter?.done === false) lacking.push('litter is still linked');
    if (this.#unpushed.size > 0) lacking.push(`${this.#unpushed.size} images are not pushed`);
    const { backend, acked } = this.#f;
    const owed = backend?.nature.can.writes === true ? [...acked.values()].filter((one) => !backend.has(one)) : [];
    if (owed.length > 0) lacking.push(`the backend lacks ${owed.map(({ digest }) => digest.slice(7, 15)).join(', ')}`);
    if (this.#f.indexLoss?.waits === true) lacking.push('the index is not reconciled');
    if (backend?.nature.can.writes === true) lacking.push(...this.#unwritten());
    const { waiting } = this.#f.damage;
    if (waiting.length > 0)
      lacking.push(`${waiting.map(({ digest }) => digest.slice(7, 15)).join(', ')} were spoilt and are not back`);
    for (const { site, missing } of this.#f.clients) {
      if (!site.up) lacking.push(`h${site.host} is not up`);
      if (missing.length > 0)
        lacking.push(
          `h${site.host} lacks ${missing.map((content) => `${content.digest.slice(7, 15)} (${content.bytes.length} bytes)`).join(', ')}`,
        );
    }
    if (this.#f.roster.moving) lacking.push(...misplaced(this.#f));
    for (const site of this.#f.origins.values()) {
      if (!site.joined) continue;
      if (!site.up) lacking.push(`${site.name} is not up`);
      // What nothing links to any more, and no origin has whole, is nobody's to bring back.
      const blobs = [...(site.running?.store.blobs() ?? [])];
      const unlinked = blobs.filter(({ complete, digest }) => !complete && !this.#f.acked.has(digest));
      const waiting = (site.running?.handover.waiting ?? 0) - unlinked.length;
      if (waiting > 0) lacking.push(`${site.name} waits to hand over ${waiting} blobs`);
      const below = site.running?.repair.below ?? 0;
      if (below > 0) lacking.push(`${site.name} knows of ${below} blobs that another owner lacks`);
    }
    const readers = this.#f.clients.length + this.#f.pushers.length;
    if (this.#final.size < readers)
      lacking.push(`${readers - this.#final.size} of ${readers} have not read the last tags`);
    return lacking;
  }

  /** Faults are over, and where somebody is to be asked once alone, nobody is taken for silent any more. */
  #quiet(): boolean {
    if (!this.#world.faultsOver) return false;
    this.#overMs ??= this.#world.nowMs;
    return this.#f.cold === undefined || this.#world.nowMs - this.#overMs >= quietMs;
  }

  /** Tags of which the backend has something else. */
  #unwritten(): string[] {
    const { images, history, named } = this.#f;
    return [...new Set(images.map(({ tag }) => tag))].flatMap((tag) => {
      const [there, here] = [named?.tag(tag), history.last(tag)];
      return there === here ? [] : [`tag ${tag} is on ${here}, and on ${there} in the backend`];
    });
  }

  async #push(wanted: Image): Promise<void> {
    let image = wanted;
    let attempts = 0;
    while (this.#world.violation === undefined) {
      const { pusher } = this.#world.pick(this.#f.pushers);
      let maybe = false;
      try {
        await pusher.push(image, () => {
          maybe = true;
        });
        this.#unpushed.delete(wanted);
        this.pushed++;
        return;
      } catch (error) {
        if (!(error instanceof ApiError)) return this.#world.threw(error);
        this.#world.note(`push of ${image.tag} in vain: ${error.message.slice(0, 200)}`);
      }
      // Its tag may be set or not: the next try is another image, so that a history tells its writes apart.
      if (maybe) image = this.#f.again(image, ++attempts);
      await this.#world.sleep(this.#world.between(200, 1_500));
    }
  }

  /** Whoever finds a blob missing pushes it again: all along. */
  async #pushAgain(): Promise<void> {
    const { damage, origins, pushers, acked } = this.#f;
    while (!this.#over && this.#world.violation === undefined) {
      for (const content of damage.waiting) {
        // Agents may have brought it back.
        if (rightSomewhere([...origins.values()], content)) {
          acked.set(content.digest, content);
          damage.isBack(content);
        } else await damage.pushAgain(content, () => this.#world.pick(pushers).pusher.pushBlob(content));
      }
      await this.#world.sleep(this.#world.between(500, 3_000));
    }
  }

  async #readAgent(clients: Fuzzed['clients'][number]): Promise<void> {
    while (!this.#over && this.#world.violation === undefined) {
      const { running } = clients.site;
      if (running !== undefined)
        await this.#readTags(clients.site.host, clients.tags, clients.client, (image) => clients.want(image));
      await this.#world.sleep(this.#world.between(500, 5_000));
    }
  }

  async #readPusher({ pusher, tags }: Fuzzed['pushers'][number]): Promise<void> {
    while (!this.#over && this.#world.violation === undefined) {
      await this.#readTags(pusher.process.host, tags, pusher.client, () => undefined);
      await this.#world.sleep(this.#world.between(200, 3_000));
    }
  }

  /** One tag while faults last, then every tag once. A process that ends never answers: so there is a limit. */
  async #readTags(
    host: number,
    reader: Fuzzed['clients'][number]['tags'],
    client: OciClient,
    got: (image: Image) => void,
  ): Promise<void> {
    const last = this.#quiet() && this.#unpushed.size === 0;
    const cold = this.#f.cold === undefined ? [] : this.#f.cold[last ? 'all' : 'asked'];
    const all = [...new Set([...this.#f.images, ...cold].map((image) => image.tag))];
    let answered = 0;
    for (const tag of last ? all : [this.#world.pick(all)]) {
      const image = await Promise.race([reader.read(client, tag), this.#world.sleep(4_000)]);
      if (image === undefined) continue;
      answered++;
      got(image);
    }
    if (last && answered === all.length) this.#final.add(host);
  }
}
