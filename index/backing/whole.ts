/**
 * Whether all that a manifest of a backend names is there: its blobs, of the size that it says, and of an index its
 * manifests with theirs. Bytes of blobs are not read.
 *
 * Rule: an image that lacks a blob is broken. An index that lacks an image is flawed: the others can be pulled, those as well
 *   that were not looked for, as they are read through when they are.
 */

import type { Digest } from '../../core/digest.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { AdoptedManifest } from '../../platform/tags/outbox.ts';
import type { Brought } from './brought.ts';
import type { ListedSizes } from './listed.ts';
import { BackedReader } from './read.ts';

/**
 * Of one manifest: once it lacks so many, no more is looked for. One of 4 MiB may name 20,000 that are not there, which are a
 * request each.
 */
const lacksMax = 100;
/** Blobs that were looked at and not listed before, of the last ones: images share their layers. 5 MB or so. */
const sizesMax = 20_000;
/** Manifests that were looked at: an image is in few indexes, which lie near it. 3 MB or so. */
const manifestsMax = 10_000;
/** An index of indexes of indexes: more has nobody. */
const depthMax = 4;

export type Wholeness = { readonly broken?: string; readonly flaw?: string };
type Place = { readonly repo: string; readonly digest: Digest };
/** What became of a manifest that an index names. */
export type BringChild = (digest: Digest) => Promise<Brought>;

export class WholeCheck {
  readonly #backed: TagsBacked;
  readonly #reader: BackedReader;
  readonly #listed: ListedSizes;
  readonly #sizes = new Newest<number | undefined>(sizesMax);
  readonly #manifests = new Newest<Wholeness>(manifestsMax);

  /** `sizes`: what was listed before; a blob of which it says another size is asked for. */
  constructor(backed: TagsBacked, sizes: ListedSizes) {
    this.#backed = backed;
    this.#reader = new BackedReader(backed);
    this.#listed = sizes;
  }

  /** What was found of it before. */
  known({ repo, digest }: Place): Wholeness | undefined {
    return this.#manifests.get(`${repo} ${digest}`);
  }

  async of(
    place: Place,
    { blobs, manifests }: AdoptedManifest,
    how: {
      readonly depth: number;
      readonly child: BringChild;
      readonly signal: AbortSignal;
      readonly moved: () => void;
    },
  ): Promise<Wholeness> {
    const lacks: string[] = [];
    for (const blob of blobs) {
      if (lacks.length === lacksMax) break;
      lacks.push(...(await this.#lack(place.repo, blob, how.signal)));
      how.moved();
    }
    const flaws: string[] = [];
    for (const digest of how.depth < depthMax ? manifests : []) {
      if (flaws.length === lacksMax) break;
      const child = await how.child(digest);
      how.moved();
      const key = this.#backed.blobKey(digest, place.repo);
      if (child.kind === 'broken') flaws.push(child.why);
      else if (child.kind === 'absent')
        flaws.push(this.#says(`${key}, one of its manifests, is not there: push it again`));
      else if (child.flaw !== undefined) flaws.push(child.flaw);
    }
    const [broken, flaw] = [summed(lacks), summed(flaws)];
    const found = { ...(broken !== undefined && { broken }), ...(flaw !== undefined && { flaw }) };
    this.#manifests.set(`${place.repo} ${place.digest}`, found);
    return found;
  }

  async #lack(
    repo: string,
    { digest, size }: AdoptedManifest['blobs'][number],
    signal: AbortSignal,
  ): Promise<string[]> {
    if (this.#listed.ofBlob(digest) === size) return [];
    const key = this.#backed.blobKey(digest, repo);
    const there = this.#sizes.has(key) ? this.#sizes.get(key) : await this.#reader.sizeOf(repo, digest, signal);
    this.#sizes.set(key, there);
    if (there === size) return [];
    const why = there === undefined ? 'is not there' : `has ${there} bytes, not the ${size} that a manifest says`;
    return [this.#says(`${key} ${why}: push its image again, or bring the object back`)];
  }

  #says(why: string): string {
    return `${this.#backed.name}: ${why}`;
  }
}

function summed(all: readonly string[]): string | undefined {
  if (all.length === lacksMax) return `${all[0]} (and ${lacksMax - 1} more; what it names beyond was not looked for)`;
  return all.length > 1 ? `${all[0]} (and ${all.length - 1} more)` : all[0];
}

/** The newest entries, at most so many. */
class Newest<T> {
  readonly #entries = new Map<string, T>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: T): void {
    this.#entries.set(key, value);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }
}
