/**
 * Trying again, for a client that a person waits for: as long as something moves now and then, never for ever.
 *
 * Rule 1: only what another try can change is tried again: no answer, busy, stalled, an error of theirs.
 * Rule 2: progress starts the clock anew; without any for `silenceMs`, the last error is the answer. Until something
 *         moved for the first time the limit may be shorter (`coldMs`): perhaps nothing runs there at all.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ErrorCode } from '../../../core/contracts/errors.ts';
import { backoffMs } from '../../../core/retry/retry.ts';

const AGAIN: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'SWARM_STALLED', 'TOOMANYREQUESTS', 'UNKNOWN']);
const backoff = { delayMs: 100, delayMsMax: 2_000 } as const;

export type PersistenceOptions = {
  readonly silenceMs: number;
  readonly coldMs?: number | undefined;
  readonly signal: AbortSignal;
  /** Told once for each time that it stopped moving. */
  readonly onRetry?: ((error: Error) => void) | undefined;
};

export class Persistence {
  readonly #options: PersistenceOptions;
  #attempts = 0;
  #moved = false;
  #quietSinceMs = performance.now();

  constructor(options: PersistenceOptions) {
    this.#options = options;
  }

  get signal(): AbortSignal {
    return this.#options.signal;
  }

  /** Something moved. */
  progress(): void {
    this.#moved = true;
    this.#attempts = 0;
    this.#quietSinceMs = performance.now();
  }

  /** Waits before the next try; rejects with `error` where there shall be none. */
  async again(error: unknown): Promise<void> {
    this.#options.signal.throwIfAborted();
    if (!(error instanceof ApiError) || !AGAIN.has(error.code)) throw error;
    const limitMs = this.#moved ? this.#options.silenceMs : (this.#options.coldMs ?? this.#options.silenceMs);
    if (performance.now() - this.#quietSinceMs > limitMs) throw error;
    this.#attempts += 1;
    if (this.#attempts === 1) this.#options.onRetry?.(error);
    await sleep(backoffMs(backoff, this.#attempts), undefined, { signal: this.#options.signal }).catch(() =>
      this.#options.signal.throwIfAborted(),
    );
  }

  /** `act` until it succeeds. */
  async run<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const value = await act();
        this.progress();
        return value;
      } catch (error) {
        await this.again(error);
      }
    }
  }
}
