/**
 * Pushes, as the proxy makes them: each blob to two origins (chosen by upload id), committed at both,
 * linked at the index; then the manifest, its links and its tags in one transaction. What was
 * acknowledged is noted: it may never be lost.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobLinkPut, ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { linkProved, prove } from '../../platform/clients/copies.ts';
import type { Content } from './content.ts';
import type { Damage } from './damage.ts';
import type { OriginSite } from './origin.ts';
import type { IndexSite, TagHistory } from './tags.ts';
import type { Process, World } from './world.ts';

export const repo = 'fuzz/app';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const copies = 2;
const callMs = 3_000;
const commitMs = 8_000;

export type Image = {
  readonly no: number;
  readonly tag: string;
  readonly manifest: Content;
  readonly layers: readonly Content[];
};

export type PushParts = {
  readonly world: World;
  readonly origins: ReadonlyMap<string, OriginSite>;
  readonly index: IndexSite;
  readonly history: TagHistory;
  /** Blobs whose push was acknowledged. */
  readonly acked: Map<Digest, Content>;
  /** Uploads that fail are cancelled, and hold no room until they have been idle for long. */
  readonly tidy: boolean;
  readonly damage: Damage;
};

type Lane = { readonly site: OriginSite; offset: number };

export class Pusher {
  readonly process: Process;
  readonly #p: PushParts;
  readonly #ring: Rendezvous;
  readonly #copies: number;

  constructor(host: number, parts: PushParts) {
    this.process = { host, alive: true };
    this.#p = parts;
    this.#ring = Rendezvous.of([...parts.origins.keys()]);
    this.#copies = Math.min(copies, parts.origins.size);
  }

  /** Pushes it once; ApiError where it did not come about. `written`: its tag may have been set nevertheless. */
  async push(image: Image, written: () => void): Promise<void> {
    const { index, history, world } = this.#p;
    await Promise.all(image.layers.map((layer) => this.#layer(layer)));
    const { manifest, layers, tag } = image;
    const about: ManifestPut = {
      mediaType: manifestType,
      size: manifest.bytes.length,
      tags: [tag],
      blobs: layers.map((layer) => layer.digest),
      manifests: [],
    };
    let acknowledged: ((nowMs: number) => void) | undefined;
    await this.linked(manifest, manifest.digest, (put) => {
      acknowledged ??= history.write(tag, manifest.digest, world.nowMs);
      written();
      return index.putManifest(repo, manifest.digest, { ...about, proof: put.proof });
    });
    acknowledged?.(world.nowMs);
    world.note(`pushed ${tag} ${manifest.digest}`);
  }

  /** Pushes a blob again that was there once, as clients do: not where an origin says that it is not needed. */
  async pushAgain(content: Content): Promise<void> {
    for (const name of this.#ring.pick(content.digest)) {
      const site = this.#p.origins.get(name) as OriginSite;
      if (await this.#has(site, content)) return;
    }
    await this.#blob(content, undefined);
  }

  /** `times`: how often its files had been spoilt before it was pushed; what was done meanwhile is none of the origins' doing. */
  #acked(content: Content, times: number): void {
    const { world, acked, damage } = this.#p;
    if (damage.timesOf(content.digest) !== times) return;
    acked.set(content.digest, content);
    world.note(`acked ${content.digest}`);
  }

  /** ApiError where it cannot be asked. */
  async #has(site: OriginSite, content: Content): Promise<boolean> {
    const { world, damage } = this.#p;
    return await world.call(this.process, site, {
      bytes: 150,
      limitMs: callMs,
      handle: async () => {
        const times = damage.timesOf(content.digest);
        const found = (await site.info(content.digest, 'sample')) !== undefined;
        if (found && damage.timesOf(content.digest) === times) damage.judgeHave(site, content);
        return found;
      },
    });
  }

  async #layer(layer: Content): Promise<void> {
    await this.linked(layer, undefined, (put) => this.#p.index.linkBlob(repo, layer.digest, put));
  }

  /** Pushes it and links it by `link`, as the proxy does; from then on it may not be lost. */
  async linked(content: Content, key: Digest | undefined, link: (put: BlobLinkPut) => Promise<void>): Promise<void> {
    const times = this.#p.damage.timesOf(content.digest);
    await this.#blob(content, key);
    const size = content.bytes.length;
    const proved = await linkProved(
      (proof) => this.ask(() => link({ size, proof })),
      () => this.#prove(content.digest),
    );
    if (!proved)
      throw new ApiError('BLOB_UPLOAD_UNKNOWN', `${content.digest} went before it was linked: push it again`);
    this.#acked(content, times);
  }

  #prove(digest: Digest): Promise<boolean> {
    const sites = [...this.#p.origins.values()];
    const proverOf = (site: OriginSite) => ({
      prove: () =>
        this.#p.world.call(this.process, site, { bytes: 100, limitMs: callMs, handle: () => site.prove(digest) }),
    });
    const origins = { required: this.#copies, order: () => sites.map(proverOf) };
    return prove(origins, digest, CallContext.begin({ requestId: 'fuzz' }));
  }

  /** `key`: places it; undefined: the upload's id does. */
  async #blob(content: Content, key: Digest | undefined): Promise<void> {
    const { world, damage } = this.#p;
    const times = damage.timesOf(content.digest);
    const id = this.#uploadId();
    const lanes = await this.#begin(id, key ?? id);
    // A byte goes wrong between the client and one origin: it must not commit.
    const spoilt = !world.faultsOver && world.once(15) ? world.prng.below(Math.max(1, content.bytes.length)) : -1;
    if (spoilt >= 0) world.fault('a byte of an upload goes wrong');
    try {
      await this.#fill(id, lanes, { content, spoilt });
    } catch (error) {
      if (this.#p.tidy) await this.#cancel(id, lanes);
      throw error;
    }
    // It was linked before it was destroyed.
    if (damage.timesOf(content.digest) === times && damage.isBack(content)) this.#acked(content, times);
  }

  async #fill(
    id: string,
    lanes: readonly Lane[],
    { content, spoilt }: { content: Content; spoilt: number },
  ): Promise<void> {
    const { world } = this.#p;
    let left = lanes;
    for (let at = 0; at < content.bytes.length; ) {
      const end = Math.min(content.bytes.length, at + 1 + world.prng.below(400_000));
      left = await this.#append(id, left, { content, at, end, spoilt });
      at = end;
      if (world.once(10)) await world.sleep(world.between(0, 2_500));
    }
    const results = await Promise.allSettled(left.map((lane) => this.#commit(id, lane, content)));
    const held = results.filter((result) => result.status === 'fulfilled').length;
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
    for (const failure of failures) apiErrorOnly(failure);
    if (held < this.#copies)
      throw new ApiError('UNAVAILABLE', `${held} of ${this.#copies} origins committed: ${failures[0]?.message}`);
  }

  /** On the first origins of `key` that answer. */
  async #begin(id: string, key: string): Promise<Lane[]> {
    const order = this.#ring.pick(key).map((name) => this.#p.origins.get(name) as OriginSite);
    const lanes: Lane[] = [];
    while (lanes.length < this.#copies && order.length > 0) {
      const batch = order.splice(0, this.#copies - lanes.length);
      await Promise.all(
        batch.map(async (site) => {
          const begun = await this.#try(site, callMs, 100, async () => {
            await running(site).uploads.begin(id, 'sha256');
          });
          if (begun) lanes.push({ site, offset: 0 });
        }),
      );
    }
    if (lanes.length >= this.#copies) return lanes;
    await this.#cancel(id, lanes);
    throw new ApiError('UNAVAILABLE', 'too few origins begin an upload');
  }

  async #cancel(id: string, lanes: readonly Lane[]): Promise<void> {
    const cancel = async ({ site }: Lane): Promise<void> => await running(site).uploads.cancel(id);
    await Promise.all(lanes.map((lane) => this.#try(lane.site, callMs, 100, () => cancel(lane))));
  }

  async #append(
    id: string,
    lanes: readonly Lane[],
    part: { content: Content; at: number; end: number; spoilt: number },
  ): Promise<Lane[]> {
    const { content, at, end, spoilt } = part;
    const good: Lane[] = [];
    await Promise.all(
      lanes.map(async (lane, no) => {
        let bytes = content.bytes.subarray(at, end);
        if (no === 0 && spoilt >= at && spoilt < end) {
          bytes = bytes.slice();
          bytes[spoilt - at] = (bytes[spoilt - at] as number) ^ 1;
        }
        const taken = await this.#try(lane.site, callMs, bytes.length, async () => {
          await running(lane.site).uploads.append(id, at, once(bytes));
        });
        if (taken) good.push(lane);
      }),
    );
    if (good.length < this.#copies) throw new ApiError('UNAVAILABLE', 'too few origins take the bytes');
    return good;
  }

  async #commit(id: string, { site }: Lane, content: Content): Promise<void> {
    await this.#p.world.call(this.process, site, {
      bytes: 100,
      limitMs: commitMs,
      handle: async () => {
        const { damage } = this.#p;
        const times = damage.timesOf(content.digest);
        await site.commit(id, content.digest);
        if (damage.timesOf(content.digest) === times) damage.committed(site, content);
      },
    });
  }

  /** Asks the index. */
  async ask<T>(handle: () => Promise<T>): Promise<T> {
    const { world, index } = this.#p;
    return await world.call(this.process, index, { bytes: 500, limitMs: callMs, handle });
  }

  async #try(site: OriginSite, limitMs: number, bytes: number, handle: () => Promise<void>): Promise<boolean> {
    try {
      await this.#p.world.call(this.process, site, { bytes, limitMs, handle });
      return true;
    } catch (error) {
      apiErrorOnly(error);
      return false;
    }
  }

  #uploadId(): string {
    let id = '';
    while (id.length < 24)
      id += this.#p.world.prng
        .below(2 ** 16)
        .toString(16)
        .padStart(4, '0');
    return id;
  }
}

function running(site: OriginSite): NonNullable<OriginSite['running']> {
  if (site.running === undefined) throw new ApiError('UNAVAILABLE', 'the origin is down');
  return site.running;
}

function apiErrorOnly(error: unknown): void {
  if (!(error instanceof ApiError)) throw error;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
