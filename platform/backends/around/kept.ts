/**
 * What a rule forbids of a backend, whoever asks for it: `NothingRemoved` (`shared`) removes nothing, as others write there as well;
 * `ReadOnly` writes nothing, and its probe proves reading alone.
 */

import { type Backend, BackendError, type BackendRead } from '../backend.ts';
import { Around, type BackendCall, type Sending } from './around.ts';

const asItIs: Sending = (source) => source;

abstract class Forbidding extends Around {
  /** Why a call is not made; undefined: it is. */
  protected abstract whyNot(call: BackendCall): string | undefined;

  protected override async around<T>(
    call: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    const why = this.whyNot(call);
    if (why !== undefined) throw new BackendError('refused', `${this.name}: ${call.key} ${why}`);
    return await act(signal, asItIs);
  }

  override async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* this.inner.read(key, range, signal);
  }
}

export class NothingRemoved extends Forbidding {
  protected override whyNot({ operation }: BackendCall): string | undefined {
    if (operation !== 'remove') return undefined;
    return 'is not removed, since others write there as well (`shared: true`): whoever wrote it may remove it';
  }
}

export class ReadOnly extends Forbidding {
  override get can(): Backend['can'] {
    return { ...this.inner.can, writes: false };
  }

  override async probe(signal: AbortSignal): Promise<void> {
    if (this.inner.can.list) await this.inner.list('', { max: 1 }, signal);
    else await this.inner.stat('_shoal/probe', signal);
  }

  protected override whyNot({ operation }: BackendCall): string | undefined {
    if (operation !== 'write' && operation !== 'put' && operation !== 'remove') return undefined;
    return 'is not written, as the backend is `readOnly`: leave that out if it is to be';
  }
}
