/** A backend in memory, for tests and for trying things out: it forgets everything when its process ends. */

import { createHash } from 'node:crypto';
import type { Digest } from '../../core/digest.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type LoadedObject,
  type ObjectSource,
  pageKeysMax,
  smallBytesMax,
  type WriteCondition,
} from './backend.ts';

type Stored = { readonly bytes: Uint8Array; readonly about: BackendObject };
const chunkBytes = 64 * 1024;

export class MemoryBackend implements Backend {
  readonly kind = 'memory';
  readonly can = { conditions: true, list: true, writes: true, records: true };
  readonly proves = 'answered';
  readonly name: string;
  readonly #objects = new Map<string, Stored>();
  #versions = 0;

  constructor(name: string) {
    this.name = name;
  }

  async probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    signal.throwIfAborted();
    return this.#objects.get(key)?.about;
  }

  async load(key: string, signal: AbortSignal): Promise<LoadedObject | undefined> {
    signal.throwIfAborted();
    const found = this.#objects.get(key);
    return found && { bytes: Uint8Array.from(found.bytes), version: found.about.version };
  }

  async *read(key: string, { start, end, version }: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const found = this.#objects.get(key);
    if (found === undefined) throw new BackendError('missing', `${this.name}: there is no object ${key}`);
    if (version !== undefined && version !== found.about.version)
      throw new BackendError('changed', `${this.name}: ${key} was written anew since its reading began: begin again`);
    if (end > found.bytes.length)
      throw new BackendError('damaged', `${this.name}: ${key} has ${found.bytes.length} bytes, not ${end}`);
    for (let at = start; at < end; at += chunkBytes) {
      signal.throwIfAborted();
      yield found.bytes.subarray(at, Math.min(end, at + chunkBytes));
    }
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const { size, digest } = source;
    const parts: Uint8Array[] = [];
    for await (const chunk of source.read(0, size, signal)) parts.push(Uint8Array.from(chunk));
    signal.throwIfAborted();
    const bytes = new Uint8Array(Buffer.concat(parts));
    const [algorithm = '', hex = ''] = digest.split(':');
    if (bytes.length !== size || createHash(algorithm).update(bytes).digest('hex') !== hex)
      throw new BackendError('damaged', `${this.name}: the bytes to be written as ${key} are not those of ${digest}`);
    return this.#set(key, bytes, digest);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    signal.throwIfAborted();
    if (bytes.length > smallBytesMax)
      throw new BackendError(
        'refused',
        `${this.name}: ${key} has more than ${smallBytesMax} bytes: it is to be written, not put`,
      );
    const there = this.#objects.get(key)?.about.version ?? null;
    if (condition !== undefined && condition.version !== there)
      throw new BackendError('changed', `${this.name}: ${key} was written by somebody else meanwhile: read it again`);
    return this.#set(key, Uint8Array.from(bytes), undefined);
  }

  async list(
    prefix: string,
    { after = '', max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    signal.throwIfAborted();
    const keys = [...this.#objects.keys()]
      .filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
      .sort((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
    const count = Math.min(max, pageKeysMax);
    const objects = keys.slice(0, count).map((key) => ({ key, size: this.#objects.get(key)?.about.size ?? 0 }));
    return { objects, next: keys.length > count ? objects.at(-1)?.key : undefined };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#objects.delete(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#objects.clear();
  }

  #set(key: string, bytes: Uint8Array, digest: Digest | undefined): BackendObject {
    const about = { size: bytes.length, digest, version: String(++this.#versions) };
    this.#objects.set(key, { bytes, about });
    return about;
  }
}
