/** A backend whose requests are counted: how many ended how, how long they took, and how many bytes moved. */

import type { Clock } from '../../net/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type Backend, BackendError, type BackendRead, type ObjectSource } from '../backend.ts';
import { Around, type BackendCall, type Sending } from './around.ts';

export type CountedOptions = { readonly metrics: Metrics; readonly clock: Clock };

export class Counted extends Around {
  readonly #clock: Clock;
  readonly #requests;
  readonly #seconds;
  readonly #bytes;

  constructor(inner: Backend, { metrics, clock }: CountedOptions) {
    super(inner);
    this.#clock = clock;
    this.#requests = metrics.counter('backend_requests_total', 'Requests to backends, by how they ended', [
      'backend',
      'operation',
      'outcome',
    ]);
    this.#seconds = metrics.histogram('backend_request_seconds', 'Duration of requests to backends, seconds', [
      'backend',
      'operation',
    ]);
    this.#bytes = metrics.counter('backend_bytes_total', 'Bytes of objects sent to and received from backends', [
      'backend',
      'direction',
    ]);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const down = this.#bytes.labels({ backend: this.name, direction: 'down' });
    const end = this.#begin({ operation: 'read', key }, signal);
    let outcome = 'left';
    try {
      for await (const chunk of this.inner.read(key, range, signal)) {
        down.inc(chunk.length);
        yield chunk;
      }
      outcome = 'ok';
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      end(outcome);
    }
  }

  protected async around<T>(
    call: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    const end = this.#begin(call, signal);
    try {
      const answer = await act(signal, (source) => this.#sending(source));
      end('ok');
      return answer;
    } catch (error) {
      end(outcomeOf(error));
      throw error;
    }
  }

  #begin({ operation }: BackendCall, signal: AbortSignal): (outcome: string) => void {
    const begunMs = this.#clock.nowMs();
    return (outcome) => {
      const ended = signal.aborted && outcome !== 'ok' ? 'left' : outcome;
      this.#requests.inc({ backend: this.name, operation, outcome: ended });
      this.#seconds.observe({ backend: this.name, operation }, (this.#clock.nowMs() - begunMs) / 1000);
    };
  }

  #sending(source: ObjectSource): ObjectSource {
    const up = this.#bytes.labels({ backend: this.name, direction: 'up' });
    return {
      ...source,
      async *read(start, end, signal) {
        for await (const chunk of source.read(start, end, signal)) {
          up.inc(chunk.length);
          yield chunk;
        }
      },
    };
  }
}

/** `left`: its caller went; `other`: the caller's own source failed. */
function outcomeOf(error: unknown): string {
  return error instanceof BackendError ? error.why : 'other';
}
