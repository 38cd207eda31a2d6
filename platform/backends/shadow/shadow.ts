/**
 * Two backends, of which one is believed and the other one is tried out beside it: on the way from one to another, and
 * before one trusts a new one.
 *
 * Rule 1: answers are those of the one that is believed. Where it fails the call fails: the other's word is not taken for it.
 * Rule 2: writes go to both. Where `both` must have them, one that fails fails the write, which is then made again at both;
 *         else a failure of the other one is counted, and nothing more.
 * Rule 3: what is read of the one is read of the other as well, in the background, and compared: by existence and size at
 *         `stat`, by all bytes at `read`. Nobody waits for it; what there is no time for is counted as not compared.
 */

import { createHash } from 'node:crypto';
import { leastOf, type Proven } from '../../lifecycle/proof.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  type WriteCondition,
} from '../backend.ts';

/** Comparisons under way: each is a request to a backend that is only tried out. */
const comparingMax = 4;
/** Beyond it, a put that the other one failed is told as changed when it is made again, and its caller reads anew. */
const halfPutMax = 1_000;

export type ShadowOptions = {
  readonly name: string;
  readonly both: boolean;
  readonly metrics: Metrics;
  readonly log: Logger;
};

/** missing: the other one has not got it; extra: it has what is not there; size, bytes: they are not the same. */
type Difference = 'missing' | 'extra' | 'size' | 'bytes';

export class ShadowBackend implements Backend {
  readonly kind = 'shadow';
  readonly name: string;
  readonly #believed: Backend;
  readonly #other: Backend;
  readonly #options: ShadowOptions;
  readonly #compared;
  readonly #failures;
  readonly #end = new AbortController();
  /** Versions that we put at the one believed, and the other one failed to take. */
  readonly #halfPut = new Map<string, string>();
  #comparing = 0;

  constructor(believed: Backend, other: Backend, options: ShadowOptions) {
    this.name = options.name;
    this.#believed = believed;
    this.#other = other;
    this.#options = options;
    const { metrics } = options;
    this.#compared = metrics.counter('backend_shadow_compared_total', 'Answers of two backends, by how they compared', [
      'backend',
      'result',
    ]);
    this.#failures = metrics.counter(
      'backend_shadow_failures_total',
      'Requests that only the backend not believed failed',
      ['backend', 'operation'],
    );
  }

  get can(): Backend['can'] {
    return this.#believed.can;
  }

  get proves(): Proven {
    return leastOf([this.#believed, this.#other].map(({ proves = 'written' }) => proves));
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#atBoth('probe', (backend) => backend.probe(signal), signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const found = await this.#believed.stat(key, signal);
    this.#compare(key, async (ending) => {
      const there = await this.#other.stat(key, ending);
      if (found === undefined) return there === undefined ? undefined : 'extra';
      if (there === undefined) return 'missing';
      return there.size === found.size ? undefined : 'size';
    });
    return found;
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for await (const chunk of this.#believed.read(key, range, signal)) {
      hash.update(chunk);
      yield chunk;
    }
    const right = hash.digest('hex');
    this.#compare(key, async (ending) => {
      const there = createHash('sha256');
      // Its version is a matter of its own.
      const same = { start: range.start, end: range.end };
      try {
        for await (const chunk of this.#other.read(key, same, ending)) there.update(chunk);
      } catch (error) {
        const differs =
          error instanceof BackendError && (error.why === 'missing' ? 'missing' : error.why === 'damaged' && 'size');
        if (differs) return differs;
        throw error;
      }
      return there.digest('hex') === right ? undefined : 'bytes';
    });
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    return await this.#atBoth('write', (backend) => backend.write(key, source, signal), signal);
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    if (condition === undefined) return await this.#atBoth('put', (backend) => backend.put(key, bytes, signal), signal);
    const done = await this.#believed.put(key, bytes, signal, condition).catch(async (error: unknown) => {
      // Perhaps it is ours, of an attempt that the other one failed.
      const ours = error instanceof BackendError && error.why === 'changed' && (await this.#ours(key, bytes, signal));
      if (ours) return ours;
      throw error;
    });
    try {
      await this.#alsoAtOther('put', () => this.#other.put(key, bytes, signal), signal);
      this.#halfPut.delete(key);
    } catch (error) {
      if (this.#halfPut.size < halfPutMax) this.#halfPut.set(key, done.version);
      throw error;
    }
    return done;
  }

  list(prefix: string, page: { after?: string | undefined; max: number }, signal: AbortSignal): Promise<BackendPage> {
    return this.#believed.list(prefix, page, signal);
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.#atBoth('remove', (backend) => backend.remove(key, signal), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error('closed'));
    await Promise.all([this.#believed[Symbol.asyncDispose](), this.#other[Symbol.asyncDispose]()]);
  }

  /** What the one that is believed answers. */
  async #atBoth<T>(operation: string, act: (backend: Backend) => Promise<T>, signal: AbortSignal): Promise<T> {
    const other = this.#alsoAtOther(operation, () => act(this.#other), signal);
    other.catch(() => undefined);
    const answer = await act(this.#believed);
    await other;
    return answer;
  }

  async #alsoAtOther(operation: string, act: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (this.#options.both || signal.aborted) throw error;
      this.#failures.inc({ backend: this.name, operation });
      this.#options.log.warn({ err: error, backend: this.name }, 'the backend that is not believed failed');
    }
  }

  async #ours(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<BackendObject | undefined> {
    const version = this.#halfPut.get(key);
    const found = version === undefined ? undefined : await this.#believed.stat(key, signal);
    if (found === undefined || found.version !== version || found.size !== bytes.length) return undefined;
    const parts: Uint8Array[] = [];
    for await (const chunk of this.#believed.read(key, { start: 0, end: found.size, version }, signal))
      parts.push(Uint8Array.from(chunk));
    return Buffer.concat(parts).equals(bytes) ? found : undefined;
  }

  #compare(key: string, look: (signal: AbortSignal) => Promise<Difference | undefined>): void {
    const count = (result: string): void => this.#compared.inc({ backend: this.name, result });
    if (this.#comparing >= comparingMax) return count('not compared');
    this.#comparing += 1;
    const { log } = this.#options;
    look(this.#end.signal)
      .then(
        (difference) => {
          count(difference ?? 'same');
          if (difference !== undefined)
            log.warn({ backend: this.name, key, difference }, 'two backends do not hold the same');
        },
        (error: unknown) => {
          count('failed');
          log.debug({ err: error, backend: this.name, key }, 'two backends could not be compared');
        },
      )
      .finally(() => {
        this.#comparing -= 1;
      });
  }
}
