/** For tests: a bucket as a Kraken has it, written file by file: blobs by `sharded_docker_blob`, tags by `docker_tag`. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../core/digest.ts';
import type { Made, MadeImage } from './images.fixtures.ts';

const root = 'docker/registry/v2';

export class KrakenBucket {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** What backends of origins and index say of it. */
  get backend(): object {
    return {
      name: 'kraken',
      file: { directory: this.dir },
      keys: { blobs: 'sharded_docker_blob', tags: 'docker_tag' },
    };
  }

  async make(): Promise<void> {
    await mkdir(this.dir, { recursive: true });
  }

  /** Where all is that names something of a repository. */
  folderOf(repo: string): string {
    return join(this.dir, root, 'repositories', repo);
  }

  blobPath(digest: Digest): string {
    const hex = digest.slice('sha256:'.length);
    return join(this.dir, root, 'blobs/sha256', hex.slice(0, 2), hex, 'data');
  }

  tagPath(repo: string, tag: string): string {
    return join(this.folderOf(repo), '_manifests/tags', tag, 'current/link');
  }

  async putBlob({ digest, bytes }: Made): Promise<void> {
    await written(this.blobPath(digest), bytes);
  }

  async putImage(repo: string, tag: string, image: MadeImage): Promise<void> {
    for (const blob of [...image.blobs, image]) await this.putBlob(blob);
    await this.putTag(repo, tag, image.digest);
  }

  async putTag(repo: string, tag: string, digest: Digest): Promise<void> {
    await written(this.tagPath(repo, tag), Buffer.from(digest));
  }

  /** As a Kraken would read it; undefined: there is none. */
  async tag(repo: string, tag: string): Promise<string | undefined> {
    return await readFile(this.tagPath(repo, tag), 'utf8').catch(() => undefined);
  }

  async blob(digest: Digest): Promise<Buffer | undefined> {
    return await readFile(this.blobPath(digest)).catch(() => undefined);
  }
}

async function written(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.part`, bytes);
  await rename(`${path}.part`, path);
}
