/**
 * What the backend is told of tags, manifests and links, judged as it is written: what it names is there by then, and no
 * write of a tag comes after a later one.
 */

import type { Digest } from '../../../core/digest.ts';
import { linkOf, recordOf } from '../../../index/backing/records.ts';
import { registryLayout } from '../../../platform/backends/layout.ts';
import { newer } from '../../../platform/tags/versions.ts';
import { type Image, repo } from '../push.ts';
import type { World } from '../world.ts';
import type { SharedBackend } from './backend.ts';

const { links } = registryLayout;

export class Named {
  readonly #world: World;
  readonly #backend: SharedBackend;
  readonly #images: ReadonlyMap<Digest, Image>;

  /** `images`: by their manifests. */
  constructor(world: World, backend: SharedBackend, images: ReadonlyMap<Digest, Image>) {
    this.#world = world;
    this.#backend = backend;
    this.#images = images;
    backend.bucket.onPut = (key, bytes, before) => this.#judge(key, bytes, before);
  }

  /** What the backend says of a tag. */
  tag(name: string): Digest | undefined {
    const { bucket } = this.#backend;
    const of = { repo, kind: 'tag', name } as const;
    return recordOf(bucket.small(links.recordKey(of)))?.digest ?? linkOf(bucket.small(links.linkKey(of)));
  }

  #judge(key: string, bytes: Uint8Array, before: Uint8Array | undefined): void {
    const object = links.linkOf(key);
    if (object === undefined) return this.#world.violate('named', `${key} is written, which is no key of ours`);
    const record = object.part === 'record' ? recordOf(bytes) : undefined;
    const was = record && recordOf(before);
    if (record !== undefined && was !== undefined && newer(was.version, record.version))
      this.#world.violate('older', `${key} is at ${was.version}, and is written at ${record.version}`);
    if (record?.deleted === true) return;
    const named = object.kind === 'tag' ? (record?.digest ?? linkOf(bytes)) : (object.name as Digest);
    // A manifest's bytes may be pushed as a blob: its link there says no more than that they are.
    const image = object.kind === 'blob' ? undefined : named && this.#images.get(named);
    if (object.kind !== 'blob' && image === undefined)
      return this.#world.violate('named', `${key} names ${named}, which nobody pushed as a manifest`);
    const needed = image === undefined ? [named as Digest] : [image.manifest, ...image.layers].map((one) => one.digest);
    const lacking = needed.find((digest) => !this.#backend.has({ digest }));
    if (lacking !== undefined)
      this.#world.violate('named', `${key} is written, and the backend has not got ${lacking}`);
  }
}
