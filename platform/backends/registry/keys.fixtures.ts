/** For tests of what is in front of a registry: a backend in memory that has a registry's keys and keeps no records. */

import { BackendError, type BackendObject } from '../backend.ts';
import { type Backed, backedBy } from '../backends.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { placeAt, registryKeys } from './layout.ts';

class Recordless extends MemoryBackend {
  override readonly can = { conditions: false, list: true, writes: true, records: false };

  override async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    if (placeAt(key) === undefined) throw new BackendError('refused', `${this.name}: ${key} means nothing there`);
    return await super.stat(key, signal);
  }
}

export function keyedAsRegistry(name: string): FaultyBackend {
  return new FaultyBackend(new Recordless(name));
}

export function backedAsRegistry(backend: FaultyBackend, said: Parameters<typeof backedBy>[1]): Backed {
  return backedBy(backend, said, registryKeys);
}
