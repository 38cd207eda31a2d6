/**
 * Images in the data directories of an origin and an index, written by the product's own store and engine before the processes
 * start: what a push makes, without its HTTP.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../core/digest.ts';
import { pieceLengthFor } from '../../core/piece.ts';
import { originPromises } from '../../platform/store/options.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { openTagsData } from '../../platform/tags/sqlite/data.ts';
import { openSqliteTags } from '../../platform/tags/sqlite/sqlite.ts';
import { blake3, blake3Hex } from '../../platform/workers/hash.ts';
import { Workers } from '../../platform/workers/workers.ts';

export const imageType = 'application/vnd.oci.image.manifest.v1+json';
/** Of an image: a config, eight layers, and the manifest itself. */
export const blobsEach = 10;
const blobBytes = 256;
const arenaBytes = 16 * 1024 * 1024;
/** Images under way at once: the engine writes what is asked for together in one transaction. */
const lanes = 16;

type Dirs = { readonly origin: string; readonly index: string };
type Filled = { readonly repo: string; readonly images: number };

/** Digests of the manifests; none has a tag. */
export async function fill(dirs: Dirs, { repo, images }: Filled): Promise<Digest[]> {
  await using workers = await Workers.start({ count: 1, arenaBytes });
  const budgetBytes = Number.MAX_SAFE_INTEGER;
  await using store = await BlobStore.open({ dir: dirs.origin, ...originPromises, workers, budgetBytes });
  await using tags = openSqliteTags({
    file: await openTagsData(dirs.index),
    quotas: [],
    outbox: undefined,
    onBroken(error) {
      throw error;
    },
  });
  const stored = async (bytes: Uint8Array): Promise<Digest> => {
    const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
    const hashes = blake3(bytes);
    const { length } = bytes;
    await store.create(digest, { length, pieceLength: pieceLengthFor(length), root: blake3Hex(hashes) }, hashes, bytes);
    return digest;
  };
  const manifests: Digest[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < images) {
      const no = next++;
      const blobs = await Promise.all(
        Array.from({ length: blobsEach - 1 }, (_, i) => stored(numbered(no * blobsEach + i))),
      );
      const bytes = Buffer.from(manifestOf(blobs.map((digest) => ({ digest, size: blobBytes }))));
      const digest = await stored(bytes);
      await Promise.all(blobs.map((blob) => tags.linkBlob(repo, blob, { size: blobBytes })));
      const put = { mediaType: imageType, size: bytes.length, tags: [], blobs, manifests: [] };
      const outcome = await tags.putManifest(repo, digest, put, Date.now());
      if (outcome.missing.length > 0 || outcome.unproved !== undefined)
        throw new Error(`a manifest is answered ${JSON.stringify(outcome)}`);
      manifests.push(digest);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return manifests;
}

/** The first of the blobs is its config. */
export function manifestOf(blobs: readonly { readonly digest: Digest; readonly size: number }[]): string {
  const [config, ...layers] = blobs.map((blob) => ({ mediaType: 'application/octet-stream', ...blob }));
  return JSON.stringify({ schemaVersion: 2, mediaType: imageType, config, layers });
}

function numbered(no: number): Uint8Array {
  const bytes = new Uint8Array(blobBytes);
  new DataView(bytes.buffer).setUint32(0, no);
  return bytes;
}
