/** What a backend holds, brought into a store that is a bucket (platform/tags/outbox.ts, rule 3): it leaves no marks for anybody. */

import type { Digest } from '../../../core/digest.ts';
import type { Adopted, AdoptedManifest, AdoptedTag } from '../outbox.ts';
import { replaces } from '../versions.ts';
import type { Links } from './links.ts';
import type { BucketManifests } from './manifests.ts';
import type { RepoNames } from './names.ts';
import type { BucketOutbox } from './outbox/outbox.ts';
import type { OutRows } from './outbox/rows.ts';
import { againMax, busy } from './requests/again.ts';
import { several } from './requests/several.ts';
import { onOfCell, placeOfCell, type Tags } from './tags.ts';

type Parts = {
  readonly links: Links;
  readonly manifests: BucketManifests;
  readonly tags: Tags;
  readonly names: RepoNames;
  readonly outbox: BucketOutbox;
  readonly rows: OutRows;
};

export class BucketAdopt {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async manifest(repo: string, digest: Digest, { blobs, ...manifest }: AdoptedManifest): Promise<Adopted> {
    const { links, manifests } = this.#parts;
    if (await this.#waits(repo, 'manifest', digest)) return 'kept';
    if ((await manifests.read(repo, digest)) !== undefined) return 'kept';
    for (let again = 0; again < againMax; again++) {
      const linked = await several(blobs, async (blob) => {
        await this.#link(repo, blob.digest, blob.size);
        const found = await links.blobIn(repo, blob.digest);
        return found === undefined ? [] : [[blob.digest, found.epoch] as const];
      });
      const put = { ...manifest, tags: [], blobs: blobs.map((blob) => blob.digest) };
      const done = await manifests.adopt({ repo, digest, put, nowMs: 0, seen: new Map(linked.flat()) });
      if (done !== undefined) return done ? 'adopted' : 'kept';
    }
    throw busy(`${repo} ${digest}`);
  }

  /** A tag that is set meanwhile goes along, as if it had been set before somebody deleted its manifest. */
  async deletion(repo: string, digest: Digest, nowMs: number): Promise<Adopted> {
    const { manifests, tags } = this.#parts;
    if ((await manifests.read(repo, digest)) === undefined) return 'kept';
    if (await this.#waits(repo, 'manifest', digest)) return 'kept';
    if ((await tags.on(repo, digest)).some(({ cell }) => onOfCell(cell)?.digest === digest)) return 'kept';
    return (await manifests.remove({ repo, digest, nowMs, adopted: true })) ? 'adopted' : 'kept';
  }

  async blob(repo: string, digest: Digest, size: number): Promise<Adopted> {
    if (!(await this.#link(repo, digest, size))) return 'kept';
    await this.#parts.names.add(repo);
    return 'adopted';
  }

  async tag(repo: string, name: string, { digest, version }: AdoptedTag): Promise<Adopted> {
    const { tags, manifests, names, outbox, rows } = this.#parts;
    await names.add(repo);
    for (let again = 0; again < againMax; again++) {
      // Before the tag is read: what is written meanwhile has marks of its own.
      const waits = await outbox.waits(repo, 'tag', name);
      const tag = await tags.read(repo, name);
      if (!replaces({ digest, version }, placeOfCell(tag))) return 'kept';
      const plan = await tags.plan(tag, { digest, version, quiet: true });
      const record = digest === null ? undefined : await manifests.read(repo, digest);
      if (digest !== null && record === undefined) {
        await tags.unplan(tag, plan);
        return 'lacking';
      }
      tags.seen(version);
      const on = record && digest !== null && { digest, mediaType: record.mediaType, size: record.size, version };
      if (!(on ? await tags.set(tag, on, plan) : await tags.bury(tag, version, plan))) continue;
      await rows.remove(waits?.marks ?? []);
      return 'adopted';
    }
    throw busy(`${repo} ${name}`);
  }

  /** False: it is linked, or its link waits. */
  async #link(repo: string, digest: Digest, size: number): Promise<boolean> {
    const { links } = this.#parts;
    if ((await this.#waits(repo, 'blob', digest)) || (await links.blob(repo, digest)) !== undefined) return false;
    await links.linkBlob(repo, { digest, size }, 'none', true);
    return true;
  }

  async #waits(repo: string, kind: 'blob' | 'manifest', name: Digest): Promise<boolean> {
    return (await this.#parts.outbox.waits(repo, kind, name)) !== undefined;
  }
}
