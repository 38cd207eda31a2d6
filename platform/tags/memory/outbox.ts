/** As sqlite/outbox.ts, in memory: the plain statement of it. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { Leases } from '../leases.ts';
import type {
  OutboxKey,
  OutboxOptions,
  OutboxReads,
  OutboxRow,
  OutboxState,
  OutboxWaiting,
  OutboxWrites,
} from '../outbox.ts';
import { numberOf } from '../versions.ts';

type Waiting = { row: OutboxRow; backend: string; dueMs: number; cause: string | null };
type Part = Pick<OutboxReads, 'due' | 'nextDueMs' | 'pending' | 'waiting' | 'outbox'> &
  Pick<OutboxWrites, 'written' | 'failed' | 'retry' | 'reroute'>;

export class MemoryOutbox implements Part {
  readonly #rows = new Map<string, Waiting>();
  readonly #options: OutboxOptions | undefined;
  readonly leases = new Leases((...args) => this.due(...args));

  constructor(options: OutboxOptions | undefined) {
    this.#options = options;
  }

  backed(repo: string): boolean {
    return this.backendOf(repo) !== undefined;
  }

  backendOf(repo: string): string | undefined {
    return this.#options?.backendOf(repo);
  }

  add(key: OutboxKey, digest: Digest | null, version: TagVersion): void {
    const backend = this.backendOf(key.repo);
    if (backend === undefined) return;
    const nowMs = this.#options?.nowMs() ?? 0;
    const sinceMs = this.pending(key)?.sinceMs ?? nowMs;
    const { repo, kind, name } = key;
    const row = { repo, kind, name, version, digest, sinceMs, attempts: 0 };
    this.#rows.set(textOf(key), { row, backend, dueMs: nowMs, cause: null });
  }

  supersede(key: OutboxKey): void {
    this.#rows.delete(textOf(key));
  }

  due(backend: string, nowMs: number, n: number): OutboxRow[] {
    const of = [...this.#rows.values()].filter((one) => one.backend === backend && one.dueMs <= nowMs);
    const inTime = of.sort((a, b) => a.dueMs - b.dueMs || numberOf(a.row.version) - numberOf(b.row.version));
    return inTime.slice(0, n).map(({ row }) => row);
  }

  nextDueMs(backend: string): number | undefined {
    const all = [...this.#rows.values()].filter((one) => one.backend === backend).map(({ dueMs }) => dueMs);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  pending(key: OutboxKey): OutboxRow | undefined {
    return this.#rows.get(textOf(key))?.row;
  }

  waiting(skip: number, n: number): OutboxWaiting[] {
    const all = [...this.#rows.values()].sort((a, b) => (textOf(a.row) < textOf(b.row) ? -1 : 1));
    return all.slice(skip, skip + n).map(({ row, ...more }) => ({ ...row, ...more }));
  }

  retry(key: OutboxKey | undefined): number {
    let rows = 0;
    for (const [text, waiting] of this.#rows) {
      if (key === undefined ? waiting.cause === null : text !== textOf(key)) continue;
      waiting.dueMs = 0;
      rows += 1;
    }
    return rows;
  }

  outbox(): OutboxState[] {
    const states = new Map<string, OutboxState>();
    for (const { row, backend, cause } of this.#rows.values()) {
      const key = `${backend} ${cause}`;
      const { rows, sinceMs } = states.get(key) ?? { rows: 0, sinceMs: row.sinceMs };
      states.set(key, { backend, cause, rows: rows + 1, sinceMs: Math.min(sinceMs, row.sinceMs) });
    }
    return [...states.values()];
  }

  written(row: OutboxRow): void {
    this.leases.end(row);
    if (this.pending(row)?.version === row.version) this.#rows.delete(textOf(row));
  }

  failed(row: OutboxRow, { cause, dueMs }: { cause: string; dueMs: number }): void {
    this.leases.end(row);
    const waiting = this.#rows.get(textOf(row));
    if (waiting?.row.version !== row.version) return;
    Object.assign(waiting, { cause, dueMs, row: { ...waiting.row, attempts: waiting.row.attempts + 1 } });
  }

  reroute(): void {
    for (const waiting of this.#rows.values()) {
      const now = this.#options?.backendOf(waiting.row.repo);
      if (now !== undefined && now !== waiting.backend) Object.assign(waiting, { backend: now, dueMs: 0 });
    }
  }
}

/** None of the three has a space. */
function textOf({ repo, kind, name }: OutboxKey): string {
  return `${repo} ${kind} ${name}`;
}
