/** The room of a store, by the store's options and the volumes that it lies on. */

import type { BlobStoreOptions } from '../options.ts';
import type { Ground } from '../volumes/ground.ts';
import type { RoomOptions } from './options.ts';
import { Room } from './room.ts';

export function makeRoom(
  o: BlobStoreOptions,
  { volumes }: Pick<Ground, 'volumes'>,
  store: Pick<RoomOptions, 'evict' | 'freeBytes' | 'idle' | 'nowMs' | 'onUnneeded' | 'open' | 'wallSeconds'>,
): Room {
  return new Room({
    ...store,
    dir: o.dir,
    disks: () => volumes.taking.join(', ') || o.dir,
    budgetBytes: o.budgetBytes,
    keeps: o.keeps,
    volumes: volumes.all,
    askUnneeded: o.askUnneeded,
    stays: o.stays,
    idleMax: o.idleMax,
  });
}
