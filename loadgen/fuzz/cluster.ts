/** Builds one seed's cluster: hosts, clocks, disks, who is real and who is hostile, what will be pushed. */

import type { Digest } from '../../core/digest.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { PolicyConfig } from '../../core/swarm/types.ts';
import { AgentSite } from './agent.ts';
import { SharedBackend } from './backing/backend.ts';
import { ColdImages } from './backing/cold.ts';
import { Lies } from './backing/lies.ts';
import { IndexLoss } from './backing/loss.ts';
import { Named } from './backing/named.ts';
import { backedIn } from './backing/nature.ts';
import { certified } from './components/certificates.ts';
import { MixedCompany } from './components/mixed.ts';
import { type Content, layerOf, layersMax, manifestOf } from './content.ts';
import { Damage } from './disks/damage.ts';
import type { Rotten } from './disks/stored.ts';
import { ProxySite } from './http/proxy.ts';
import { IndexSite } from './index-site.ts';
import { Litter, littered, litteredBudget } from './litter.ts';
import { type OriginOptions, OriginSite } from './origin.ts';
import { Hostile } from './peers/hostile.ts';
import { Truth } from './peers/judge.ts';
import { clusterOf } from './peers/medium.ts';
import type { Cluster } from './peers/net.ts';
import type { Plant } from './plants/plants.ts';
import { type Image, Pusher, type PushParts } from './push.ts';
import { Clients, type ReadParts, TagReader } from './readers.ts';
import { moves, Roster } from './roster/roster.ts';
import { addressOf, skewedClock } from './site.ts';
import { TagHistory } from './tags.ts';
import { TrackerSite } from './tracker.ts';
import type { World } from './world.ts';

export type Fuzzed = {
  readonly cluster: Cluster;
  readonly origins: ReadonlyMap<string, OriginSite>;
  readonly roster: Roster;
  readonly trackers: ReadonlyMap<string, TrackerSite>;
  readonly index: IndexSite;
  readonly agents: readonly AgentSite[];
  readonly clients: readonly Clients[];
  readonly proxies: readonly ProxySite[];
  /** Who pushes, and reads tags where it pushes. */
  readonly pushers: readonly { readonly pusher: Pusher; readonly tags: TagReader }[];
  readonly hostiles: readonly Hostile[];
  readonly history: TagHistory;
  readonly acked: Map<Digest, Content>;
  readonly damage: Damage;
  readonly images: readonly Image[];
  readonly contents: readonly Content[];
  /** The same image by another manifest. */
  readonly again: (image: Image, attempt: number) => Image;
  readonly litter: Litter | undefined;
  readonly backend: SharedBackend | undefined;
  readonly cold: ColdImages | undefined;
  readonly named: Named | undefined;
  readonly mixed: MixedCompany | undefined;
  /** Of an index that writes to a backend. */
  readonly indexLoss: IndexLoss | undefined;
};

export type BuildOptions = {
  readonly plant: Plant | undefined;
  readonly degree: number | undefined;
  readonly rotten: Rotten;
  readonly onOriginStart: (site: OriginSite) => void;
};

const proxiesWanted = 2;
const pushersWanted = 2;
const indexFailPercent = 3;

export function build(world: World, o: BuildOptions): Fuzzed {
  const { images, contents } = imagesOf(world);
  const byDigest = new Map(contents.map((content) => [content.digest, content]));
  const lies = new Lies(byDigest);
  const cluster = clusterOf(world, { policy: policyOf(world, o.degree), contents: byDigest, lies });
  const truth = new Truth(cluster);
  const damage = new Damage(world, o.rotten, byDigest);
  const trackers = new Map<string, TrackerSite>();
  const origins = new Map<string, OriginSite>();
  const backend = backedIn(world.seed) ? new SharedBackend(world, lies) : undefined;
  const cold = backend && new ColdImages(world, backend);
  for (const content of cold?.contents ?? []) byDigest.set(content.digest, content);
  const mixed = certified(world.seed) ? new MixedCompany(world, cluster) : undefined;
  const litter = littered(world.seed) ? roomFor(images, contents, cold) : undefined;
  const site = (): OriginOptions => {
    const bytesPerS = world.pick([5e6, 20e6, 100e6, 300e6]);
    const host = world.addHost(bytesPerS);
    return {
      host,
      bytesPerS,
      clock: skewedClock(world),
      address: mixed?.addressOf(host) ?? addressOf(world, host),
      certificates: mixed?.certificates,
      trackers,
      roster,
      plant: o.plant,
      truth,
      litter,
      strict: backend !== undefined && host % 2 === 0,
      damage,
      backend,
      onStart: o.onOriginStart,
    };
  };
  const roster = new Roster(world, originsOf(world));
  addOrigins(origins, roster, (base) => new OriginSite(cluster, base, site()));
  addTrackers(world, trackers, { roster, mixed });
  const index = new IndexSite(world, world.addHost(100e6), { failPercent: indexFailPercent, backend });
  const history = new TagHistory();
  cold?.seed(history);
  const acked = new Map<Digest, Content>();
  const proxies = proxiesOf(world, roster);
  const push: PushParts = { world, proxies: proxies.map(({ base }) => base), history, acked, damage };
  const imageOf = new Map([...images, ...(cold?.all ?? [])].map((image) => [image.manifest.digest, image]));
  const again = (image: Image, attempt: number): Image => {
    const other = otherOf(image, `${world.seed}-${image.no}-${attempt}`);
    imageOf.set(other.manifest.digest, other);
    byDigest.set(other.manifest.digest, other.manifest);
    return other;
  };
  const read: ReadParts = { world, history, images: imageOf, backend, lies, acked: roster.moving ? acked : undefined };
  const pushers = Array.from({ length: pushersWanted }, () => new Pusher(world.addHost(300e6), push));
  const litterer = litter && new Litter(world, { pusher: pushers[0] as Pusher, origins, acked });
  for (const content of litterer?.contents ?? []) byDigest.set(content.digest, content);
  const agents = Array.from({ length: agentsWanted(world) }, () => new AgentSite(cluster, site()));
  const hostiles = Array.from({ length: hostilesWanted(world) }, () => new Hostile(cluster, contents, site()));
  mixed?.begin({
    origins: [...origins.values()],
    agents: [...agents, ...hostiles],
    trackers: [...trackers.keys()],
    contents,
  });
  return {
    ...{ cluster, origins, roster, trackers, index, agents, proxies, hostiles, history, acked, damage },
    clients: agents.map((agent) => new Clients(agent, read)),
    pushers: pushers.map((pusher) => ({ pusher, tags: new TagReader(read) })),
    images,
    contents,
    again,
    litter: litterer,
    backend,
    cold,
    mixed,
    ...judging(world, { backend, index, history, images: imageOf }),
  };
}

/** What there is little more of than the images take, those too that come from the backend. */
function roomFor(images: readonly Image[], contents: readonly Content[], cold: ColdImages | undefined) {
  const all = [...images, ...(cold?.all ?? [])];
  return { budgetBytes: litteredBudget(all, [...contents, ...(cold?.contents ?? [])]) };
}

function judging(
  world: World,
  { backend, index, history, images }: Pick<Fuzzed, 'backend' | 'index' | 'history'> & Pick<ReadParts, 'images'>,
): Pick<Fuzzed, 'named' | 'indexLoss'> {
  if (backend === undefined) return { named: undefined, indexLoss: undefined };
  const named = new Named(world, backend, images);
  return {
    named,
    indexLoss: backend.nature.can.writes ? new IndexLoss({ world, index, backend, history }) : undefined,
  };
}

function originsOf(world: World): string[] {
  const drawn = 1 + world.prng.below(3);
  // Where one may be out of the list, two are left that hold what is pushed.
  return Array.from({ length: moves(world.seed) ? 2 + drawn : drawn }, (_, no) => `http://o${no}`);
}

function addOrigins(origins: Map<string, OriginSite>, roster: Roster, make: (base: string) => OriginSite): void {
  for (const base of roster.urls) origins.set(base, make(base));
  if (!roster.moving) return;
  // It joins later.
  const spare = make(`http://o${origins.size}`);
  spare.joined = false;
  origins.set(spare.name, spare);
}

function proxiesOf(world: World, roster: Roster): ProxySite[] {
  return Array.from(
    { length: proxiesWanted },
    (_, i) => new ProxySite(world, `http://p${i}`, { host: world.addHost(300e6), roster }),
  );
}

/** The same image by another manifest. */
function otherOf(image: Image, name: string): Image {
  return { ...image, manifest: manifestOf(name, image.manifest.bytes.length, image.layers) };
}

function addTrackers(
  world: World,
  trackers: Map<string, TrackerSite>,
  { roster, mixed }: { readonly roster: Roster; readonly mixed: MixedCompany | undefined },
): void {
  const trackersWanted = 1 + world.prng.below(3);
  for (let i = 0; i < trackersWanted; i++) {
    trackers.set(
      `http://t${i}`,
      new TrackerSite(world, `http://t${i}`, { host: world.addHost(100e6), roster, clock: skewedClock(world), mixed }),
    );
  }
}

function hostilesWanted(world: World): number {
  return world.once(2) ? 1 + world.prng.below(4) : 0;
}

/** Small clusters mostly: faults meet more often there. */
function agentsWanted(world: World): number {
  const draw = world.prng.below(10);
  if (draw < 6) return 3 + world.prng.below(10);
  if (draw < 9) return 13 + world.prng.below(15);
  return 28 + world.prng.below(23);
}

/** The default, or one so narrow that neighbourhoods are full. */
function policyOf(world: World, degree: number | undefined): PolicyConfig {
  const narrow = world.once(3);
  const drawn = 2 + world.prng.below(8);
  if (!narrow && degree === undefined) return defaultPolicy;
  const neighboursPerBlobMax = degree ?? drawn;
  return { ...defaultPolicy, neighboursPerBlobMax, neighboursMax: neighboursPerBlobMax + 2 + world.prng.below(6) };
}

function imagesOf(world: World): { images: Image[]; contents: Content[] } {
  const pool = Array.from({ length: 3 + world.prng.below(5) }, () => layerOf(world.prng.below(layersMax)));
  const tags = 1 + world.prng.below(3);
  const images: Image[] = Array.from({ length: 4 + world.prng.below(5) }, (_, no) => {
    const layers = [...new Set(Array.from({ length: 1 + world.prng.below(4) }, () => world.pick(pool)))];
    const tag = `v${world.prng.below(tags)}`;
    return { no, tag, layers, manifest: manifestOf(`${world.seed}-${no}`, 200 + world.prng.below(20_000), layers) };
  });
  const contents = new Map<Digest, Content>();
  for (const { manifest, layers } of images)
    for (const content of [manifest, ...layers]) contents.set(content.digest, content);
  return { images, contents: [...contents.values()] };
}
