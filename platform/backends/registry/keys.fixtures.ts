/** For tests of what is in front of a registry: a backend in memory that has a registry's keys and keeps no records. */

import { type Backed, backedBy } from '../backends.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { registryKeys } from './layout.ts';

class Recordless extends MemoryBackend {
  override readonly can = { conditions: false, list: true, writes: true, records: false };
}

export function keyedAsRegistry(name: string): FaultyBackend {
  return new FaultyBackend(new Recordless(name));
}

export function backedAsRegistry(backend: FaultyBackend, said: Parameters<typeof backedBy>[1]): Backed {
  return backedBy(backend, said, registryKeys);
}
