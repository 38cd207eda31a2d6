/** A data directory with as many blobs as asked for, as a store of an agent leaves it: the names, and files that hold no block. */

import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashBytes } from '../../core/piece.ts';
import { BenchError } from '../../harness/error.ts';

/** Of each: a layer of a small image. */
const length = 100_000;
const shards = 256;
/** Names that are drawn at a time. */
const drawn = 4_096;

/** Digests are drawn: nobody reads these blobs. Throws BenchError where the file system has no room for so many. */
export function makeDirectory(dir: string, blobs: number): void {
  for (const path of ['', 'uploads', 'quarantine', 'blobs', 'blobs/sha256', 'blobs/sha512'])
    mkdirSync(join(dir, path), { recursive: true });
  const { ffree } = statfsSync(dir);
  if (ffree > 0 && ffree < blobs * 1.1)
    throw new BenchError(`${dir} has room for ${ffree} files, and ${blobs} are wanted`);
  for (let shard = 0; shard < shards; shard++)
    mkdirSync(join(dir, 'blobs/sha256', shard.toString(16).padStart(2, '0')));
  const random = Buffer.alloc(drawn * 2 * hashBytes);
  for (let no = 0; no < blobs; no++) {
    const at = (no % drawn) * 2 * hashBytes;
    if (at === 0) randomFillSync(random);
    const digest = random.toString('hex', at, at + hashBytes);
    const root = random.toString('hex', at + hashBytes, at + 2 * hashBytes);
    const path = join(dir, 'blobs/sha256', digest.slice(0, 2), `${digest}.${length}.18.${root}`);
    closeSync(openSync(path, 'w'));
    truncateSync(path, length + hashBytes);
  }
  writeFileSync(join(dir, 'version'), 'agent 1\n');
}
