/**
 * What agents are asked for: tags, then the manifest and layers that they name, each read as a container
 * runtime does, from the first byte, again until it has come. Every byte is compared with the truth.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { sameBytes } from '../../platform/workers/hash.ts';
import type { AgentSite } from './agent.ts';
import type { SharedBackend } from './backing/backend.ts';
import type { Lies } from './backing/lies.ts';
import type { Content } from './content.ts';
import { OciClient } from './http/oci-client.ts';
import { type Image, repo } from './push.ts';
import type { TagHistory } from './tags.ts';
import type { World } from './world.ts';

export type ReadParts = {
  readonly world: World;
  readonly history: TagHistory;
  /** Every image that anybody may push, by its manifest's digest. */
  readonly images: ReadonlyMap<Digest, Image>;
  readonly backend: SharedBackend | undefined;
  readonly lies: Lies;
  /** What origins may never be said not to have; undefined: their disks are spoilt in this run. */
  readonly acked?: ReadonlyMap<Digest, Content> | undefined;
};

/** Reads tags: an agent, or a proxy. */
export class TagReader {
  readonly #p: ReadParts;

  constructor(parts: ReadParts) {
    this.#p = parts;
  }

  /** The image that the tag names, as the client's registry says; undefined: none, or nobody answers. */
  async read(client: OciClient, tag: string): Promise<Image | undefined> {
    const { world, history, images } = this.#p;
    const startMs = world.nowMs;
    let digest: Digest | undefined;
    try {
      digest = await client.tag(repo, tag);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return undefined;
    }
    history.read(tag, digest, startMs, world.nowMs);
    const wrong = history.check(tag);
    if (wrong !== undefined) world.violate('tag', wrong);
    if (digest === undefined) return undefined;
    const image = images.get(digest);
    if (image === undefined) world.violate('tag', `${tag} names ${digest}, which nobody pushed`);
    return image;
  }
}

type Want = { readonly content: Content; readonly path: string; done: boolean };

/** One agent's clients, on its host. */
export class Clients {
  readonly site: AgentSite;
  readonly tags: TagReader;
  readonly client: OciClient;
  readonly #world: World;
  readonly #parts: ReadParts;
  readonly #wants = new Map<Digest, Want>();
  reads = 0;

  constructor(site: AgentSite, parts: ReadParts) {
    this.site = site;
    this.#world = parts.world;
    this.#parts = parts;
    this.tags = new TagReader(parts);
    this.client = new OciClient(parts.world, { host: site.host, alive: true }, [site.base]);
  }

  /** Blobs that somebody still waits for here. */
  get missing(): readonly Content[] {
    return [...this.#wants.values()].filter((want) => !want.done).map((want) => want.content);
  }

  want({ manifest, layers }: Image): void {
    this.#want(manifest, OCI_PATHS.manifest(repo, manifest.digest));
    for (const layer of layers) this.#want(layer, OCI_PATHS.blob(repo, layer.digest));
  }

  #want(content: Content, path: string): void {
    if (this.#wants.has(content.digest)) return;
    const want: Want = { content, path, done: false };
    this.#wants.set(content.digest, want);
    void this.#fetch(want);
  }

  /** Until it has been read whole. */
  async #fetch(want: Want): Promise<void> {
    const world = this.#world;
    while (!want.done && world.violation === undefined) {
      const { nowMs } = world;
      const acked = this.#parts.acked?.has(want.content.digest) === true;
      try {
        want.done = await this.#read(want);
      } catch (error) {
        if (!(error instanceof ApiError)) return world.threw(error);
        this.#judgeRefusal(want.content, error, { askedMs: nowMs, acked });
        const why = error.message.replaceAll(want.content.digest, '').slice(0, 160);
        world.note(`h${this.site.host} reads ${want.content.digest.slice(7, 15)} in vain: ${why}`);
      }
      if (!want.done) await world.sleep(world.between(200, 1_500));
    }
  }

  /** It is nowhere only if the backend has not got it either. */
  #judgeRefusal(
    { digest }: Content,
    error: ApiError,
    when: { readonly askedMs: number; readonly acked: boolean },
  ): void {
    const sinceMs = this.#parts.backend?.bucket.sinceMs(digest);
    if (!['BLOB_UNKNOWN', 'MANIFEST_UNKNOWN', 'NOT_FOUND'].includes(error.code)) return;
    if (when.acked || (sinceMs !== undefined && sinceMs < when.askedMs))
      this.#world.violate('404', `h${this.site.host} is told that ${digest} is nowhere: ${error.message}`);
  }

  /** True: it was read from its first byte to its last. Some clients ask for a range, some hang up, some are slow. */
  async #read({ content, path }: Want): Promise<boolean> {
    const world = this.#world;
    const { length } = content.bytes;
    const part = !world.faultsOver && world.once(4) && length > 0;
    const start = part && path.includes('/blobs/') ? world.prng.below(length) : 0;
    const end = part && path.includes('/blobs/') ? start + 1 + world.prng.below(length - start) : length;
    const stop = new AbortController();
    const hangsUp =
      part && world.once(2)
        ? world.after(world.between(0, 3_000), () => stop.abort(new ApiError('REQUEST_INVALID', 'the client hung up')))
        : undefined;
    this.reads++;
    try {
      const whole = end - start === length;
      const reply = await this.client.read(path, { range: whole ? undefined : { start, end }, signal: stop.signal });
      const told = reply.headers['content-length'];
      if (told !== String(end - start))
        world.violate('reader', `${content.digest} has ${told} bytes at h${this.site.host}, not ${end - start}`);
      let at = start;
      let lied = false;
      for await (const bytes of reply.body) {
        const right = content.bytes.subarray(at, at + bytes.length);
        if (!sameBytes(bytes, right)) {
          // What comes of a blob while it grows is known for wrong only at its end, which then does not come.
          lied = this.#parts.lies.given(content.digest, bytes, right) && !(this.site.strict && end < length);
          if (!lied)
            world.violate('reader', `a reader at h${this.site.host} gets wrong bytes of ${content.digest} at ${at}`);
        }
        at += bytes.length;
        if (lied && at === length)
          world.violate('reader', `a reader at h${this.site.host} gets wrong bytes of ${content.digest} to its end`);
        if (world.once(12)) await world.sleep(world.between(0, world.once(20) ? 4_000 : 400));
      }
      if (at !== end)
        world.violate(
          'reader',
          `a reader at h${this.site.host} got ${at - start} of ${end - start} bytes of ${content.digest} and no error`,
        );
      return whole;
    } finally {
      if (hangsUp !== undefined) hangsUp.dead = true;
    }
  }
}
