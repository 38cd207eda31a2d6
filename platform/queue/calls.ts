/**
 * What is asked of a queue's table from afar, as values: a few calls make a group, which is one transaction.
 *
 * Rule 1: a group without a call that somebody is promised (DURABLE) is not waited for by the disk: after a crash its rows
 *         are as they were, and are tried once more.
 * Rule 2: a call that is refused (the limit of rows) has done nothing, and the others of its group go on.
 */

import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import type { SqliteDatabase } from '../sqlite/database.ts';
import type { QueueTable } from './table.ts';

/** The table's methods that are called so. */
export type CallName = Exclude<keyof QueueTable, symbol>;
type Method<N extends CallName> = QueueTable[N];
export type CallArgs<N extends CallName> = Parameters<Method<N>>;
export type CallResult<N extends CallName> = ReturnType<Method<N>>;

export type Call = { readonly name: CallName; readonly args: readonly unknown[] };
export type CallOutcome =
  | { readonly value: unknown }
  | { readonly refused: { readonly code: ErrorCode; message: string } };
/** `failed`: none of it has happened. */
export type CallsOutcome =
  | readonly CallOutcome[]
  | { readonly failed: { readonly code: ErrorCode; readonly message: string } };

/** Who was told that these happened relies on it. */
const DURABLE: ReadonlySet<CallName> = new Set(['add', 'retry', 'drop', 'complete']);

/** Where the calls of one queue are made, one group after the other. */
export interface CallRunner extends AsyncDisposable {
  run(calls: readonly Call[]): Promise<CallsOutcome>;
}

/** Makes the calls in this thread. Throws what is no ApiError: then the database is broken. */
export function makeCalls(db: SqliteDatabase, table: QueueTable, calls: readonly Call[]): CallsOutcome {
  const outcomes: CallOutcome[] = [];
  const durable = calls.some(({ name }) => DURABLE.has(name));
  db.connection.exec(`PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'}`);
  try {
    db.transaction(() => {
      for (const call of calls) outcomes.push(made(table, call));
    });
    return outcomes;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { failed: { code: error.code, message: error.message } };
  }
}

function made(table: QueueTable, { name, args }: Call): CallOutcome {
  const method = table[name] as (...values: readonly unknown[]) => unknown;
  try {
    return { value: method.apply(table, args as unknown[]) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { refused: { code: error.code, message: error.message } };
  }
}
