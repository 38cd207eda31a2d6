/**
 * A backend that takes everything and has nothing, for measuring what is before it. Bytes are read and counted, since to
 * skip that would measure less than a push costs; nothing is ever found again.
 */

import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type ObjectSource,
  type WriteCondition,
} from './backend.ts';

export class NoopBackend implements Backend {
  readonly kind = 'noop';
  readonly can = { conditions: false, list: true, writes: true, records: true };
  readonly proves = 'answered';
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  async probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async stat(_key: string, signal: AbortSignal): Promise<undefined> {
    signal.throwIfAborted();
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give.
  async *read(key: string): AsyncGenerator<Uint8Array> {
    throw new BackendError('missing', `${this.name}: a noop backend keeps nothing, so there is no ${key}`);
  }

  async write(key: string, { size, digest, read }: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    let bytes = 0;
    for await (const chunk of read(0, size, signal)) bytes += chunk.length;
    signal.throwIfAborted();
    if (bytes !== size)
      throw new BackendError('damaged', `${this.name}: ${bytes} bytes came to be written as ${key}, not ${size}`);
    return { size, digest, version: 'none' };
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    signal.throwIfAborted();
    if (condition !== undefined)
      throw new BackendError('unsupported', `${this.name}: a noop backend keeps nothing to compare ${key} with`);
    return { size: bytes.length, version: 'none' };
  }

  async list(_prefix: string, _page: object, signal: AbortSignal): Promise<BackendPage> {
    signal.throwIfAborted();
    return { objects: [], next: undefined };
  }

  async remove(_key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
