/**
 * The backend that all processes of a run share, in every fourth seed: a bucket that fails as real ones do while faults
 * last, behind the product's own wrappers.
 */

import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { wrapped } from '../../../platform/backends/around/wrapped.ts';
import { Backends, backedBy } from '../../../platform/backends/backends.ts';
import { FaultyBackend } from '../../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../../platform/backends/layout.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import type { Content } from '../content.ts';
import type { Process, World } from '../world.ts';
import { Bucket } from './bucket.ts';
import type { Lies } from './lies.ts';
import { type Nature, natureOf } from './nature.ts';
import { Way } from './way.ts';

const stallMs = 3_000;
const limits = { reads: 4, writes: 2, of: 'origin' } as const;
const spoiltMsMax = 4_000;

export class SharedBackend {
  readonly nature: Nature;
  readonly bucket: Bucket;
  readonly #faulty: FaultyBackend;
  readonly #world: World;
  readonly #lies: Lies;
  readonly #host: number;
  /** Faults that may have cost somebody a copy that was on its way. */
  #cuts = 0;

  constructor(world: World, lies: Lies) {
    this.#world = world;
    this.#lies = lies;
    this.#host = world.addHost(300e6);
    const [name, nature] = natureOf(world.seed);
    world.fault(`a backend ${name}`);
    this.nature = nature;
    this.bucket = new Bucket(nature, () => world.nowMs);
    this.#faulty = new FaultyBackend(this.bucket);
    this.#faulty.befalls = (operation, what, key) => {
      world.fault(`${operation} at the backend: ${what}`);
      if (operation === 'read') this.#cuts += 1;
      const digest = registryLayout.digestOf(key);
      if (what === 'size') lies.sized = true;
      if (what === 'foreign' && digest !== undefined) lies.tell(digest);
    };
    this.#faulty.sometimes(prng(world.seed), nature.faultShare);
  }

  /** Faults are over. */
  async heal(): Promise<void> {
    this.#world.dirty = true;
    this.#faulty.heal();
    await this.bucket.mend();
  }

  has({ digest }: Pick<Content, 'digest'>): boolean {
    return this.bucket.sinceMs(digest) !== undefined;
  }

  /** For a while another blob's bytes are in the place of one that it holds. False: it holds none. */
  spoil(): boolean {
    const world = this.#world;
    const { blobs } = this.bucket;
    if (blobs.length === 0) return false;
    const digest: Digest = world.pick(blobs);
    this.#lies.tell(digest);
    void this.bucket.spoil(digest);
    world.after(world.between(100, spoiltMsMax), () => void this.bucket.mend(digest));
    return true;
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** As a process opens them: what it knows of the backend ends with it. */
  open(process: Process, seed: number): Backends {
    const { nature } = this;
    const options = {
      ...{ metrics: new Metrics(), clock: realClock, prng: prng(seed), stallMs, limits },
      sharers: () => 1,
    };
    const way = new Way(this.#faulty, { world: this.#world, process, nature, host: this.#host, seed });
    const { durability } = nature;
    return new Backends([
      { patterns: ['**'], backed: backedBy(wrapped(way, options), { durability, required: false }) },
    ]);
  }
}
