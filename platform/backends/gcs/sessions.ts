/** Uploads that were cut off and may be gone on with: as long as this process lives, since nobody lists them. */

import type { ObjectSource } from '../backend.ts';
import { sessionMsMax, sessionsMax } from './limits.ts';

export type UploadSession = {
  /** Who has it may write: it is in no message. */
  readonly uri: string;
  readonly key: string;
  readonly size: number;
  readonly digest: string;
  readonly begunMs: number;
};

export class UploadSessions {
  readonly #kept = new Map<string, UploadSession>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** One of these bytes under this key. It is the caller's alone, until it is kept again. */
  take(key: string, { size, digest }: ObjectSource): UploadSession | undefined {
    const session = this.#kept.get(key);
    if (session === undefined) return undefined;
    this.#kept.delete(key);
    const usable = session.size === size && session.digest === digest && this.#nowMs() - session.begunMs < sessionMsMax;
    return usable ? session : undefined;
  }

  keep(session: UploadSession): void {
    this.#kept.delete(session.key);
    this.#kept.set(session.key, session);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > sessionsMax && oldest !== undefined) this.#kept.delete(oldest);
  }
}
