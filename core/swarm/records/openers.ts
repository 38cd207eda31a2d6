/**
 * Who opened a blob at a full origin and could not stay: named to the next ones that cannot, since they look for
 * neighbours as well. Everybody comes to an origin first where no tracker answers, so they are spread over all hosts.
 */

import type { PeerAddress } from '../../wire/messages.ts';
import { openersMax } from '../limits.ts';

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
