/**
 * What agents are asked for: tags, then the manifest and layers that they name, each read as a container
 * runtime does, from the first byte, again until it has come. Every byte is compared with the truth.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { byDigest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { sameBytes } from '../../platform/workers/hash.ts';
import type { AgentSite, RunningAgent } from './agent.ts';
import type { Content } from './content.ts';
import { type Plant, staleTagMs } from './plants.ts';
import { type Image, repo } from './push.ts';
import type { IndexSite, TagHistory } from './tags.ts';
import type { Process, World } from './world.ts';

const tagMs = 2_000;

export type ReadParts = {
  readonly world: World;
  readonly index: IndexSite;
  readonly history: TagHistory;
  /** Every image that anybody may push, by its manifest's digest. */
  readonly images: ReadonlyMap<Digest, Image>;
  readonly plant: Plant | undefined;
};

/** Reads tags: an agent, or a proxy. */
export class TagReader {
  readonly #p: ReadParts;
  /** For the plant: tags that were read, and until when they are believed. */
  readonly #kept = new Map<string, { readonly value: Digest | undefined; readonly untilMs: number }>();

  constructor(parts: ReadParts) {
    this.#p = parts;
  }

  /** The image that the tag names; undefined: none, or nobody answers. */
  async read(process: Process, tag: string): Promise<Image | undefined> {
    const { world, index, history, images, plant } = this.#p;
    const startMs = world.nowMs;
    const kept = this.#kept.get(tag);
    let digest = kept?.value;
    if (kept === undefined || kept.untilMs <= startMs) {
      try {
        const record = await world.call(process, index, {
          bytes: 150,
          limitMs: tagMs,
          handle: () => index.tag(repo, tag),
        });
        digest = record?.digest;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        return undefined;
      }
      if (plant === 'stale-tag') this.#kept.set(tag, { value: digest, untilMs: world.nowMs + staleTagMs });
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

type Want = { readonly content: Content; done: boolean };

/** One agent's clients. */
export class Clients {
  readonly site: AgentSite;
  readonly tags: TagReader;
  readonly #world: World;
  readonly #wants = new Map<Digest, Want>();
  reads = 0;

  constructor(site: AgentSite, parts: ReadParts) {
    this.site = site;
    this.#world = parts.world;
    this.tags = new TagReader(parts);
  }

  /** Blobs that somebody still waits for here. */
  get missing(): readonly Content[] {
    return [...this.#wants.values()].filter((want) => !want.done).map((want) => want.content);
  }

  want(image: Image): void {
    for (const content of [image.manifest, ...image.layers]) {
      if (this.#wants.has(content.digest)) continue;
      const want: Want = { content, done: false };
      this.#wants.set(content.digest, want);
      if (this.site.running !== undefined) void this.#fetch(this.site.running, want);
    }
  }

  /** The agent has started: its clients ask again. */
  started(running: RunningAgent): void {
    for (const want of this.#wants.values()) if (!want.done) void this.#fetch(running, want);
  }

  /** Until it has been read whole, or the process has ended: then nothing comes back. */
  async #fetch(running: RunningAgent, want: Want): Promise<void> {
    const world = this.#world;
    this.#world.dirty = true;
    while (running.process.alive && !want.done && world.violation === undefined) {
      try {
        const whole = await this.#read(running, want.content);
        if (whole) want.done = true;
      } catch (error) {
        if (!(error instanceof ApiError) && !isAbort(error)) return world.threw(error);
        world.note(
          `h${this.site.host} reads ${want.content.digest.slice(7, 15)} in vain: ${(error as Error).message.replace(want.content.digest, '').slice(0, 160)}`,
        );
      }
      if (!want.done) await world.sleep(world.between(200, 1_500));
    }
  }

  /** True: it was read from its first byte to its last. Some clients ask for a range, some hang up. */
  async #read(running: RunningAgent, content: Content): Promise<boolean> {
    const world = this.#world;
    const part = !world.faultsOver && world.once(4);
    const stop = new AbortController();
    const hangsUp =
      part && world.once(2)
        ? world.after(world.between(0, 3_000), () => stop.abort(new ApiError('UNKNOWN', 'the client hung up')))
        : undefined;
    this.reads++;
    try {
      const opened = await running.pulls.open(
        byDigest(content.digest),
        CallContext.begin({ requestId: 'fuzz', signal: stop.signal }),
      );
      if (opened.size !== content.bytes.length)
        world.violate(
          'reader',
          `${content.digest} has ${opened.size} bytes at h${this.site.host}, not ${content.bytes.length}`,
        );
      const start = part ? world.prng.below(content.bytes.length + 1) : 0;
      const end = part ? start + world.prng.below(content.bytes.length - start + 1) : content.bytes.length;
      let at = start;
      for await (const chunk of opened.open(start, end)) {
        for (const bytes of chunk.bytes) {
          if (!sameBytes(bytes, content.bytes.subarray(at, at + bytes.length))) {
            world.violate('reader', `a reader at h${this.site.host} gets wrong bytes of ${content.digest} at ${at}`);
          }
          at += bytes.length;
        }
        if (world.once(6)) await world.sleep(world.between(0, 400));
        chunk.release();
      }
      if (at !== end)
        world.violate(
          'reader',
          `a reader at h${this.site.host} got ${at - start} of ${end - start} bytes of ${content.digest} and no error`,
        );
      return !part;
    } finally {
      if (hangsUp !== undefined) hangsUp.dead = true;
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException || (error instanceof Error && error.name === 'AbortError');
}
