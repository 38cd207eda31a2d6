/** A piece that arrived: into the store, and its slot to whoever wants the bytes now. */

import type { Verdict } from '../../../core/swarm/types.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { Slot } from '../../workers/arena.ts';

/** Takes the slot. `wanted`: whether somebody may read the piece soon; asked once it is held. */
export async function storeSlot(
  entry: BlobEntry | undefined,
  piece: number,
  { slot, wanted }: { readonly slot: Slot; readonly wanted: () => boolean },
): Promise<Verdict> {
  let verdict: Verdict = 'failed';
  // A piece that is held already is not looked at again: what came now may be anything, and is shown to nobody.
  const had = entry?.has(piece) === true;
  try {
    // Asked for before it was known that there is no room for the whole blob, or that nobody would read it.
    if (entry?.window?.has(piece) === false) verdict = 'unwanted';
    else if (entry !== undefined) verdict = await entry.write(piece, slot);
  } finally {
    if (entry !== undefined && verdict === 'held' && !had && wanted()) entry.keep(piece, slot);
    else slot.release();
  }
  return verdict;
}
