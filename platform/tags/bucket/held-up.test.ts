/** An index that was stopped for a while, and goes on with a write that its caller has made through another one since. */

import { expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { realClock } from '../../net/clock.ts';
import { SharedBucket } from './faulty-bucket.fixtures.ts';
import { BucketTagStore } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = { mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [] };
/** More than what counts as held up (platform/tags/hangs.ts). */
const stoppedMs = 1_300;

test('what it was asked for before is not written once it goes on', async () => {
  const { objects } = new SharedBucket();
  const given = { prefix: 'x/', time: realClock, close: async () => undefined };
  await using other = new BucketTagStore({ objects, ...given });
  for (const no of [1, 2])
    await expect.poll(() => other.putManifest('a', digest(no), image, 0).then(() => 'done', String)).toBe('done');
  let stops = false;
  const load: typeof objects.load = async (key, signal) => {
    if (stops && key.includes('/t/')) {
      stops = false;
      // Nothing of this process runs, as if it were stopped.
      const until = performance.now() + stoppedMs;
      while (performance.now() < until);
      // It is the same process here, and was stopped as well.
      await expect.poll(() => other.putTag('a', 't', { digest: digest(2) }).then(() => 'done', String)).toBe('done');
    }
    return await objects.load(key, signal);
  };
  await using store = new BucketTagStore({ objects: { ...objects, load }, ...given });
  await expect.poll(() => store.putTag('a', 't', { digest: digest(2) }).then(() => 'done', String)).toBe('done');
  stops = true;
  await expect(store.putTag('a', 't', { digest: digest(1) })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect((await other.tag('a', 't'))?.digest).toBe(digest(2));
  await expect.poll(() => store.putTag('a', 't', { digest: digest(1) }).then(() => 'done', String)).toBe('done');
  expect((await other.tag('a', 't'))?.digest).toBe(digest(1));
});
