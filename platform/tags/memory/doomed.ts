/** As sqlite/doomed.ts, in memory: the plain statement of it. */

import type { Digest } from '../../../core/digest.ts';
import {
  type Doomed,
  type DoomedAt,
  type DoomedClaims,
  type DoomedCounts,
  type DoomedTables,
  doomedPasses,
  lateMs,
} from '../doomed.ts';
import { condemnedMs } from '../store.ts';

type Row = {
  sinceMs: number;
  passes: number;
  claim: { readonly generation: number; readonly untilMs: number } | undefined;
};

export type MemoryDoomedHost = {
  readonly linked: (digest: Digest) => boolean;
  /** Another generation. */
  readonly next: () => number;
  /** It is condemned in that one. */
  readonly tell: (digest: Digest, generation: number, atMs: number) => void;
  /** Proofs before that one count no more. */
  readonly renew: (digest: Digest, generation: number) => void;
};

export class MemoryDoomed implements DoomedTables {
  readonly #rows = new Map<Digest, Row>();
  /** The clock by which claims end. */
  nowMs: () => number = Date.now;
  readonly #host: MemoryDoomedHost;
  #backends: readonly string[] = [];
  readonly #brought = new Set<string>();

  constructor(host: MemoryDoomedHost) {
    this.#host = host;
  }

  lost(digest: Digest, sinceMs: number): void {
    if (this.#backends.length > 0) this.#rows.set(digest, { sinceMs, passes: 0, claim: this.#rows.get(digest)?.claim });
  }

  saved(digest: Digest): void {
    if (this.#rows.get(digest)?.claim === undefined) this.#rows.delete(digest);
  }

  told(digest: Digest, nowMs: number): void {
    const row = this.#rows.get(digest);
    if (row === undefined || row.claim !== undefined || row.passes < doomedPasses) return;
    row.passes = doomedPasses - 1;
    row.sinceMs = nowMs;
  }

  refuses(digest: Digest, proof: number | undefined): number | undefined {
    const claim = this.#rows.get(digest)?.claim;
    if (claim === undefined) return undefined;
    if (claim.untilMs > this.nowMs()) return claim.generation;
    if (proof !== claim.generation) return undefined;
    const next = this.#host.next();
    this.#host.renew(digest, next);
    return next;
  }

  going(digests: readonly Digest[]): boolean {
    const rows = digests.flatMap((digest) => this.#rows.get(digest) ?? []);
    return rows.some(({ passes, claim }) => passes > 0 || claim !== undefined);
  }

  deletesFrom(backends: readonly string[]): void {
    this.#backends = backends;
  }

  broughtFrom(backend: string): void {
    this.#brought.add(backend);
  }

  broughtBackends(): string[] {
    return [...this.#brought].sort();
  }

  claimDoomed({ nowMs, beforeMs, untilMs, n }: DoomedAt): DoomedClaims {
    const old = ([, { sinceMs }]: readonly [Digest, Row]): boolean => sinceMs <= beforeMs;
    const linked = ([digest]: readonly [Digest, Row]): boolean => this.#host.linked(digest);
    const all = [...this.#rows];
    const over = all.filter((one) => (one[1].claim?.untilMs ?? Infinity) <= nowMs && (old(one) || linked(one)));
    const free = all.filter((one) => one[1].claim === undefined && old(one));
    for (const [digest, { passes, sinceMs }] of free)
      if (passes >= doomedPasses && sinceMs <= beforeMs - condemnedMs) this.#rows.delete(digest);
    const due = free.filter(([, { passes }]) => passes < doomedPasses).slice(0, n);
    for (const [digest] of due.filter(linked)) this.saved(digest);
    const generation = this.#host.next();
    const claims = [...over.slice(0, n), ...due]
      .filter((one) => !linked(one))
      .map(([digest, row]): Doomed => {
        this.#host.tell(digest, generation, nowMs);
        row.claim = { generation, untilMs };
        return { digest, generation };
      });
    return { claims, again: over.filter(linked).map(([digest]) => digest), more: due.length === n };
  }

  settleDoomed(claims: readonly Doomed[], gone: boolean, nowMs: number): Digest[] {
    const next = this.#host.next();
    return claims.flatMap(({ digest, generation }) => {
      if (this.#host.linked(digest)) return [digest];
      this.#host.renew(digest, next);
      const row = this.#rows.get(digest);
      if (row?.claim?.generation !== generation) return [];
      row.claim = undefined;
      if (gone) row.passes += 1;
      if (gone) row.sinceMs = nowMs;
      return [];
    });
  }

  savedDoomed(digests: readonly Digest[], nowMs: number): void {
    for (const digest of digests) {
      const over = (this.#rows.get(digest)?.claim?.untilMs ?? Infinity) <= nowMs - lateMs;
      if (over && this.#host.linked(digest)) this.#rows.delete(digest);
    }
  }

  doomedCounts(beforeMs: number): DoomedCounts {
    const all = [...this.#rows.values()];
    const doomed = all.filter(({ passes }) => passes < doomedPasses);
    return {
      doomed: doomed.length,
      due: doomed.filter(({ sinceMs }) => sinceMs <= beforeMs).length,
      claimed: all.filter(({ claim }) => claim !== undefined).length,
    };
  }
}
