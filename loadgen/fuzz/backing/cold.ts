/**
 * Images that only the backend has when a run begins, as another cluster or a registry wrote them; and what is judged of
 * all that it has: who asks for it is told that it is nowhere only if it is, and it is sent about once.
 */

import { type Prng, prng } from '../../../core/prng.ts';
import { linkBytes, recordBytes } from '../../../index/backing/records.ts';
import { registryLayout } from '../../../platform/backends/layout.ts';
import { tagVersion } from '../../../platform/tags/versions.ts';
import { type Content, layerOf, layersMax, manifestOf } from '../content.ts';
import { type Image, repo } from '../push.ts';
import type { TagHistory } from '../tags.ts';
import type { World } from '../world.ts';
import type { SharedBackend } from './backend.ts';

/** Beyond those of images that are pushed, and of the litter. */
const layersFrom = layersMax + 100;
const layersEach = 2;
const elsewhere = 'c'.repeat(32);

export class ColdImages {
  /** Asked for all along. */
  readonly asked: readonly Image[];
  /** Asked for once faults are over, by every agent at about the same time. */
  readonly late: readonly Image[];
  readonly #backend: SharedBackend;
  readonly #world: World;
  readonly #prng: Prng;

  constructor(world: World, backend: SharedBackend) {
    this.#world = world;
    this.#backend = backend;
    this.#prng = prng(world.seed ^ 0xc01d);
    const { cold } = backend.nature;
    this.asked = Array.from({ length: cold }, (_, no) => this.#image(no, `c${no}`));
    this.late = Array.from({ length: cold }, (_, no) => this.#image(cold + no, `l${no}`));
  }

  get all(): readonly Image[] {
    return [...this.asked, ...this.late];
  }

  get contents(): readonly Content[] {
    return this.all.flatMap(({ manifest, layers }) => [manifest, ...layers]);
  }

  /** Before anything else happens. */
  seed(history: TagHistory): void {
    const { bucket } = this.#backend;
    const recorded = this.#backend.nature.can.records && this.#prng.below(2) === 0;
    for (const { tag, manifest, layers } of this.all) {
      for (const content of [manifest, ...layers]) void bucket.seed(content);
      const { links } = registryLayout;
      const named = { repo, kind: 'tag', name: tag } as const;
      const revision = { repo, kind: 'manifest', name: manifest.digest } as const;
      void bucket.seedSmall(links.linkKey(named), linkBytes(manifest.digest));
      void bucket.seedSmall(links.linkKey(revision), linkBytes(manifest.digest));
      for (const { digest } of layers)
        void bucket.seedSmall(links.linkKey({ repo, kind: 'blob', name: digest }), linkBytes(digest));
      if (recorded) {
        const version = tagVersion(1, elsewhere);
        void bucket.seedSmall(links.recordKey(named), recordBytes({ version, digest: manifest.digest }));
      }
      // After nobody had written it, and before anybody reads it.
      history.write(tag, manifest.digest, -0.5)(-0.5);
    }
  }

  /** Sent again only where something forced it: what was asked for once all works has come once. */
  judgeCopies(): void {
    for (const { layers } of this.late) {
      for (const { digest, bytes } of layers) {
        const sent = this.#backend.bucket.sentOf(digest);
        if (sent > bytes.length)
          this.#world.violate('copies', `the backend sent ${sent} bytes of ${digest}, which has ${bytes.length}`);
      }
    }
  }

  #image(no: number, tag: string): Image {
    const layers = Array.from({ length: layersEach }, (_, i) =>
      layerOf(layersFrom + 100 * i + 10 * no + this.#prng.below(10)),
    );
    return { no: 1_000 + no, tag, layers, manifest: manifestOf(`${this.#world.seed}-${tag}`, 600, layers) };
  }
}
