/**
 * A backend around another one: what counts, limits, watches and tries again, each a file beside this one.
 *
 * Rule: a wrapper says what it does around a call that has one answer (`around`) and around a read (`reading`), and of what
 *       kind the call is by `BackendCall`. Everything else is the inner one's.
 */

import type { Proven } from '../../lifecycle/proof.ts';
import type { Backend, BackendObject, BackendPage, BackendRead, ObjectSource, WriteCondition } from '../backend.ts';

export type BackendOperation = 'probe' | 'stat' | 'load' | 'read' | 'write' | 'put' | 'list' | 'remove';
export type BackendCall = { readonly operation: BackendOperation; readonly key: string };
/** Of a write: what the inner one reads the bytes from. */
export type Sending = (source: ObjectSource) => ObjectSource;

export abstract class Around implements Backend {
  protected readonly inner: Backend;

  constructor(inner: Backend) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get kind(): string {
    return this.inner.kind;
  }

  get can(): Backend['can'] {
    return this.inner.can;
  }

  get proves(): Proven | undefined {
    return this.inner.proves;
  }

  protected abstract around<T>(
    call: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T>;

  abstract read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array>;

  probe(signal: AbortSignal): Promise<void> {
    return this.around({ operation: 'probe', key: '' }, signal, (inner) => this.inner.probe(inner));
  }

  stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    return this.around({ operation: 'stat', key }, signal, (inner) => this.inner.stat(key, inner));
  }

  get load(): Backend['load'] {
    const load = this.inner.load?.bind(this.inner);
    return load && ((key, signal) => this.around({ operation: 'load', key }, signal, (inner) => load(key, inner)));
  }

  write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    return this.around({ operation: 'write', key }, signal, (inner, sending) =>
      this.inner.write(key, sending(source), inner),
    );
  }

  put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    return this.around({ operation: 'put', key }, signal, (inner) => this.inner.put(key, bytes, inner, condition));
  }

  list(prefix: string, page: { after?: string | undefined; max: number }, signal: AbortSignal): Promise<BackendPage> {
    return this.around({ operation: 'list', key: prefix }, signal, (inner) => this.inner.list(prefix, page, inner));
  }

  remove(key: string, signal: AbortSignal): Promise<void> {
    return this.around({ operation: 'remove', key }, signal, (inner) => this.inner.remove(key, inner));
  }

  /** No request is made: nothing of it is limited or counted. */
  get presign(): Backend['presign'] {
    const { inner } = this;
    return inner.presign && ((key, signal) => inner.presign?.(key, signal) as Promise<string>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner[Symbol.asyncDispose]();
  }
}
