/**
 * A backend around another one that fails as real ones do: on purpose (`fail`), or by chance, the same for the same seed
 * (`sometimes`). `heal` ends all of it, and whatever hangs goes on. It notes every call.
 */

import type { Prng } from '../../core/prng.ts';
import {
  type Backend,
  type BackendCause,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  type WriteCondition,
} from './backend.ts';
import { bytesOf, sourceOf } from './objects.fixtures.ts';

export type Operation = 'probe' | 'stat' | 'read' | 'write' | 'put' | 'list' | 'remove';

/**
 * A cause: it throws that. hang: nothing comes. truncated, longer: a read ends quietly before its end, or goes on beyond.
 * foreign: a read gives another blob's bytes. size: `stat` tells another size. changes: the object becomes another one
 * while it is read, and the rest is the other's. lost: what is written is not there, though it was confirmed. applied:
 * it is done, and answered as `unavailable`.
 */
export type What =
  | BackendCause
  | ('hang' | 'truncated' | 'longer' | 'foreign' | 'size' | 'changes' | 'lost' | 'applied');

export type Fault = {
  readonly on: Operation | 'any';
  readonly what: What;
  /** Bytes that move before, of a read or a write. */
  readonly at?: number;
  /** How many calls it befalls. */
  readonly times?: number;
  /** Keys that have this in them. */
  readonly key?: string;
  readonly afterMs?: number;
};

export type Call = {
  readonly operation: Operation;
  readonly key: string;
  readonly start?: number;
  readonly end?: number;
};

const causes: readonly What[] = ['throttled', 'unavailable', 'credentials', 'stalled', 'denied'];
const chances: Readonly<Record<Operation, readonly What[]>> = {
  probe: ['hang', ...causes],
  stat: ['hang', 'size', ...causes],
  read: ['hang', 'truncated', 'longer', 'foreign', 'changed', ...causes],
  write: ['hang', 'lost', 'full', 'applied', ...causes],
  put: ['hang', 'applied', ...causes],
  list: ['hang', ...causes],
  remove: ['hang', ...causes],
};

export class FaultyBackend implements Backend {
  readonly calls: Call[] = [];
  /** Told of each fault that befalls a call. */
  befalls: (operation: Operation, what: What, key: string) => void = () => undefined;
  readonly #inner: Backend;
  #faults: { fault: Fault; left: number }[] = [];
  #chance: { readonly prng: Prng; readonly share: number } | undefined;
  #healed = Promise.withResolvers<void>();

  constructor(inner: Backend) {
    this.#inner = inner;
  }

  get name(): string {
    return this.#inner.name;
  }

  get kind(): string {
    return this.#inner.kind;
  }

  get can(): Backend['can'] {
    return this.#inner.can;
  }

  /** Befalls the next calls that it is for; several in the order in which they were given. */
  fail(...faults: readonly Fault[]): void {
    this.#faults.push(...faults.map((fault) => ({ fault, left: fault.times ?? 1 })));
  }

  /** From now on a call fails with the probability `share`, in some way. */
  sometimes(prng: Prng, share: number): void {
    this.#chance = { prng, share };
  }

  heal(): void {
    this.#faults = [];
    this.#chance = undefined;
    this.#healed.resolve();
    this.#healed = Promise.withResolvers();
  }

  count(operation: Operation, key = ''): number {
    return this.calls.filter((call) => call.operation === operation && call.key.includes(key)).length;
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#begin({ operation: 'probe', key: '' }, signal);
    await this.#inner.probe(signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const fault = await this.#begin({ operation: 'stat', key }, signal);
    const found = await this.#inner.stat(key, signal);
    return found !== undefined && fault?.what === 'size' ? { ...found, size: found.size + 1 + (fault.at ?? 0) } : found;
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const fault = this.#drawn({ operation: 'read', key, start: range.start, end: range.end });
    let left = fault === undefined ? Number.POSITIVE_INFINITY : (fault.at ?? 0);
    if (fault !== undefined && left === 0) await this.#befall(fault, key, signal);
    for await (const chunk of this.#inner.read(key, range, signal)) {
      if (chunk.length < left) {
        left -= chunk.length;
        yield chunk;
        continue;
      }
      if (left > 0) yield chunk.subarray(0, left);
      if (fault === undefined) continue;
      const rest = chunk.subarray(left);
      left = Number.POSITIVE_INFINITY;
      if ((fault.at ?? 0) > 0) await this.#befall(fault, key, signal);
      if (fault.what === 'truncated') return;
      if (fault.what === 'changes')
        return yield* this.#changed(key, range, { from: range.start + (fault.at ?? 0), signal });
      yield fault.what === 'foreign' ? rest.map((byte) => byte ^ 0x55) : rest;
    }
    if (fault?.what === 'longer') yield new Uint8Array(1000);
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const fault = this.#drawn({ operation: 'write', key, start: 0, end: source.size });
    const at = Math.min(fault?.at ?? 0, source.size);
    const befall = (): Promise<void> | undefined => fault && this.#befall(fault, key, signal);
    if (at === 0) await befall();
    if (fault?.what === 'lost') return { size: source.size, digest: source.digest, version: 'lost' };
    const given: ObjectSource = {
      ...source,
      async *read(start, end, reading) {
        for await (const chunk of source.read(start, end, reading)) {
          yield chunk;
          start += chunk.length;
          if (at > 0 && start >= at) await befall();
        }
      },
    };
    return this.#answer(fault, key, await this.#inner.write(key, given, signal));
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    const fault = await this.#begin({ operation: 'put', key, start: 0, end: bytes.length }, signal);
    return this.#answer(fault, key, await this.#inner.put(key, bytes, signal, condition));
  }

  async list(
    prefix: string,
    page: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    await this.#begin({ operation: 'list', key: prefix }, signal);
    return this.#inner.list(prefix, page, signal);
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.#begin({ operation: 'remove', key }, signal);
    await this.#inner.remove(key, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal();
    await this.#inner[Symbol.asyncDispose]();
  }

  async #begin(call: Call, signal: AbortSignal): Promise<Fault | undefined> {
    const fault = this.#drawn(call);
    if (fault !== undefined) await this.#befall(fault, call.key, signal);
    return fault;
  }

  #drawn(call: Call): Fault | undefined {
    this.calls.push(call);
    const { operation, key } = call;
    const planned = this.#faults.find(
      ({ fault, left }) =>
        left > 0 &&
        (fault.on === 'any' || fault.on === operation) &&
        (fault.key === undefined || key.includes(fault.key)),
    );
    if (planned !== undefined) {
      planned.left -= 1;
      this.befalls(operation, planned.fault.what, key);
      return planned.fault;
    }
    if (this.#chance === undefined || this.#chance.prng.unit() >= this.#chance.share) return undefined;
    const { prng } = this.#chance;
    const whats = chances[operation];
    const bytes = (call.end ?? 0) - (call.start ?? 0);
    const at = bytes > 0 ? prng.below(Math.min(bytes, 2 ** 30)) : 0;
    const what = whats[prng.below(whats.length)] as What;
    this.befalls(operation, what, key);
    return { on: operation, what, at: prng.below(2) === 0 ? 0 : at };
  }

  async #befall({ what, afterMs, at = 0 }: Fault, key: string, signal: AbortSignal): Promise<void> {
    if (what === 'hang') return await this.#hang(signal);
    if (['truncated', 'longer', 'foreign', 'size', 'changes', 'lost', 'applied'].includes(what)) return;
    throw new BackendError(what as BackendCause, `${this.name}: ${key}: ${what}, on purpose, after ${at} bytes`, {
      afterMs,
    });
  }

  async #hang(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      await Promise.race([this.#healed.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #answer(fault: Fault | undefined, key: string, done: BackendObject): BackendObject {
    if (fault?.what !== 'applied') return done;
    throw new BackendError('unavailable', `${this.name}: ${key}: done, but not answered, on purpose`);
  }

  /** Another object of the same length takes its place. */
  async *#changed(key: string, { end }: BackendRead, { from, signal }: { from: number; signal: AbortSignal }) {
    const there = (await this.#inner.stat(key, signal)) ?? { size: 0 };
    const before = await bytesOf(this.#inner.read(key, { start: 0, end: there.size }, signal));
    const after = sourceOf(before.map((byte) => byte ^ 0x55));
    await this.#inner.write(key, after, signal);
    yield* this.#inner.read(key, { start: from, end }, signal);
  }
}
