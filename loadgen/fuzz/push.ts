/**
 * Pushes, as builders make them at the proxies (http/oci-client.ts): each blob, then the manifest under its tag. What
 * was acknowledged is noted: it may never be lost.
 */

import type { Digest } from '../../core/digest.ts';
import type { Content } from './content.ts';
import type { Damage } from './disks/damage.ts';
import { OciClient } from './http/oci-client.ts';
import type { TagHistory } from './tags.ts';
import type { Process, World } from './world.ts';

export const repo = 'fuzz/app';

export type Image = {
  readonly no: number;
  readonly tag: string;
  readonly manifest: Content;
  readonly layers: readonly Content[];
};

export type PushParts = {
  readonly world: World;
  /** Base URLs of the proxies. */
  readonly proxies: readonly string[];
  readonly history: TagHistory;
  /** Blobs whose push was acknowledged. */
  readonly acked: Map<Digest, Content>;
  readonly damage: Damage;
};

export class Pusher {
  readonly process: Process;
  readonly client: OciClient;
  readonly #p: PushParts;

  constructor(host: number, parts: PushParts) {
    this.process = { host, alive: true };
    this.#p = parts;
    this.client = new OciClient(parts.world, this.process, parts.proxies);
  }

  /** Pushes it once; ApiError where it did not come about. `written`: its tag may have been set nevertheless. */
  async push(image: Image, written: () => void): Promise<void> {
    const { history, world, damage } = this.#p;
    const { manifest, layers, tag } = image;
    await Promise.all(layers.map((layer) => this.pushBlob(layer)));
    const times = damage.timesOf(manifest.digest);
    const acknowledged = history.write(tag, manifest.digest, world.nowMs);
    written();
    await this.client.putManifest(repo, tag, manifest);
    acknowledged(world.nowMs);
    this.#acked(manifest, times);
    world.note(`pushed ${tag} ${manifest.digest}`);
  }

  /** Not where the server says that it is not needed, as clients do. */
  async pushBlob(content: Content, into: string = repo): Promise<void> {
    const { damage } = this.#p;
    const times = damage.timesOf(content.digest);
    const needed = !(await this.client.has(into, content.digest));
    if (needed) await this.client.pushBlob(into, content);
    // What we destroyed and nobody sent again is nobody's promise.
    else if (damage.waiting.includes(content)) return;
    this.#acked(content, times);
  }

  /** `times`: how often its files had been spoilt before it was pushed; what was done meanwhile is none of the origins' doing. */
  #acked(content: Content, times: number): void {
    const { world, acked, damage } = this.#p;
    if (damage.timesOf(content.digest) !== times) return;
    damage.isBack(content);
    acked.set(content.digest, content);
    world.note(`acked ${content.digest}`);
  }
}
