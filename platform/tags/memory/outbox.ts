/** As sqlite/outbox.ts, in memory: the plain statement of it. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import { Leases } from '../leases.ts';
import type {
  Filled,
  OutboxChoice,
  OutboxFailure,
  OutboxKey,
  OutboxOptions,
  OutboxReads,
  OutboxRow,
  OutboxState,
  OutboxWaiting,
  OutboxWrites,
} from '../outbox.ts';
import {
  backendAmong,
  everyRowsMax,
  filledAmong,
  isBackend,
  type OutboxChange,
  type OutboxTarget,
  Rooms,
  wantedBy,
} from '../targets.ts';
import { numberOf, writerOf } from '../versions.ts';
import type { MemoryRepository } from './repository.ts';
import { memoryId } from './unlinked.ts';

/** behind: another of its repository comes first. */
type Waiting = { row: OutboxRow; state: 'waits' | 'behind' | 'dead'; dueMs: number; cause: string | null };
type Part = Pick<OutboxReads, 'due' | 'nextDueMs' | 'pending' | 'waiting' | 'outbox'> &
  Pick<OutboxWrites, 'written' | 'failed' | 'retry' | 'drop' | 'reroute'>;
/** `next`: another number of this database. */
type ToldAt = { readonly version?: TagVersion | undefined; readonly next: () => TagVersion };

export class MemoryOutbox implements Part {
  readonly #rows = new Map<string, Waiting>();
  readonly #options: OutboxOptions | undefined;
  readonly #rooms = new Rooms();
  readonly leases = new Leases((...args) => this.due(...args));

  constructor(options: OutboxOptions | undefined) {
    this.#options = options;
  }

  targetsOf(repo: string): readonly OutboxTarget[] {
    return this.#options?.targetsOf(repo) ?? [];
  }

  /** The targets that what it holds is queued for, or was from its beginning. */
  filled(repo: string): Set<string> {
    return new Set(filledAmong(this.targetsOf(repo)).map(({ name }) => name));
  }

  tell(repo: string, all: readonly OutboxChange[], { version, next }: ToldAt): void {
    const wanted = wantedBy(this.targetsOf(repo), all);
    if (wanted.length === 0) return;
    const at = version ?? next();
    const every = wanted.some(({ target }) => target.every === true);
    // A version of another database says nothing of the order here.
    const slot = every ? numberOf(writerOf(at) === memoryId ? at : next()) : 0;
    for (const { target, told } of wanted) {
      if (target.every === true && this.#lost(target, told.length)) continue;
      for (const { kind, name, digest } of told) {
        const key = { target: target.name, repo, kind, name, ...(target.every === true ? { slot } : {}) };
        this.#add({ ...key, version: at, digest });
      }
      if (target.every === true) this.#promote();
    }
    this.#options?.onTold?.(wanted.map(({ target }) => target.name));
  }

  #lost({ name, rowsMax = everyRowsMax }: OutboxTarget, rows: number): boolean {
    if (this.#rooms.due(name)) this.#rooms.counted(name, this.#of(name).length >= rowsMax);
    if (this.#rooms.has(name)) return false;
    this.#options?.onLost?.(name, rows);
    return true;
  }

  #add(of: Omit<OutboxRow, 'sinceMs' | 'attempts'>): void {
    const nowMs = this.#options?.nowMs() ?? 0;
    const sinceMs = this.pending(of)?.sinceMs ?? nowMs;
    const state = of.slot === undefined ? 'waits' : 'behind';
    this.#rows.set(textOf(of), { row: { ...of, sinceMs, attempts: 0 }, state, dueMs: nowMs, cause: null });
  }

  /** Of each repository the first row of a target that has every write may be tried. */
  #promote(): void {
    const seen = new Set<string>();
    for (const waiting of this.#sorted()) {
      const { row, state } = waiting;
      if (row.slot === undefined || state === 'dead' || seen.has(`${row.target} ${row.repo}`)) continue;
      seen.add(`${row.target} ${row.repo}`);
      waiting.state = 'waits';
    }
  }

  supersede(key: OutboxKey): void {
    this.#rows.delete(textOf(key));
  }

  due(target: string, nowMs: number, n: number): OutboxRow[] {
    const of = this.#of(target).filter((one) => one.state === 'waits' && one.dueMs <= nowMs);
    const order = ({ row, dueMs }: Waiting): number[] => [dueMs, row.slot ?? 0, numberOf(row.version)];
    const inTime = of.sort((a, b) => {
      const theirs = order(b);
      return order(a).reduce((sum, value, i) => sum || value - (theirs[i] ?? 0), 0);
    });
    return inTime.slice(0, n).map(({ row }) => row);
  }

  nextDueMs(target: string): number | undefined {
    const all = this.#of(target).flatMap(({ state, dueMs }) => (state === 'waits' ? [dueMs] : []));
    return all.length === 0 ? undefined : Math.min(...all);
  }

  pending(key: OutboxKey): OutboxRow | undefined {
    return this.#rows.get(textOf(key))?.row;
  }

  waiting(skip: number, n: number, of: OutboxChoice = {}): OutboxWaiting[] {
    const all = this.#sorted().filter((one) => matches(one, of));
    return all.slice(skip, skip + n).map(({ row, state, dueMs, cause }) => ({
      ...row,
      dueMs: state === 'behind' ? row.sinceMs : dueMs,
      ...{ cause, dead: state === 'dead' },
    }));
  }

  retry(of: OutboxChoice): number {
    const named = of.name !== undefined;
    const all = [...this.#rows.values()].filter((one) => matches(one, of) && (named || one.cause !== null));
    for (const waiting of all) {
      waiting.dueMs = 0;
      if (waiting.state === 'dead') waiting.state = 'waits';
    }
    return all.length;
  }

  drop(of: OutboxChoice): number {
    const all = [...this.#rows.values()].filter((one) => matches(one, of));
    for (const { row } of all) this.#rows.delete(textOf(row));
    this.#promote();
    return all.length;
  }

  outbox(): OutboxState[] {
    const states = new Map<string, OutboxState>();
    for (const { row, cause, state } of this.#rows.values()) {
      const { target } = row;
      const dead = state === 'dead';
      const key = `${target} ${cause} ${dead}`;
      const { rows, sinceMs } = states.get(key) ?? { rows: 0, sinceMs: row.sinceMs };
      states.set(key, { target, cause, dead, rows: rows + 1, sinceMs: Math.min(sinceMs, row.sinceMs) });
    }
    return [...states.values()];
  }

  written(row: OutboxRow): void {
    this.leases.end(row);
    if (this.pending(row)?.version === row.version) this.#rows.delete(textOf(row));
    if (row.slot !== undefined) this.#promote();
  }

  failed(row: OutboxRow, { cause, dueMs, dead = false }: OutboxFailure): void {
    this.leases.end(row);
    const waiting = this.#rows.get(textOf(row));
    if (waiting?.row.version !== row.version) return;
    const attempts = waiting.row.attempts + 1;
    Object.assign(waiting, { cause, dueMs, state: dead ? 'dead' : 'waits', row: { ...waiting.row, attempts } });
    if (row.slot !== undefined) this.#promote();
  }

  reroute(): void {
    for (const [text, waiting] of [...this.#rows]) {
      const { row } = waiting;
      const targets = this.targetsOf(row.repo);
      const backend = backendAmong(targets);
      if (!isBackend(row.target) || backend === undefined || backend === row.target) continue;
      this.#rows.delete(text);
      const moved = { ...row, target: backend };
      if (this.pending(moved) === undefined)
        this.#rows.set(textOf(moved), { ...waiting, row: moved, dueMs: 0, state: 'waits' });
    }
  }

  /** `own`: gives a tag that nobody has a version of one. */
  fill(repo: string, known: MemoryRepository, own: (tag: string) => void, next: () => TagVersion): Filled[] {
    const targets = filledAmong(this.targetsOf(repo));
    const lacking = targets.filter(({ name }) => !known.filled.has(name));
    known.filled = new Set(targets.map(({ name }) => name));
    if (lacking.length === 0) return [];
    const version = next();
    for (const tag of known.tags.keys()) own(tag);
    const of = (all: Iterable<string>, kind: 'blob' | 'manifest') =>
      [...all].map((name) => ({ kind, name, digest: name, version }));
    const everything = [
      ...of(known.blobs.keys(), 'blob'),
      ...of(known.manifests.keys(), 'manifest'),
      ...[...known.tags].map(([name, at]) => ({ kind: 'tag', name, ...at })),
    ] as (OutboxChange & Pick<OutboxRow, 'version'>)[];
    const told = everything.map((one) => ({ ...one, referrer: isReferrer(known, one) }));
    for (const { target, told: wanted } of wantedBy(lacking, told)) {
      for (const { kind, name, digest, version: at } of wanted as typeof told) {
        const key = { target: target.name, repo, kind, name };
        if (this.pending(key) === undefined) this.#add({ ...key, digest, version: at });
      }
    }
    return lacking.map(({ name }) => ({ repo, target: name }));
  }

  #of(target: string): Waiting[] {
    return [...this.#rows.values()].filter(({ row }) => row.target === target);
  }

  #sorted(): Waiting[] {
    return [...this.#rows.values()].sort((a, b) => (textOf(a.row) < textOf(b.row) ? -1 : 1));
  }
}

function isReferrer({ manifests }: MemoryRepository, { kind, digest }: OutboxChange): boolean {
  return kind === 'manifest' && digest !== null && manifests.get(digest)?.subject !== undefined;
}

function matches({ row, state }: Waiting, { dead, ...key }: OutboxChoice): boolean {
  if (dead !== undefined && dead !== (state === 'dead')) return false;
  return Object.entries(key).every(([name, value]) => value === undefined || row[name as keyof OutboxKey] === value);
}

/** In the order of the rows. None of these has a space. */
function textOf({ target, repo, slot = 0, kind, name }: OutboxKey): string {
  return `${target} ${repo} ${String(slot).padStart(16, '0')} ${kind} ${name}`;
}
