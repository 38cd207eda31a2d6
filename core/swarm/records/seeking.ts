/** How a blob looks for neighbours: whom it may try, who tried us, and for how long nobody has had anything. */

import type { PeerAddress } from '../../wire/messages.ts';
import { openersMax } from '../limits.ts';

export type Candidate = { readonly address: PeerAddress; readonly notBeforeMs: number; readonly failures: number };

/** How long nobody has had anything for us. */
export type Starving = {
  /** When this round began, and what was held then. */
  readonly sinceMs: number;
  readonly held: number;
  /** Rounds that brought nothing; 0: we do not starve. */
  readonly rounds: number;
  /** Openings beyond the degree that are left in this round. */
  readonly openings: number;
};

/**
 * Who opened a blob at a full origin and could not stay: named to the next ones that cannot, since they look for
 * neighbours as well. Everybody comes to an origin first where no tracker answers, so they are spread over all hosts.
 */
export class Openers {
  readonly #latest: { address: PeerAddress; atMs: number }[] = [];
  #next = 0;

  add(address: PeerAddress, nowMs: number): void {
    if (address.port === 0) return;
    const known = this.#latest.find((one) => one.address.node === address.node);
    if (known !== undefined) {
      known.atMs = nowMs;
      return;
    }
    this.#latest[this.#next] = { address, atMs: nowMs };
    this.#next = (this.#next + 1) % openersMax;
  }

  /** Those that came lately. */
  since(ms: number): PeerAddress[] {
    return this.#latest.filter(({ atMs }) => atMs >= ms).map(({ address }) => address);
  }
}
