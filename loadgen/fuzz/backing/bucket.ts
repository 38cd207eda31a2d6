/**
 * What the backend of a run holds, told apart from what it says; with the peculiarities that its nature has.
 *
 * Rule: what it held once it goes on holding, as far as the cluster is judged: what the run itself spoils there, it mends
 *   before it expects anything of it.
 */

import { Bug } from '../../../core/assert.ts';
import type { Digest } from '../../../core/digest.ts';
import {
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  type WriteCondition,
} from '../../../platform/backends/backend.ts';
import { registryLayout } from '../../../platform/backends/layout.ts';
import { MemoryBackend } from '../../../platform/backends/memory.ts';
import { sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import type { Content } from '../content.ts';
import { flipped } from './lies.ts';
import type { Nature } from './nature.ts';
import { sender } from './way.ts';

type Held = { readonly content: Pick<Content, 'digest' | 'bytes'>; readonly sinceMs: number };

const never = new AbortController().signal;

export class Bucket extends MemoryBackend {
  /** Told of a link, or a record, that is written by the cluster, and what was there before. */
  onPut: (key: string, bytes: Uint8Array, before: Uint8Array | undefined) => void = () => undefined;
  override readonly can: Nature['can'];
  readonly #nature: Nature;
  readonly #nowMs: () => number;
  /** By key. */
  readonly #blobs = new Map<string, Held>();
  /** Keys that hold something else for a while. */
  readonly #spoilt = new Set<string>();
  /** Links, records: as the run looks at them. */
  readonly #small = new Map<string, Uint8Array>();
  /** When a key was there first. */
  readonly #sinceMs = new Map<string, number>();
  /** Bytes that were sent, by key. */
  readonly #sent = new Map<string, number>();

  constructor(nature: Nature, nowMs: () => number) {
    super('main');
    this.#nature = nature;
    this.can = nature.can;
    this.#nowMs = nowMs;
  }

  /** Since when it has the blob. Undefined: it has not got it. */
  sinceMs(digest: Digest): number | undefined {
    return this.#blobs.get(registryLayout.blobKey(digest))?.sinceMs;
  }

  get blobs(): readonly Digest[] {
    return [...this.#blobs.values()].map(({ content }) => content.digest);
  }

  /** A link, or a record. */
  small(key: string): Uint8Array | undefined {
    return this.#small.get(key);
  }

  sentOf(digest: Digest): number {
    return this.#sent.get(registryLayout.blobKey(digest)) ?? 0;
  }

  /** By others, before the run, whatever may be written there. */
  async seed(content: Pick<Content, 'digest' | 'bytes'>): Promise<void> {
    const key = registryLayout.blobKey(content.digest);
    await super.write(key, { ...sourceOf(content.bytes), digest: content.digest }, never);
    this.#noted(key, content);
  }

  async seedSmall(key: string, bytes: Uint8Array): Promise<void> {
    await super.put(key, bytes, never);
    this.#small.set(key, bytes);
    this.#appeared(key);
  }

  /** Other bytes take the blob's place, as many, until it is mended. False: they do already. */
  async spoil(digest: Digest): Promise<boolean> {
    const key = registryLayout.blobKey(digest);
    const held = this.#blobs.get(key);
    if (held === undefined || held.content.bytes.length === 0 || this.#spoilt.has(key)) return false;
    this.#spoilt.add(key);
    await super.write(key, sourceOf(held.content.bytes.map((byte) => byte ^ flipped)), never);
    return true;
  }

  async mend(digest?: Digest): Promise<void> {
    for (const key of digest === undefined ? [...this.#spoilt] : [registryLayout.blobKey(digest)]) {
      const held = this.#blobs.get(key);
      if (!this.#spoilt.delete(key) || held === undefined) continue;
      await super.write(key, { ...sourceOf(held.content.bytes), digest: held.content.digest }, never);
    }
  }

  override async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const found = await super.stat(key, signal);
    return found && this.#told(found);
  }

  override async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of super.read(key, range, signal)) {
      this.#sent.set(key, (this.#sent.get(key) ?? 0) + chunk.length);
      yield chunk;
    }
  }

  override async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    if (!this.can.writes) throw new Bug(`${key} is written to a backend that cannot be written to`);
    const parts: Uint8Array[] = [];
    const kept: ObjectSource = {
      ...source,
      async *read(start, end, reading) {
        for await (const chunk of source.read(start, end, reading)) {
          parts.push(Uint8Array.from(chunk));
          yield chunk;
        }
      },
    };
    const done = await super.write(key, kept, signal);
    this.#spoilt.delete(key);
    this.#noted(key, { digest: source.digest, bytes: new Uint8Array(Buffer.concat(parts)) });
    return this.#told(done);
  }

  override async put(key: string, bytes: Uint8Array, signal: AbortSignal, at?: WriteCondition): Promise<BackendObject> {
    if (!this.can.writes) throw new Bug(`${key} is put into a backend that cannot be written to`);
    if (!this.can.records && key.includes('/_shoal/')) throw new Bug(`a backend without records is given ${key}`);
    if (!this.can.conditions && at !== undefined) throw new Bug(`${key} is put on a condition that nobody heeds`);
    // It hung here, and whoever sent it died meanwhile: its connection ended, and it is not to come after those of the next.
    if (!this.can.conditions && sender.getStore()?.alive === false) return await new Promise<never>(() => undefined);
    const done = await super.put(key, bytes, signal, at);
    this.onPut(key, bytes, this.#small.get(key));
    this.#small.set(key, Uint8Array.from(bytes));
    this.#appeared(key);
    return done;
  }

  /** Pages of the keys that were there a while ago. */
  override async list(
    prefix: string,
    page: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    if (!this.can.list) throw new BackendError('unsupported', `${this.name} gives no lists`);
    const given = await super.list(prefix, page, signal);
    const oldMs = this.#nowMs() - this.#nature.listLagMs;
    const there = ({ key }: { key: string }): boolean => (this.#sinceMs.get(key) ?? 0) <= oldMs;
    return { ...given, objects: given.objects.filter(there) };
  }

  override async remove(key: string): Promise<void> {
    throw new Bug(`${key} is removed from a backend, from which nothing ever is`);
  }

  #told({ size, version, digest }: BackendObject): BackendObject {
    return this.#nature.digests ? { size, version, digest } : { size, version };
  }

  #noted(key: string, content: Held['content']): void {
    // Another name for the same bytes is none of ours.
    if (registryLayout.blobKey(content.digest) !== key) throw new Bug(`${content.digest} is written as ${key}`);
    this.#blobs.set(key, { content, sinceMs: this.#blobs.get(key)?.sinceMs ?? this.#nowMs() });
    this.#appeared(key);
  }

  #appeared(key: string): void {
    if (!this.#sinceMs.has(key)) this.#sinceMs.set(key, this.#nowMs());
  }
}
