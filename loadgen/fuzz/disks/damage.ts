/**
 * What happens to blobs' files at origins behind their processes' backs, and the pushes that follow: files are cut,
 * emptied of their bytes, removed, or lose a bit, of blobs that may be nowhere else.
 *
 * Rule 1: what no origin's disk has any more was lost by us, not by them: it counts as acknowledged again once it was
 *   pushed again. Somebody pushes it again until it is there, as clients do: what an origin says to have is not sent.
 * Rule 2: an origin that says so while its file is not there, too short or zeros breaks its promise; so does one that
 *   acknowledged bytes and does not have them (stored.ts judges both disks and entries).
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Content, pieceOf } from '../content.ts';
import type { World } from '../world.ts';
import { fileOf, type Rotten, rightSomewhere, rotKey, type Shown } from './stored.ts';

type Spoilt = {
  readonly origins: ReadonlyMap<string, Shown & { readonly host: number }>;
  /** Whoever mends it sends what it has written on trust (peers/net.ts). */
  readonly cluster: { readonly decayed: Set<number> };
  /** What is nowhere any more is taken out. */
  readonly acked: Map<Digest, Content>;
  readonly litter: { readonly contents: readonly Content[] } | undefined;
  /** What it has is not lost. */
  readonly backend: { has(content: Content): boolean } | undefined;
};

/** A file of a blob is its bytes and the list of its pieces' hashes. */
const wholeBytes = (content: Content): number => content.bytes.length + content.hashes.length;

export class Damage {
  readonly #world: World;
  readonly #rotten: Rotten;
  readonly #contents: ReadonlyMap<Digest, Content>;
  /** Blobs that were acknowledged and that we destroyed. */
  readonly #lost = new Map<Digest, Content>();
  /** How often something was done to files of a blob. */
  readonly #times = new Map<Digest, number>();
  pushedAgain = 0;

  /** `contents`: all that may be pushed. */
  constructor(world: World, rotten: Rotten, contents: ReadonlyMap<Digest, Content>) {
    this.#world = world;
    this.#contents = contents;
    this.#rotten = rotten;
  }

  /** Blobs that are to be pushed again. */
  get waiting(): readonly Content[] {
    return [...this.#lost.values()];
  }

  timesOf(digest: Digest): number {
    return this.#times.get(digest) ?? 0;
  }

  /** Spoils a file of a blob that was acknowledged. False: there was none. */
  spoil({ origins, acked, litter, backend, cluster }: Spoilt): boolean {
    const world = this.#world;
    // What is deleted again before it was found missing is nobody's to push.
    const whole = [...acked.values()].filter((content) => litter?.contents.includes(content) !== true);
    if (whole.length === 0) return false;
    const content = world.pick(whole);
    const holders = [...origins.values()].filter((site) => site.medium.disk.peek(fileOf(content)) !== undefined);
    if (holders.length === 0) return false;
    // All of them, now and then: else the others mend it.
    const sites = world.once(3) ? holders : [world.pick(holders)];
    for (const site of sites) {
      if (site.running?.store.get(content.digest)?.complete === false) cluster.decayed.add(site.host);
      this.#spoilAt(site, content);
    }
    this.#times.set(content.digest, this.timesOf(content.digest) + 1);
    if (rightSomewhere([...origins.values()], content) || backend?.has(content) === true) return true;
    acked.delete(content.digest);
    this.#lost.set(content.digest, content);
    return true;
  }

  /** The bytes of it came to that origin: from now on it answers for them. */
  committed(site: Shown, digest: Digest): void {
    const content = this.#contents.get(digest);
    if (content === undefined) return;
    for (let piece = 0; piece < content.pieces; piece++) this.#rotten.delete(rotKey(site, content.digest, piece));
  }

  /** It is known to be on some origin's disk again. False: it was never lost. */
  isBack(content: Content): boolean {
    const was = this.#lost.delete(content.digest);
    if (was) this.pushedAgain++;
    return was;
  }

  /** An origin says that it has it, which nobody touched since it looked. */
  judgeHave(site: Shown, digest: Digest): void {
    const content = this.#contents.get(digest);
    if (content === undefined) return;
    const file = site.medium.disk.peek(fileOf(content));
    const why =
      file === undefined
        ? 'it has no file of it'
        : file.length < wholeBytes(content)
          ? `its file has ${file.length} of ${wholeBytes(content)} bytes`
          : content.pieces > 0 && pieceOf(content, 0).length > 16 && zeros(file.subarray(0, pieceOf(content, 0).length))
            ? 'its file is zeros'
            : undefined;
    if (why !== undefined)
      this.#world.violate('have', `${site.name} says that a push of ${content.digest} is not needed, but ${why}`);
  }

  /** Until it is there again. */
  async pushAgain(content: Content, push: () => Promise<void>): Promise<void> {
    try {
      await push();
    } catch (error) {
      if (!(error instanceof ApiError)) return this.#world.threw(error);
      this.#world.note(`push again of ${content.digest.slice(7, 15)} in vain: ${error.message.slice(0, 160)}`);
    }
  }

  #spoilAt(site: Shown, content: Content): void {
    const world = this.#world;
    const { disk } = site.medium;
    const path = fileOf(content);
    const file = disk.peek(path);
    // Cut to nothing before: no worse can be done to it.
    if (file === undefined || file.length === 0) return;
    for (let piece = 0; piece < content.pieces; piece++) this.#rotten.add(rotKey(site, content.digest, piece));
    const how = world.pick(['cut', 'zeros', 'removed', 'bit', 'list'] as const);
    world.note(`${site.name} ${content.digest.slice(7, 15)} ${how}`);
    if (how === 'removed') return disk.vanish(path);
    if (how === 'cut') return disk.replace(path, file.subarray(0, world.prng.below(file.length)));
    if (how === 'zeros') return disk.replace(path, new Uint8Array(file.length));
    // It may have been cut before.
    const at = how === 'list' ? content.bytes.length : world.prng.below(Math.max(1, content.bytes.length));
    if (at < file.length) disk.rot(path, at);
  }
}

function zeros(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
