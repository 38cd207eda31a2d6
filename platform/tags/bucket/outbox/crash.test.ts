/**
 * A process that ends between any two writes: those who are told have in the end what the store says, no event is left out,
 * and none tells of what never was.
 */

import { afterEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../../../core/digest.ts';
import type { NamedWrites, TagStore } from '../../store.ts';
import { SharedBucket } from '../faulty-bucket.fixtures.ts';
import type { BucketTagStore } from '../store.ts';
import { differing, TestClock, Told, telling } from './told.fixtures.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, three, layer, other] = [digest(1), digest(2), digest(3), digest(100), digest(101)] as const;
const image = (more: object = {}) => ({ mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [], ...more });
const names = { tags: ['x', 'y', 'z', 'new'], manifests: [one, two, three], blobs: [layer, other, digest(200)] };
const open: BucketTagStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
});

function process(...args: Parameters<typeof telling>) {
  const made = telling(...args);
  open.push(made.store);
  return made;
}

/** Two images on one layer, with tags; all of it is told. */
async function filled() {
  const [shared, clock, told] = [new SharedBucket(), new TestClock(), new Told()];
  const { store } = process(shared, clock);
  for (const blob of [layer, other]) await store.linkBlob('a', blob, { size: 9 });
  await store.putManifest('a', one, image({ tags: ['x', 'y'], blobs: [layer] }), 0);
  await store.putManifest('a', two, image({ tags: ['z'], blobs: [layer, other], subject: digest(9) }), 0);
  await told.drain(store, clock);
  expect(await differing(store, told, names)).toEqual([]);
  return { shared, clock, told };
}

type Writes = NamedWrites & Pick<TagStore, 'linkBlob' | 'adoptTag'>;
const writes: Readonly<Record<string, (store: Writes) => Promise<unknown>>> = {
  'a push': (store) => store.putManifest('a', three, image({ tags: ['x', 'new'], blobs: [layer], subject: one }), 0),
  'a push of what is there': (store) => store.putManifest('a', one, image({ tags: ['z'], blobs: [layer] }), 0),
  'a tag that moves': (store) => store.putTag('a', 'x', { digest: two }),
  'a tag that is deleted': (store) => store.deleteTag('a', 'x'),
  'a manifest that is deleted': (store) => store.deleteManifest('a', one, 0),
  'a blob that is linked': (store) => store.linkBlob('a', digest(200), { size: 1 }),
  'a blob that is unlinked': (store) => store.unlinkBlob('a', other, 0),
};

/** Each state of a tag, and of a manifest, once: an event may come twice, by the same version. */
function eventsOf({ events }: Told, from: number): string[] {
  return [...new Set(events.slice(from).map(({ kind, name, version }) => `${kind} ${name} ${version}`))];
}

describe.each(Object.entries(writes))('%s', (_, write) => {
  test.each([false, true])('ends at any of its writes (which is made: %s)', async (crashMakes) => {
    const calm = await filled();
    const counting = process(calm.shared, calm.clock);
    await counting.store.start();
    const before = counting.objects.writes;
    await write(counting.store);
    const count = counting.objects.writes - before;
    for (let at = 0; at < count; at++) {
      const { shared, clock, told } = await filled();
      const dying = process(shared, clock, { crashAt: before + at, crashMakes });
      const acknowledged = await write(dying.store).then(
        () => true,
        () => false,
      );
      expect(dying.objects.crashed).toBe(true);
      const { store } = process(shared, clock);
      await store.mend();
      const states = await Promise.all(names.tags.map((tag) => store.tagState('a', tag)));
      const heard = told.events.length;
      await told.drain(store, clock);
      expect({ at, acknowledged, wrong: await differing(store, told, names) }).toEqual({ at, acknowledged, wrong: [] });
      expect(await store.outbox()).toEqual([]);
      // No event tells of a version that no tag was ever at.
      for (const { kind, name, version } of told.events.slice(heard))
        if (kind === 'tag') expect(states[names.tags.indexOf(name)]).toMatchObject({ version });
      await write(store);
      await told.drain(store, clock);
      expect(await differing(store, told, names)).toEqual([]);
      expect(eventsOf(told, heard).length).toBeLessThanOrEqual(2 * 4);
    }
  });
});

test.each([false, true])('who tells ends at any of its writes (which is made: %s)', async (crashMakes) => {
  let crashes = 0;
  const counting = process(new SharedBucket(), new TestClock());
  await counting.store.start();
  const { writes: before } = counting.objects;
  for (let at = 0; ; at++) {
    const { shared, clock, told } = await filled();
    const { store } = process(shared, clock);
    for (const write of Object.values(writes)) await write(store);
    clock.nowMs += 1_000;
    const dying = process(shared, clock, { crashAt: before - 1 + at, crashMakes });
    await dying.store.start();
    expect(dying.objects.writes).toBe(before - 1);
    // First it sees that others have claimed all of it, who are gone.
    expect(await told.turn(dying.store, clock, 50)).toBe(0);
    clock.nowMs += 1_000;
    await told.turn(dying.store, clock, 50).catch(() => undefined);
    if (!dying.objects.crashed) break;
    crashes += 1;
    await store.putTag('a', 'y', { digest: two });
    await told.drain(store, clock);
    expect({ at, wrong: await differing(store, told, names) }).toEqual({ at, wrong: [] });
  }
  expect(crashes).toBeGreaterThan(20);
});
