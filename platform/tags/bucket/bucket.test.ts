/** The engine in a bucket, over one in memory. */

import { conditionalObjects } from '../../backends/conditional.ts';
import { MemoryBackend } from '../../backends/memory.ts';
import { realClock } from '../../net/clock.ts';
import { tagStoreConformance } from '../conformance.fixtures.ts';
import { documentsConformance } from '../documents.fixtures.ts';
import { convergence, elsewhereConformance } from '../elsewhere.fixtures.ts';
import { idleConformance } from '../idle.fixtures.ts';
import { namedConformance } from '../named.fixtures.ts';
import { outboxConformance } from '../outbox.fixtures.ts';
import type { OutboxOptions } from '../outbox.ts';
import { targetsConformance } from '../targets.fixtures.ts';
import { neverHeldUp } from './faulty-bucket.fixtures.ts';
import { BucketTagStore } from './store.ts';

const open = async (backend = new MemoryBackend('bucket'), outbox?: OutboxOptions) => {
  const objects = conditionalObjects(backend);
  return new BucketTagStore({
    objects,
    prefix: 'x/',
    outbox,
    time: realClock,
    hangs: neverHeldUp,
    close: () => backend[Symbol.asyncDispose](),
  });
};

tagStoreConformance('bucket', () => open());
documentsConformance('bucket', () => open());
elsewhereConformance('bucket', () => open());
namedConformance('bucket', async () => {
  const backend = new MemoryBackend('bucket');
  return { store: await open(backend), other: () => open(backend) };
});
idleConformance('bucket', () => open());

outboxConformance('bucket', (outbox) => open(undefined, outbox));
targetsConformance('bucket', (outbox) => open(undefined, outbox));
convergence('bucket', (_, outbox) => open(undefined, outbox));
