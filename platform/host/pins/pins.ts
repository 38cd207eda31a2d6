/**
 * `pins:` of a cache or an origin's disk: blobs that no want of room and no age takes, and whether they are all here.
 *
 * Rule 1: an image is all that it consists of (closure.ts), by its tag as it is now: looked up anew every `lookMs`, and
 *   what the tag was before is pinned no more.
 * Rule 2: what was looked up last counts for as long as it cannot be looked up again, over a restart as well: nothing of a
 *   pin goes because the index does not answer.
 * Rule 3: a pin keeps what is here; what lacks is told, and of an agent's images fetched (fetching.ts).
 * Rule 4: pins of the configuration stay as long as it; others are added and removed while the process runs (added.ts).
 * Rule 5: who asks to remove a blob by name removes it, pinned or not.
 */

import { join } from 'node:path';
import { ApiError } from '../../../core/contracts/errors.ts';
import { type PinStatus, pinsMax } from '../../../core/contracts/pins.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { repositoryMatches } from '../../../core/oci/pattern.ts';
import { type Pin, parsePin } from '../../../core/oci/pins.ts';
import { CallContext } from '../../clients/context.ts';
import type { IndexClient } from '../../clients/index-client.ts';
import { RememberedFile, rememberedBytesMax } from '../../members/remembered.ts';
import type { LineLog } from '../../telemetry/log.ts';
import { wait } from '../scrub/pace.ts';
import { AddedPins } from './added.ts';
import { closureOf, type ReadManifest, type Sized } from './closure.ts';
import { type FetchPinned, PinFetching, type PinnedImage } from './fetching.ts';

/** How often tags are looked up. */
const lookMsDefault = 60_000;
/** Of one pattern of repositories. */
const tagsMax = 1_000;
const pageEntries = 1_000;
/** Of the file of what was found: beside the pins. */
const fileBytesSpare = 1_024;
/** Of all pins together: what a start is told must fit in the file (512 KiB), and a lookup costs nothing. */
export const pinnedMax = 4_000;

export type PinsIndex = Pick<IndexClient, 'catalog' | 'tag' | 'tags'>;
export type PinsOptions = {
  /** The data directory. */
  readonly dir: string;
  readonly budgetBytes: number;
  /** undefined: digests only can be pinned. */
  readonly index: PinsIndex | undefined;
  readonly read: ReadManifest;
  /** undefined: images are pinned for every platform. */
  readonly architecture: string | undefined;
  /** Bytes of a blob that is here, whole. */
  readonly here: (digest: Digest) => number | undefined;
  /** Of an origin: what it is to hold. The rest of a pin is others'. Default: all. */
  readonly wanted?: (digest: Digest) => boolean;
  /** How what lacks of an image is fetched; default: it is not. */
  readonly fetch?: FetchPinned | undefined;
  readonly log: LineLog;
  /** What cannot be removed here. */
  readonly configured: readonly string[];
  readonly lookMs?: number;
};

type Found = { blobs: readonly Sized[]; problem: string | undefined };
type Remembered = { readonly pins: { readonly [pin: string]: readonly Sized[] } };

/** Which digests are pinned, from the first moment on; `begin` looks them up. */
export class PinSet {
  readonly #named = new Map<string, Pin>();
  readonly #found = new Map<string, Found>();
  #digests = new Set<Digest>();

  constructor(pins: readonly string[]) {
    for (const text of pins) this.name(text);
  }

  /** False: it is no pin. */
  name(text: string): boolean {
    const pin = parsePin(text);
    if (pin === undefined || this.#named.has(text)) return pin !== undefined;
    this.#named.set(text, pin);
    if (pin.kind === 'digest') this.set(text, { blobs: [{ digest: pin.digest, size: 0 }], problem: undefined });
    return true;
  }

  unname(text: string): void {
    this.#named.delete(text);
    this.#found.delete(text);
    this.#count();
  }

  get named(): ReadonlyMap<string, Pin> {
    return this.#named;
  }

  has(digest: Digest): boolean {
    return this.#digests.has(digest);
  }

  get(pin: string): Found | undefined {
    return this.#found.get(pin);
  }

  /** Nothing where it was removed meanwhile. */
  set(pin: string, found: Found): void {
    if (!this.#named.has(pin)) return;
    this.#found.set(pin, found);
    this.#count();
  }

  #count(): void {
    const all = new Set<Digest>();
    for (const { blobs } of this.#found.values()) for (const { digest } of blobs) all.add(digest);
    this.#digests = all;
  }

  /** Blobs of all pins; one of several pins counts for each. */
  get listed(): number {
    let listed = 0;
    for (const { blobs } of this.#found.values()) listed += blobs.length;
    return listed;
  }

  /** Each once, with its size as far as it is known. */
  sizes(): ReadonlyMap<Digest, number> {
    const sizes = new Map<Digest, number>();
    for (const { blobs } of this.#found.values())
      for (const { digest, size } of blobs) sizes.set(digest, Math.max(size, sizes.get(digest) ?? 0));
    return sizes;
  }
}

export class Pins {
  readonly #o: PinsOptions;
  readonly #set: PinSet;
  readonly #file: RememberedFile<Remembered>;
  readonly #ending = new AbortController();
  readonly #added: AddedPins;
  readonly #fetching: PinFetching | undefined;
  readonly #running: Promise<void>;
  /** Pins that were not looked up yet. */
  #news = Promise.withResolvers<void>();

  /** Begins. */
  constructor(set: PinSet, o: PinsOptions) {
    this.#o = o;
    this.#set = set;
    this.#added = new AddedPins(o.dir, o.log);
    const fetching = {
      here: (digest: Digest) => o.here(digest) !== undefined,
      fits: () => this.problems().length === 0,
      ...{ log: o.log, signal: this.#ending.signal },
    };
    this.#fetching = o.fetch && new PinFetching({ ...fetching, bring: o.fetch });
    const file = join(o.dir, 'pins');
    this.#file = new RememberedFile({ file, what: 'pins', usable: rememberedOf, log: o.log });
    this.#running = this.#run();
  }

  status(): PinStatus[] {
    return [...this.#set.named.keys()].map((pin) => {
      const { blobs = [], problem } = this.#set.get(pin) ?? { problem: 'it was not looked up yet' };
      const sized = blobs.filter(this.#wanted).map(({ digest, size }) => ({ size, ...this.#sizeOf(digest) }));
      const lacking = sized.filter(({ whole }) => !whole);
      const complete = problem === undefined && blobs.length > 0 && lacking.length === 0;
      return {
        pin,
        complete,
        blobs: sized.length,
        bytes: sum(sized),
        lacking: lacking.length,
        lackingBytes: sum(lacking),
        ...(problem !== undefined && { problem }),
      };
    });
  }

  /** ApiError REQUEST_INVALID, UNAVAILABLE. */
  async add(pin: string): Promise<void> {
    if (parsePin(pin) === undefined)
      throw new ApiError('REQUEST_INVALID', `'${pin}' is no digest, no repository:tag and no pattern of repositories`);
    if (this.#set.named.has(pin)) return;
    if (this.#set.named.size >= pinsMax)
      throw new ApiError('REQUEST_INVALID', `there are ${pinsMax} pins already: remove one first`);
    await this.#added.change((pins) => [...new Set([...pins, pin])]);
    this.#set.name(pin);
    this.#news.resolve();
  }

  /** ApiError REQUEST_INVALID, UNAVAILABLE. */
  async remove(pin: string): Promise<void> {
    if (!this.#added.has(pin)) {
      const why = this.#set.named.has(pin) ? 'is of the configuration: remove it there' : 'is no pin here';
      throw new ApiError('REQUEST_INVALID', `'${pin}' ${why}`);
    }
    await this.#added.change((pins) => pins.filter((one) => one !== pin));
    if (!this.#o.configured.includes(pin)) this.#set.unname(pin);
  }

  readonly #wanted = ({ digest }: Sized): boolean => this.#o.wanted?.(digest) ?? true;

  #sizeOf(digest: Digest): { whole: boolean; size?: number } {
    const size = this.#o.here(digest);
    return size === undefined ? { whole: false } : { whole: true, size };
  }

  /** What an operator is to see to. */
  problems(): string[] {
    const all = [...this.#set.sizes()].map(([digest, size]) => ({ digest, size }));
    const sizes = all.filter(this.#wanted).map(({ digest, size }) => this.#sizeOf(digest).size ?? size);
    const bytes = sizes.reduce((total, size) => total + size, 0);
    if (bytes <= this.#o.budgetBytes) return [];
    return [
      `the pins are of ${bytes} bytes, more than the budget of ${this.#o.budgetBytes}: raise it, or pin less; nothing else is kept meanwhile`,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await this.#fetching?.ended();
    await this.#file[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    try {
      for (const pin of await this.#added.read()) if (this.#set.named.size < pinsMax) this.#set.name(pin);
      const before = await this.#file.read();
      for (const [pin, blobs] of Object.entries(before?.pins ?? {}))
        if (this.#set.named.has(pin) && this.#set.get(pin) === undefined)
          this.#set.set(pin, { blobs, problem: undefined });
      const ended = wait(2 ** 31 - 1, signal);
      ended.catch(() => undefined);
      for (;;) {
        await this.#look();
        const { promise: news } = this.#news;
        // Where nothing is pinned nothing is to be done until something is.
        await Promise.race([news, this.#set.named.size === 0 ? ended : wait(this.#o.lookMs ?? lookMsDefault, signal)]);
        signal.throwIfAborted();
      }
    } catch (error) {
      if (!signal.aborted)
        this.#o.log.error({ err: error }, 'pins are not looked up any more: what was found last counts');
    }
  }

  async #look(): Promise<void> {
    const { log } = this.#o;
    this.#news = Promise.withResolvers<void>();
    for (const [text, pin] of this.#set.named) {
      const before = this.#set.get(text);
      if (pin.kind === 'digest') continue;
      const found = await this.#find(pin, before?.blobs ?? []);
      this.#ending.signal.throwIfAborted();
      if (found.problem !== undefined && found.problem !== before?.problem)
        log.warn({ pin: text, why: found.problem }, 'a pin cannot be looked up: what was found last counts');
      this.#set.set(text, found);
    }
    if (this.#set.named.size > 0) this.#file.write({ pins: Object.fromEntries(this.#fitting()) });
    this.#fetching?.begin([...this.#images()]);
  }

  *#images(): Generator<PinnedImage, undefined> {
    for (const [text, pin] of this.#set.named) {
      const blobs = this.#set.get(text)?.blobs.filter(this.#wanted) ?? [];
      if (pin.kind === 'image' && blobs.length > 0) yield { pin: text, repo: pin.repo, blobs };
    }
    return undefined;
  }

  /** Of what was found, what the next start reads: what is too long for the file is looked up anew then. */
  #fitting(): [string, readonly Sized[]][] {
    let bytes = fileBytesSpare;
    return [...this.#set.named.keys()].flatMap((pin): [string, readonly Sized[]][] => {
      const blobs = this.#set.get(pin)?.blobs ?? [];
      const more = JSON.stringify([pin, blobs]).length;
      if (bytes + more > rememberedBytesMax) return [];
      bytes += more;
      return [[pin, blobs]];
    });
  }

  async #find(pin: Exclude<Pin, { kind: 'digest' }>, before: readonly Sized[]): Promise<Found> {
    const ctx = CallContext.begin({ signal: this.#ending.signal });
    const blobs = new Map<Digest, Sized>();
    const others = this.#set.listed - before.length;
    const problems: string[] = [];
    try {
      for (const { repo, tag } of await this.#tagged(pin, ctx)) {
        for (const one of (await this.#image(repo, tag, ctx).catch(
          (error: Error) => void problems.push(error.message),
        )) ?? [])
          blobs.set(one.digest, one);
        if (others + blobs.size > pinnedMax)
          throw new Error(`with the others it is of more than ${pinnedMax} blobs: pin less`);
      }
    } catch (error) {
      problems.push((error as Error).message);
    }
    const [problem] = problems;
    if (problem === undefined) return { blobs: [...blobs.values()], problem };
    return { blobs: before.length > 0 || others + blobs.size > pinnedMax ? before : [...blobs.values()], problem };
  }

  async #image(repo: string, tag: string, ctx: CallContext): Promise<Sized[]> {
    const root = await this.#o.index?.tag(repo, tag, ctx);
    if (root === undefined) throw new Error(`there is no ${repo}:${tag}`);
    return await closureOf({ repo, root, architecture: this.#o.architecture }, this.#o.read);
  }

  async #tagged(pin: Exclude<Pin, { kind: 'digest' }>, ctx: CallContext): Promise<{ repo: string; tag: string }[]> {
    const { index } = this.#o;
    if (index === undefined) throw new Error('images are looked up at the index: name it in `index`');
    if (pin.kind === 'image') return [pin];
    const images: { repo: string; tag: string }[] = [];
    for await (const repo of pages((last) => index.catalog({ n: pageEntries, last }, ctx), 'repositories')) {
      if (!repositoryMatches([pin.pattern], repo)) continue;
      for await (const tag of pages((last) => index.tags(repo, { n: pageEntries, last }, ctx), 'tags')) {
        images.push({ repo, tag });
        if (images.length > tagsMax) throw new Error(`it is of more than ${tagsMax} tags: pin less`);
      }
    }
    return images;
  }
}

async function* pages<K extends string>(
  page: (last: string | undefined) => Promise<{ readonly [key in K]: readonly string[] } & { readonly more: boolean }>,
  key: K,
): AsyncGenerator<string, void, undefined> {
  for (let last: string | undefined; ; ) {
    const { more, ...found } = await page(last);
    const names = found[key as Exclude<K, 'more'>] as readonly string[];
    yield* names;
    last = names.at(-1);
    if (!more || last === undefined) return;
  }
}

function sum(blobs: readonly { readonly size: number }[]): number {
  return blobs.reduce((total, { size }) => total + size, 0);
}

function rememberedOf({ pins }: { readonly [key: string]: unknown }): Remembered | undefined {
  if (typeof pins !== 'object' || pins === null) return undefined;
  const usable = Object.entries(pins as Record<string, unknown>).map(([pin, blobs]) => [
    pin,
    (Array.isArray(blobs) ? blobs : []).filter(
      ({ digest, size }) =>
        typeof digest === 'string' && parseDigest(digest) !== undefined && Number.isSafeInteger(size),
    ) as Sized[],
  ]);
  return { pins: Object.fromEntries(usable) };
}
