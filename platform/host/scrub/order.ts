/** Blobs in the order of their digests, a batch at a time: an order that a restart finds again. */

import type { Digest } from '../../../core/digest.ts';
import type { BlobStore } from '../../store/store.ts';

/** Looking for a batch walks over all that is here: a million blobs are walked over 250 times in a round. */
export const scrubBatchMax = 4_096;
/** Blobs walked over before others get their turn. */
const turnBlobs = 10_000;

/** The first `max` whole blobs after `last`. */
export async function nextBlobs(
  store: Pick<BlobStore, 'blobs'>,
  last: Digest | undefined,
  max: number = scrubBatchMax,
): Promise<Digest[]> {
  const first: Digest[] = [];
  let walked = 0;
  for (const { digest, complete } of store.blobs()) {
    if (++walked % turnBlobs === 0) await new Promise((resolve) => setImmediate(resolve));
    const highest = first.length < max ? undefined : first[max - 1];
    if (!complete || (last !== undefined && digest <= last) || (highest !== undefined && digest >= highest)) continue;
    first.splice(placeOf(first, digest), 0, digest);
    if (first.length > max) first.pop();
  }
  return first;
}

function placeOf(list: readonly Digest[], digest: Digest): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as Digest) < digest) low = middle + 1;
    else high = middle;
  }
  return low;
}
