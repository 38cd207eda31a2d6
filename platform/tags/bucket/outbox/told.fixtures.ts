/**
 * Stores of one bucket whose writes are told, and those who are told: what each has heard, as a remote or a receiver has it.
 */

import type { Digest } from '../../../../core/digest.ts';
import { prng } from '../../../../core/prng.ts';
import type { OutboxRow } from '../../outbox.ts';
import type { TagStore } from '../../store.ts';
import type { OutboxTarget } from '../../targets.ts';
import { FaultyBucket, type FaultyBucketOptions, neverHeldUp, type SharedBucket } from '../faulty-bucket.fixtures.ts';
import { BucketTagStore } from '../store.ts';

const main: OutboxTarget = { name: 'main', kinds: ['blob', 'manifest', 'tag'] };
const east: OutboxTarget = { name: 'remote:east', kinds: ['tag', 'referrer'] };
export const hook: OutboxTarget = { name: 'event:hook', kinds: ['manifest', 'tag'], every: true };
const targets = [main, east, hook];

/** One clock for all of a test: it goes on by what the test says. */
export class TestClock {
  nowMs = 1_000_000;
}

/** `clock`: of the wall, and that which is never set. */
export function telling(shared: SharedBucket, clock: TestClock, more: Partial<FaultyBucketOptions> = {}) {
  const objects = new FaultyBucket(shared, { prng: prng(1), ...more });
  const store = new BucketTagStore({
    objects,
    prefix: 'x/',
    time: { nowMs: () => clock.nowMs },
    outbox: { targetsOf: () => targets, nowMs: () => clock.nowMs },
    hangs: neverHeldUp,
    close: async () => undefined,
  });
  return { objects, store };
}

/** What has reached those who are told. It outlives processes, as they do. */
export class Told {
  /** By target and key: where it is. */
  readonly state = new Map<string, Digest | null>();
  readonly events: OutboxRow[] = [];

  hear(row: OutboxRow): void {
    if (row.slot === undefined) this.state.set(`${row.target} ${row.kind} ${row.name}`, row.digest);
    else this.events.push(row);
  }

  on(target: string, kind: string, name: string): Digest | null | undefined {
    return this.state.get(`${target} ${kind} ${name}`);
  }

  /** One turn of all lanes of a process. How many rows it had. */
  async turn(store: TagStore, clock: TestClock, n = 4): Promise<number> {
    let rows = 0;
    for (const { name } of targets) {
      const claimed = await store.claim(name, { nowMs: clock.nowMs, n, untilMs: clock.nowMs + 100 });
      for (const row of claimed) {
        this.hear(row);
        await store.written(row);
      }
      rows += claimed.length;
    }
    return rows;
  }

  /** Until nothing waits, whoever died holding what. */
  async drain(store: TagStore, clock: TestClock): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      clock.nowMs += 61_000;
      quiet = (await this.turn(store, clock, 50)) > 0 ? 0 : quiet + 1;
    }
  }
}

/** Where what all are told of differs from what the store says: of tags, manifests and blobs of repository `a`. */
export async function differing(store: TagStore, told: Told, names: Names): Promise<string[]> {
  const wrong: string[] = [];
  const look = (target: string, kind: string, name: string, now: Digest | null): void => {
    const heard = told.on(target, kind, name) ?? null;
    if (heard !== now) wrong.push(`${target} has ${kind} ${name} on ${heard}, it is on ${now}`);
  };
  for (const tag of names.tags) {
    const now = (await store.tagState('a', tag)).digest ?? null;
    look(main.name, 'tag', tag, now);
    look(east.name, 'tag', tag, now);
    const last = told.events.findLast(({ kind, name }) => kind === 'tag' && name === tag);
    if ((last?.digest ?? null) !== now) wrong.push(`the last event of ${tag} says ${last?.digest}, it is on ${now}`);
  }
  for (const manifest of names.manifests) {
    const now = (await store.manifest('a', manifest)) === undefined ? null : manifest;
    look(main.name, 'manifest', manifest, now);
    // A push by tag is told as its tag.
    const last = told.events.findLast(({ kind, name }) => kind === 'manifest' && name === manifest);
    if (now === null && last?.digest !== null && told.on(main.name, 'manifest', manifest) !== undefined)
      wrong.push(`the last event of ${manifest} says ${last?.digest}, it is gone`);
  }
  for (const blob of names.blobs)
    look(main.name, 'blob', blob, (await store.blob('a', blob)) === undefined ? null : blob);
  return wrong;
}

type Names = {
  readonly tags: readonly string[];
  readonly manifests: readonly Digest[];
  readonly blobs: readonly Digest[];
};
