/** The engine in a bucket, over one in memory. */

import { conditionalObjects } from '../../backends/conditional.ts';
import { MemoryBackend } from '../../backends/memory.ts';
import { realClock } from '../../net/clock.ts';
import { tagStoreConformance } from '../conformance.fixtures.ts';
import { elsewhereConformance } from '../elsewhere.fixtures.ts';
import { idleConformance } from '../idle.fixtures.ts';
import { namedConformance } from '../named.fixtures.ts';
import { neverHeldUp } from './faulty-bucket.fixtures.ts';
import { BucketTagStore } from './store.ts';

const open = async (backend = new MemoryBackend('bucket')) => {
  const objects = conditionalObjects(backend);
  return new BucketTagStore({
    objects,
    prefix: 'x/',
    time: realClock,
    hangs: neverHeldUp,
    close: () => backend[Symbol.asyncDispose](),
  });
};

tagStoreConformance('bucket', () => open());
elsewhereConformance('bucket', () => open());
namedConformance('bucket', async () => {
  const backend = new MemoryBackend('bucket');
  return { store: await open(backend), other: () => open(backend) };
});
idleConformance('bucket', () => open());
