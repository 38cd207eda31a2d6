/**
 * Writes in transactions: those that wait while one is under way share the next one, and are acknowledged together.
 *
 * Rule 1: a transaction first locks the row `identity`, which every writer of every process does: they follow one another,
 *   and each statement (READ COMMITTED has a new snapshot for each) sees all that was committed before. So whatever a write
 *   has read holds until it is committed, nothing is undone for others, and versions come in the order of the commits.
 *   SERIALIZABLE would undo all but one of the writers at once of the very same row, the last version.
 * Rule 2: a transaction writes down its process and its number. Where the answer to COMMIT is lost, the next one, which gets
 *   the lock only once that one has ended, reads whether it was done: it is acknowledged, or made again, never both. What
 *   could not be found out is `storeUnsure`, never a no.
 * Rule 3: that it was done is told only after a commit of this connection, which waits for standbys as the lost one did.
 * Rule 4: what was asked before this process was held up is not committed any more (platform/tags/hangs.ts); the server ends a transaction
 *   that is left open for as long.
 * Rule 5: a write that the server refuses fails alone: those that shared its transaction are made again without it.
 * Rule 6: a transaction holds the lock for about `groupMs`, however far the server is: what does not fit comes next.
 */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../../core/contracts/errors.ts';
import { storeAway, storeUnsure } from '../away.ts';
import { Hangs, heldUpError } from '../hangs.ts';
import type { WriteName } from '../named.ts';
import { orExceeded, settleWrite } from '../quotas/exceeded.ts';
import { type NamesOfGroup, PostgresNamed } from './named.ts';
import { type IdentityRow, Numbers, type Tx } from './numbers.ts';
import type { EngineClock } from './server/clock.ts';
import type { PgConnection } from './server/connection.ts';
import { pgFaultOf, pgWordsOf, refusalOf } from './server/faults.ts';
import { attemptMs, doubtMs, graceMs, lookMs } from './server/limits.ts';
import type { Primary } from './server/primary.ts';
import { statements } from './server/statements.ts';

/** Writes a transaction: bounds what is made again where one of them is refused. */
const groupMax = 64;
/** More than 64 writes take in one data centre; a dozen processes get the lock in turn before any of them gives up (`lockMs`). */
const groupMs = 250;
const pendingMax = 10_000;
/** Attempts that were undone for others, with some time between. */
const againMax = 10;
const againMs = 20;

const SQL = statements('group', {
  lock: `SELECT id, generation, tag_version AS version, forgotten_version AS forgotten,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "nowMs" FROM identity FOR UPDATE`,
  numbers: 'UPDATE identity SET generation = $1, tag_version = $2, forgotten_version = $3',
  mark: `INSERT INTO writers (id, no) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET no = excluded.no, at = now()`,
  marked: 'SELECT no FROM writers WHERE id = $1',
});

type Write = {
  /** When it was asked for. */
  readonly at: number;
  readonly of: WriteName | undefined;
  readonly apply: (tx: Tx) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};
/** A group on its way. `results`: of the attempt whose COMMIT was sent. */
type Group = {
  /** Those that do not fit are taken out of it. */
  readonly writes: Write[];
  readonly no: number;
  /** When the first of them was asked for. */
  readonly at: number;
  results?: unknown[] | undefined;
  /** Targets of the outbox that the same attempt leaves rows for. */
  told?: ReadonlySet<string> | undefined;
};

export type GroupsOptions = {
  readonly primary: Primary;
  readonly database: string;
  readonly clock: EngineClock;
  /** Committed, with rows for these targets of the outbox. */
  readonly onTold?: ((targets: readonly string[]) => void) | undefined;
};

export class WriteGroups implements AsyncDisposable {
  readonly #options: GroupsOptions;
  readonly #me = randomUUID();
  readonly #named = new PostgresNamed();
  readonly #hangs = new Hangs();
  readonly #pending: Write[] = [];
  #no = 0;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: GroupsOptions) {
    this.#options = options;
  }

  /** `apply` is done once, though it may be called more often; `of`: also where it is asked for again by that name. */
  write<T>(apply: (tx: Tx) => Promise<T>, of?: WriteName): Promise<T> {
    if (this.#closed) return Promise.reject(new ApiError('UNAVAILABLE', 'the index is closing: try again'));
    if (this.#pending.length >= pendingMax)
      return Promise.reject(
        new ApiError('TOOMANYREQUESTS', `${pendingMax} writes are waiting at the index: try again`),
      );
    return new Promise<T>((resolve, reject) => {
      this.#pending.push({ at: performance.now(), of, apply, resolve: resolve as (value: unknown) => void, reject });
      this.#running ??= this.#run();
    });
  }

  /** What waits is still written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#hangs[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    // After this turn's input was read: whoever wrote in it is in the group.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) await this.#settle(this.#pending.splice(0, groupMax));
    this.#running = undefined;
  }

  async #settle(all: readonly Write[]): Promise<void> {
    const writes = all.filter(({ at }) => !this.#hangs.since(at));
    for (const { at, reject } of all) if (this.#hangs.since(at)) reject(heldUpError());
    const [first] = writes;
    if (first === undefined) return;
    const group: Group = { writes, no: ++this.#no, at: first.at };
    try {
      const results = await this.#commit(group);
      for (const [i, write] of group.writes.entries()) settleWrite(write, results[i]);
      if (group.told !== undefined && group.told.size > 0) this.#options.onTold?.([...group.told]);
    } catch (error) {
      if (!(error instanceof Refused)) for (const { reject } of group.writes) reject(error);
      else if (group.writes.length > 1) for (const write of group.writes) await this.#settle([write]);
      else for (const { reject } of group.writes) reject(refusalOf(error.cause, this.#options.primary.name));
    }
  }

  async #commit(group: Group): Promise<unknown[]> {
    const { primary } = this.#options;
    const began = performance.now();
    for (let again = 0; ; ) {
      const untilMs = began + (group.results === undefined ? graceMs.write + attemptMs : doubtMs);
      const over = performance.now() >= untilMs;
      try {
        const connection = await primary.take('write');
        return await connection
          .within(attemptMs, () => this.#attempt(connection, group))
          .then(
            (results) => {
              primary.give(connection);
              return results;
            },
            (error: unknown) => this.#undo(connection, error),
          );
      } catch (error) {
        if (error instanceof Refused) throw error;
        const why = error instanceof ApiError ? error.message : pgWordsOf(error);
        if (group.results === undefined && error instanceof ApiError) throw error;
        if (over && group.results !== undefined) throw storeUnsure(primary.name, why);
        if (over || (pgFaultOf(error) === 'again' && ++again > againMax)) throw storeAway(primary.name, why);
        await sleep(error instanceof ApiError ? lookMs : againMs * Math.random());
      }
    }
  }

  /** Leaves the connection as it should be, and says what is to come of the group. */
  async #undo(connection: PgConnection, error: unknown): Promise<never> {
    const { primary } = this.#options;
    const fault = error instanceof Refused ? 'refused' : pgFaultOf(error);
    if (fault === 'away' || connection.lost !== undefined) {
      primary.discard(connection, error);
      throw error;
    }
    try {
      await connection.within(attemptMs, () => connection.say('ROLLBACK'));
      primary.give(connection);
    } catch (failure) {
      primary.discard(connection, failure);
    }
    throw fault === 'again' || error instanceof Refused ? error : new Refused('refused', { cause: error });
  }

  async #attempt(asking: PgConnection, group: Group): Promise<unknown[]> {
    const { database, clock } = this.#options;
    const asked = performance.now();
    const [, [row], names] = await Promise.all([
      asking.say('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE'),
      asking.all<IdentityRow & { nowMs: number }>(SQL.lock),
      this.#named.load(asking, group.writes),
    ]);
    if (row?.id !== database) throw new Refused('replaced', { cause: replacedError(this.#options.primary.name) });
    clock.said(row.nowMs, asked);
    if (group.results !== undefined) {
      const [marked] = await asking.all<{ no: number }>(SQL.marked, this.#me);
      if (marked !== undefined && marked.no >= group.no) {
        await this.#end(asking, group);
        return group.results;
      }
      group.results = undefined;
    }
    this.#heed(group);
    const numbers = new Numbers(row);
    const results: unknown[] = [];
    const told = new Set<string>();
    const untilMs = performance.now() + groupMs;
    for (const { apply, of } of group.writes) {
      if (results.length > 0 && performance.now() > untilMs) break;
      results.push(await orExceeded(() => names.once(of, () => apply({ asking, numbers, told }))));
    }
    this.#pending.unshift(...group.writes.splice(results.length));
    this.#heed(group);
    group.results = results;
    group.told = told;
    try {
      await this.#end(asking, group, { numbers, names });
    } catch (error) {
      // The server has said that it was undone: nothing is open.
      if (asking.lost === undefined && pgFaultOf(error) !== 'away') group.results = undefined;
      throw error;
    }
    return results;
  }

  #heed({ at }: Group): void {
    if (this.#hangs.since(at)) throw new Refused('held up', { cause: heldUpError() });
  }

  async #end(asking: PgConnection, { no }: Group, done?: { numbers: Numbers; names: NamesOfGroup }): Promise<void> {
    const { numbers, names } = done ?? {};
    const [, , , said] = await Promise.all([
      numbers?.changed ? asking.run(SQL.numbers, numbers.generation, numbers.version, numbers.forgotten) : undefined,
      names && this.#named.save(asking, names),
      asking.run(SQL.mark, this.#me, no),
      asking.say('COMMIT'),
    ]);
    if (said !== 'COMMIT') throw new Error(`the server has answered ${said} to COMMIT`);
  }
}

/** What another attempt does not change. */
class Refused extends Error {}

function replacedError(engine: string): ApiError {
  return storeAway(engine, 'it is another database than at the start of this process, which is to be started anew');
}
