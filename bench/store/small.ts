/** Small blobs one by one: put as an agent gets them, read piece by piece, and evicted for want of room. */

import { createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { pieceLengthFor } from '../../core/piece.ts';
import { rounded } from '../../harness/numbers.ts';
import type { Figures } from '../../harness/report.ts';
import { agentPromises } from '../../platform/store/options.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { blake3, blake3Hex } from '../../platform/workers/hash.ts';
import { Workers } from '../../platform/workers/workers.ts';
import type { StoreSizes } from './sizes.ts';

const arenaBytes = 64 * 1024 * 1024;
/** At a time, as an agent has of pulls. */
const lanes = 8;

type Small = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly bytes: Uint8Array;
};

export async function smallMeasures(dir: string, { small: count, smallBytes }: StoreSizes): Promise<Figures> {
  await using workers = await Workers.start({ count: 1, arenaBytes });
  const budgetBytes = Number.MAX_SAFE_INTEGER;
  await using store = await BlobStore.open({ dir, ...agentPromises, workers, budgetBytes });
  const blobs = Array.from({ length: count }, (_, no) => smallBlob(no, smallBytes));
  const put = await rateOf(blobs, async ({ digest, meta, hashes, bytes }) => {
    await store.create(digest, meta, hashes, bytes);
  });
  const get = await rateOf(blobs, async ({ digest, meta }) => {
    const slot = await workers.arena.acquire('reader', meta.length);
    const verdict = await store.get(digest)?.read(0, slot);
    slot.release();
    if (verdict !== 'ok') throw new Error(`${digest} reads ${verdict}`);
  });
  const startedMs = performance.now();
  await store.room.shrink(0);
  const evictS = (performance.now() - startedMs) / 1000;
  if (store.count > 0) throw new Error(`${store.count} blobs were not evicted`);
  return { storePutPerS: rounded(put), storeGetPerS: rounded(get), storeEvictPerS: rounded(count / evictS) };
}

async function rateOf(blobs: readonly Small[], work: (blob: Small) => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let blob = blobs[next++]; blob !== undefined; blob = blobs[next++]) await work(blob);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return blobs.length / ((performance.now() - startedMs) / 1000);
}

function smallBlob(no: number, length: number): Small {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, no);
  const hashes = blake3(bytes);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  return { digest, meta: { length, pieceLength: pieceLengthFor(length), root: blake3Hex(hashes) }, hashes, bytes };
}
