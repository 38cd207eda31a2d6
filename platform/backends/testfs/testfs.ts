/**
 * Kraken's example file server as a backend: for its example clusters, and to move from one.
 *
 * Rule 1: the server writes a file in its place, so bytes are compared with their digest before any is sent, and read back
 *         afterwards. A transfer that is cut leaves half an object there until it is written again: whoever reads a blob
 *         compares its digest.
 * Rule 2: it tells nothing of a file but its size. The version of a small one is its content's; of a large one its size.
 */

import { createHash } from 'node:crypto';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  pageKeysMax,
  smallBytesMax,
  type WriteCondition,
} from '../backend.ts';
import type { Opening } from '../kind.ts';
import type { TestfsSettings } from './config.ts';
import { TestfsRequests } from './requests.ts';

/** Tags, links and records are: they change, and to read one costs as much as to ask for its size. */
const contentBytesMax = 16 * 1024;
/** HEAD requests at once, for the sizes of a list. */
const sizesAtOnce = 16;

export class TestfsBackend implements Backend {
  readonly kind = 'testfs';
  readonly name: string;
  readonly can = { conditions: false, list: true, writes: true, records: true };
  readonly proves = 'answered';
  readonly #requests: TestfsRequests;

  constructor(settings: TestfsSettings, opening: Omit<Opening, 'metrics' | 'log'>) {
    this.name = opening.name;
    this.#requests = new TestfsRequests(settings, opening);
  }

  /** Nothing is written, as nothing can be removed. */
  async probe(signal: AbortSignal): Promise<void> {
    await this.#requests.alive(signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const size = await this.#requests.size(key, { doing: 'look up', signal });
    if (size === undefined) return undefined;
    return { size, version: size > contentBytesMax ? `${size}` : await this.#contentVersion(key, signal) };
  }

  async *read(key: string, { start, end, version }: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const found = await this.stat(key, signal);
    if (found === undefined) throw new BackendError('missing', `${this.name}: ${key}: there is no such object`);
    if (version !== undefined && version !== found.version)
      throw new BackendError('changed', `${this.name}: ${key} was written anew since its reading began: begin again`);
    if (end > found.size) throw new BackendError('damaged', `${this.name}: ${key} has ${found.size} bytes, not ${end}`);
    if (start === end) return;
    const answer = await this.#requests.get(key, { doing: 'read', signal });
    let at = 0;
    for await (const chunk of answer.body()) {
      const some = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
      at += chunk.length;
      if (some.length > 0) yield some;
      if (at >= end) return;
    }
    throw answer.wrong('damaged', `the answer ended ${end - at} bytes early`, 'it is read again');
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const { size, digest } = source;
    signal.throwIfAborted();
    if ((await sumOf(source.read(0, size, signal), digest)) !== `${size} ${digest}`)
      throw new BackendError('damaged', `${this.name}: the bytes to be written as ${key} are not those of ${digest}`);
    await this.#requests.post(key, { size, chunks: source.read(0, size, signal) }, signal);
    const answer = await this.#requests.get(key, { doing: 'read back', signal });
    if ((await sumOf(answer.body(), digest)) !== `${size} ${digest}`)
      throw new BackendError('damaged', `${this.name}: ${key} was written and is not there as it was: write it again`);
    return { size, digest, version: size > contentBytesMax ? `${size}` : digest };
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    if (condition !== undefined)
      throw new BackendError(
        'unsupported',
        `${this.name}: ${key} cannot be written under a condition: this kind of server has none`,
      );
    if (bytes.length > smallBytesMax)
      throw new BackendError(
        'refused',
        `${this.name}: ${key} has more than ${smallBytesMax} bytes: it is to be written, not put`,
      );
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const;
    const read = async function* (): AsyncGenerator<Uint8Array> {
      if (bytes.length > 0) yield bytes;
    };
    const { size, version } = await this.write(
      key,
      { size: bytes.length, digest: digest as ObjectSource['digest'], read },
      signal,
    );
    return { size, version };
  }

  async list(
    prefix: string,
    { after = '', max }: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const slash = prefix.lastIndexOf('/');
    const all = await this.#requests.below(slash < 0 ? '' : prefix.slice(0, slash), signal);
    const wanted = all.filter((key) => key.startsWith(prefix) && byBytes(key, after) > 0).toSorted(byBytes);
    const keys = wanted.slice(0, Math.min(max, pageKeysMax));
    const objects: { key: string; size: number }[] = [];
    for (let at = 0; at < keys.length; at += sizesAtOnce) {
      const some = keys.slice(at, at + sizesAtOnce);
      const sizes = await Promise.all(some.map((key) => this.#requests.size(key, { doing: 'look up', signal })));
      for (const [i, size] of sizes.entries()) if (size !== undefined) objects.push({ key: some[i] ?? '', size });
    }
    return { objects, next: wanted.length > keys.length ? keys.at(-1) : undefined };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    if ((await this.#requests.size(key, { doing: 'remove', signal })) === undefined) return;
    throw new BackendError(
      'unsupported',
      `${this.name}: ${key} cannot be removed: this kind of server removes nothing`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#requests[Symbol.dispose]();
  }

  async #contentVersion(key: string, signal: AbortSignal): Promise<string> {
    const answer = await this.#requests.get(key, { doing: 'look up', signal });
    const hash = createHash('sha256');
    for await (const chunk of answer.body()) hash.update(chunk);
    return `sha256:${hash.digest('hex')}`;
  }
}

/** How many bytes, and their digest by the algorithm of `digest`. */
async function sumOf(chunks: AsyncIterable<Uint8Array>, digest: string): Promise<string> {
  const [algorithm = ''] = digest.split(':');
  const hash = createHash(algorithm);
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    hash.update(chunk);
  }
  return `${size} ${algorithm}:${hash.digest('hex')}`;
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
