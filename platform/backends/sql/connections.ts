/**
 * What a database is asked through, whichever it is: one statement, which is a transaction of its own.
 *
 * Rule 1: a signal ends a call at once, and with it the connection that it was on: what is asked next has another.
 * Rule 2: what fails is thrown as the database's library says it; errors.ts makes a BackendError of it.
 */

/** `?` for each value, in every dialect. */
export type Statement = { readonly text: string; readonly values: readonly SqlValue[] };
export type SqlValue = string | Uint8Array | Date;
export type SqlRow = Readonly<Record<string, unknown>>;
export type SqlResult = {
  readonly rows: readonly SqlRow[];
  /** Rows that a write has found, whether it has changed them or not. */
  readonly found: number;
};

export interface SqlConnections extends AsyncDisposable {
  run(statement: Statement, signal: AbortSignal): Promise<SqlResult>;
  /** All of it on one connection, and undone. */
  undone(statements: readonly Statement[], signal: AbortSignal): Promise<void>;
}
