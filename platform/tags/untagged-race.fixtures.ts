/**
 * Pushes, tags that move, signatures, questions, deletions and retention at once, over any tag store that knows of manifests
 * without a tag: nothing goes that anything needed within the time of the rule, and in the end nothing is left.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { type Prng, prng } from '../../core/prng.ts';
import type { OutboxOptions } from './outbox.ts';
import type { RetiringTagStore } from './untagged.ts';

const ageMs = 3_600_000;
const [imagesMax, indexesMax, tagsMax, atOnce, pageMax] = [12, 8, 5, 16, 7] as const;
const repo = 'a';
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const imageOf = (no: number): Digest => digest(1 + (no % imagesMax));
const indexOf = (no: number): Digest => digest(1_000 + no);
const signatureOf = (of: Digest): Digest => digest(10_000 + Number.parseInt(of.slice(-8), 16));
/** What a digest is of never changes. */
const childrenOf = (no: number): Digest[] => [...new Set([imageOf(no), imageOf(no * 5 + 3)])];

export type UntaggedRace = { readonly seed: number; readonly bursts: number };
type Open = (outbox: OutboxOptions) => Promise<RetiringTagStore>;

/** Fails with the seed in its message. What was done, of each kind. */
export async function untaggedRace(open: Open, { seed, bursts }: UntaggedRace): Promise<Record<string, number>> {
  const world = new World(prng(seed), seed);
  world.store = await open({ targetsOf: () => [], nowMs: () => world.nowMs });
  await using _store = world.store;
  for (let i = 0; i < bursts; i++) await world.burst();
  await world.end();
  return world.done;
}

class World {
  store!: RetiringTagStore;
  nowMs = 1_000_000;
  readonly done: Record<string, number> = {};
  readonly #random: Prng;
  readonly #seed: number;
  /** When each was needed last, as was acknowledged. */
  readonly #needed = new Map<Digest, number>();
  readonly #children = new Map(Array.from({ length: indexesMax }, (_, i) => [indexOf(i), childrenOf(i)]));
  readonly #subjects: ReadonlyMap<Digest, Digest>;

  constructor(random: Prng, seed: number) {
    this.#random = random;
    this.#seed = seed;
    const all = [...this.#children.keys(), ...Array.from({ length: imagesMax }, (_, i) => imageOf(i))];
    this.#subjects = new Map(all.map((of) => [signatureOf(of), of]));
  }

  async burst(): Promise<void> {
    const acts = [
      this.#push,
      this.#push,
      this.#moveTag,
      this.#dropTag,
      this.#dropTag,
      this.#sign,
      this.#ask,
      this.#delete,
    ];
    const before = new Map(this.#needed);
    await Promise.all(
      Array.from({ length: atOnce }, async (_, i) => {
        await this.#jitter();
        if (i % 5 === 0) await this.#walk(before);
        else await this.#one(acts).call(this);
      }),
    );
    await this.#check();
    this.nowMs += Math.floor(this.#random.unit() * ageMs * 0.6);
  }

  /** Nobody wants anything any more. */
  async end(): Promise<void> {
    for (let no = 0; no < tagsMax; no++) await this.store.deleteTag(repo, `t${no}`);
    this.#needed.clear();
    for (let round = 0; round < 4; round++) {
      this.nowMs += ageMs;
      // Each look has what only the last ones had.
      for (let depth = 0; depth < 4; depth++) await this.#walk(this.#needed);
    }
    const { repositories } = await this.store.catalog({ n: 9 });
    expect(repositories, `seed ${this.#seed}: manifests that nothing needs are still here`).toEqual([]);
  }

  /** As a client does it: what is there is not sent again; what is missing then is. */
  async #push(): Promise<void> {
    const no = this.#below(indexesMax);
    for (let attempt = 0; attempt < 4; attempt++) {
      // Some come with their index without a look.
      const late = attempt === 0 && this.#below(2) === 0;
      for (const child of late ? [] : childrenOf(no)) {
        if (await this.store.untagged.askedFor(repo, child, this.nowMs)) this.#count('spared');
        else await this.#put(child);
        await this.#jitter();
      }
      const tags = this.#below(4) === 0 ? [] : [`t${this.#below(tagsMax)}`];
      if (await this.#put(indexOf(no), { manifests: childrenOf(no), tags })) return;
      this.#count('missing');
    }
  }

  async #put(of: Digest, more: { manifests?: Digest[]; tags?: string[]; subject?: Digest } = {}): Promise<boolean> {
    const put = { mediaType: 'm/x', size: 9, tags: [], blobs: [], manifests: [], ...more };
    if ((await this.store.putManifest(repo, of, put, this.nowMs)).missing.length > 0) return false;
    this.#need(of, ...put.manifests);
    this.#count('pushed');
    return true;
  }

  async #moveTag(): Promise<void> {
    const of = this.#one([...this.#children.keys(), ...this.#subjects.values()]);
    if ((await this.store.putTag(repo, `t${this.#below(tagsMax)}`, { digest: of })) === undefined) return;
    this.#need(of);
    this.#count('moved');
  }

  async #dropTag(): Promise<void> {
    await this.store.deleteTag(repo, `t${this.#below(tagsMax)}`);
  }

  async #sign(): Promise<void> {
    const [signature, subject] = this.#one([...this.#subjects]);
    await this.#put(signature, { subject });
  }

  async #ask(): Promise<void> {
    const of = this.#one([...this.#subjects].flat());
    if (await this.store.untagged.askedFor(repo, of, this.nowMs)) this.#need(of);
  }

  async #delete(): Promise<void> {
    if (this.#below(3) === 0) await this.store.deleteManifest(repo, indexOf(this.#below(indexesMax)), this.nowMs);
  }

  /** As an index does it; `needed`: by what was acknowledged before it began. */
  async #walk(needed: ReadonlyMap<Digest, number>): Promise<void> {
    for (let last: Digest | undefined; ; ) {
      const at = { nowMs: this.nowMs, beforeMs: this.nowMs - ageMs };
      const page = await this.store.untagged.lookUntagged({ repo, last, n: pageMax, beforeMs: at.beforeMs });
      await this.#jitter();
      await this.store.untagged.noteUntagged(repo, page, this.nowMs);
      await this.#jitter();
      for (const of of await this.store.untagged.retire(repo, page.due, at)) {
        const lastMs = needed.get(of) ?? 0;
        expect(
          lastMs,
          `seed ${this.#seed}: ${of} went ${this.nowMs - lastMs} ms after it was needed`,
        ).toBeLessThanOrEqual(at.beforeMs);
        this.#count('retired');
      }
      if (page.last === undefined) return;
      last = page.last;
    }
  }

  /** What tags are on is there, with all that it has; and so are signatures of it, which are needed for as long. */
  async #check(): Promise<void> {
    const { tags } = (await this.store.tags(repo, { n: 99 })) ?? { tags: [] };
    const found = new Set<Digest>();
    for (const tag of tags) {
      const of = (await this.store.tag(repo, tag))?.digest;
      expect(of, `seed ${this.#seed}: nothing is at ${tag}`).toBeDefined();
      for (const one of of === undefined ? [] : [of, ...(this.#children.get(of) ?? [])]) found.add(one);
    }
    for (const of of found)
      expect(await this.store.manifest(repo, of), `seed ${this.#seed}: ${of} is gone`).toBeDefined();
    for (const [signature, subject] of this.#subjects)
      if (found.has(subject) && (await this.store.manifest(repo, signature)) !== undefined) found.add(signature);
    this.#need(...found);
  }

  #need(...all: readonly Digest[]): void {
    for (const of of all) this.#needed.set(of, this.nowMs);
  }

  #count(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
  }

  async #jitter(): Promise<void> {
    for (let turns = this.#below(4); turns > 0; turns--) await turn();
  }

  #one<T>(all: readonly T[]): T {
    return all[this.#below(all.length)] as T;
  }

  #below(max: number): number {
    return Math.floor(this.#random.unit() * max);
  }
}
