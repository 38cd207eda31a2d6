/**
 * The backend that all origins of a run share, in every fourth seed: a bucket in memory that fails as real ones do while
 * faults last, behind the product's own wrappers, and what an origin owes it, by the product's own queue and write-back.
 */

import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { writeBackCounts } from '../../origin/write-back/metrics.ts';
import type { OpenBlob } from '../../origin/write-back/upload.ts';
import { WriteBack } from '../../origin/write-back/write-back.ts';
import { wrapped } from '../../platform/backends/around/wrapped.ts';
import type { BackendObject, ObjectSource } from '../../platform/backends/backend.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { Members } from '../../platform/members/members.ts';
import { realClock } from '../../platform/net/clock.ts';
import { Queue } from '../../platform/queue/queue.ts';
import { type Runner, runHere } from '../../platform/queue/runners.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Content } from './content.ts';
import { log } from './peers/peer.ts';
import type { Process, World } from './world.ts';

const everySeeds = 4;
/** Of requests, while faults last. */
const shares = [0.1, 0.3, 0.6] as const;
const stallMs = 3_000;
const limits = { reads: 4, writes: 2, of: 'origin' } as const;
const rowsMax = 10_000;

export function backedIn(seed: number): boolean {
  return seed % everySeeds === 1;
}

/** What it holds, told apart from what it says. */
class Bucket extends MemoryBackend {
  readonly held = new Map<string, Digest>();

  override async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const done = await super.write(key, source, signal);
    this.held.set(key, source.digest);
    return done;
  }
}

export class SharedBackend {
  readonly faulty: FaultyBackend;
  readonly #bucket = new Bucket('main');
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.faulty = new FaultyBackend(this.#bucket);
    this.faulty.befalls = (operation, what) => world.fault(`${operation} at the backend: ${what}`);
    this.faulty.sometimes(prng(world.seed), shares[world.seed % shares.length] as number);
  }

  /** Faults are over. */
  heal(): void {
    this.#world.dirty = true;
    this.faulty.heal();
  }

  has({ digest }: Content): boolean {
    return this.#bucket.held.get(registryLayout.blobKey(digest)) === digest;
  }

  /** As a process opens them: what it knows of the backend ends with it. */
  open(seed: number): Backends {
    const random = prng(seed);
    const options = { metrics: new Metrics(), clock: realClock, prng: random, stallMs, limits, sharers: () => 1 };
    const backed = backedBy(wrapped(this.faulty, options), { durability: 'origins', required: false });
    return new Backends([{ patterns: ['**'], backed }]);
  }
}

/** The file of an origin's queue, as it outlives the origin's processes: what it was told is done is synced. */
export class QueueFile {
  readonly #runner: Runner = runHere({ file: ':memory:', name: 'write-back queue', rowsMax }, (error) => {
    throw error;
  });

  /** For one process: once it is dead it neither writes nor hears. */
  queue(process: Process, nowMs: () => number, seed: number): Queue {
    const runner = {
      run: async (...args: Parameters<Runner['run']>) =>
        process.alive ? await this.#runner.run(...args) : await new Promise<never>(() => undefined),
      [Symbol.asyncDispose]: async () => undefined,
    };
    return new Queue({ runner, nowMs, random: prng(seed) });
  }
}

export type OwedParts = {
  readonly queue: Queue;
  readonly backends: Backends;
  readonly origins: Members<OriginClient>;
  readonly self: string;
  readonly find: (digest: Digest) => Promise<OpenBlob | undefined>;
  readonly clock: () => number;
  readonly seed: number;
};

/** As origin/write-back/open.ts does; it has begun. */
export function beginWriteBack({ find, clock, seed, ...parts }: OwedParts): WriteBack {
  const writeBack = new WriteBack({
    ...parts,
    find: ({ digest }) => find(digest),
    counts: writeBackCounts(new Metrics()),
    clock: realClock,
    wallMs: clock,
    random: prng(seed),
    log,
  });
  writeBack.begin();
  return writeBack;
}
