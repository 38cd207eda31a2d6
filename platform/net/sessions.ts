/**
 * TLS sessions with those that were dialled, so that the next connection to one needs no certificates read and no signatures.
 *
 * Rule: they are of one generation of credentials. With new ones, a renewed list of what is revoked among them, all are
 *       forgotten, as servers forget the keys of their tickets: so no session is older than what it is judged by.
 */

import type { OtherEnd } from './other-end.ts';

export type TlsSession = { readonly ticket: Buffer; readonly end: OtherEnd };

/** One is of about 2 KiB. An agent has to do with some tens of others at once. */
const sessionsMax = 512;

export class Sessions {
  readonly #kept = new Map<string, TlsSession>();

  /** With whom is dialled at `at`, as of the last connection there. */
  of(at: string): TlsSession | undefined {
    return this.#kept.get(at);
  }

  keep(at: string, session: TlsSession): void {
    this.#kept.delete(at);
    this.#kept.set(at, session);
    if (this.#kept.size <= sessionsMax) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  forget(): void {
    this.#kept.clear();
  }
}
