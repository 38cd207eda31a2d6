/**
 * What containerd has, as the names in its content store tell: `ROOT/io.containerd.content.v1.content/blobs/sha256/HEX`.
 *
 * Rule 1: it is only read; a blob there has come whole and is never written to again, until containerd removes its name.
 * Rule 2: a look costs one `stat` while nothing changes.
 */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestHex, digestOf, parseDigest } from '../../core/digest.ts';

/** File systems give a directory the time of its last change in steps: what changed just before a look is looked at again. */
const settledMs = 2_000;

export class ContainerdContent {
  readonly dir: string;
  #seen = { mtimeMs: Number.NaN, atMs: 0 };

  constructor(root: string) {
    this.dir = join(root, 'io.containerd.content.v1.content/blobs/sha256');
  }

  path(digest: Digest): string {
    return join(this.dir, digestHex(digest));
  }

  /** What is there; undefined: nothing has come or gone since the last look. Throws what the disk says. */
  async look(): Promise<Set<Digest> | undefined> {
    const { mtimeMs } = await stat(this.dir);
    const settled = this.#seen.atMs - mtimeMs > settledMs;
    if (mtimeMs === this.#seen.mtimeMs && settled) return undefined;
    this.#seen = { mtimeMs, atMs: Date.now() };
    const digests = (await readdir(this.dir)).map((name) => digestOf('sha256', name));
    return new Set(digests.filter((digest) => parseDigest(digest) !== undefined));
  }

  /** The next look tells all. */
  forget(): void {
    this.#seen = { mtimeMs: Number.NaN, atMs: 0 };
  }
}
