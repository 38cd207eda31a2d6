/**
 * An origin's store on a disk that will be cut off: pushes blobs, several at a time, and tells of each that it has
 * acknowledged. `writer.ts DIR BLOBS [PLANT]`; PLANT skips the syncs of `data`, `names` or nothing.
 */

import { RealDisk } from '../../../platform/store/disk/real-disk.ts';
import { originPromises } from '../../../platform/store/options.ts';
import { upload } from '../../../platform/store/store.fixtures.ts';
import { BlobStore } from '../../../platform/store/store.ts';
import { Workers } from '../../../platform/workers/workers.ts';
import { blobNo } from './blobs.ts';

const [dir, count, plant] = process.argv.slice(2) as [string, string, string | undefined];
const lanes = 4;
const disk = new RealDisk();
if (plant === 'data') disk.sync = async () => undefined;
if (plant === 'names') disk.syncDirectory = async () => undefined;
const workers = await Workers.start({ count: 1, arenaBytes: 64 * 2 ** 20 });
const store = await BlobStore.open({ dir, ...originPromises, workers, budgetBytes: 1e9, disk, watch: {} });
let next = 0;
await Promise.all(
  Array.from({ length: lanes }, async () => {
    while (next < Number(count)) {
      const no = next;
      next += 1;
      const blob = blobNo(no);
      await upload(store, `upload-of-the-blob-${no}`, blob);
      process.send?.({ kind: 'acked', no });
      // What is removed again, and a name that is used twice.
      if (no % 7 === 3) {
        await store.remove(blob.digest);
        process.send?.({ kind: 'removed', no });
      }
    }
  }),
);
process.send?.({ kind: 'finished' });
process.once('disconnect', () => process.exit(0));
