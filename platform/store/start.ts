/** How a blob that a start found enters the store: whole ones as they are, others with what is known of their pieces. */

import type { Arena } from '../workers/arena.ts';
import type { Becoming } from './becoming.ts';
import type { BlobEntry } from './pieces/entry.ts';
import type { FoundBlob } from './recover.ts';
import type { Room } from './room/room.ts';
import { haveList, verifyHeld } from './stored.ts';

export type Entering = {
  readonly room: Pick<Room, 'found' | 'foundWhole'>;
  readonly becoming: Pick<Becoming, 'complete'>;
  readonly keeps: boolean;
  readonly arena: Arena;
  readonly entry: (found: FoundBlob) => BlobEntry;
};

export async function enter(found: FoundBlob, { room, becoming, keeps, arena, entry: open }: Entering): Promise<void> {
  const { bits, shortBytes } = found;
  if (bits === undefined && shortBytes === undefined) return room.foundWhole(found);
  const entry = open(found);
  room.found(entry);
  if (shortBytes !== undefined) entry.becomeDamaged(shortBytes, 'its file is too short');
  if (bits === undefined) return;
  // What a store that keeps completes must be right: the hint's word is not taken.
  if (keeps) await verifyHeld(entry, arena);
  // Its pull begins with it (pieces/hash-cache.ts).
  else if (entry.pieces > 0) await haveList(entry);
  if (!entry.gone && entry.heldCount === entry.pieces) await becoming.complete(entry);
}
