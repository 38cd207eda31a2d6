/**
 * One of the two tables, asked by statements: a table that is missing is made, if it may be.
 *
 * Rule: reading makes nothing. A table that is missing, and may be made, is an empty one.
 */

import { BackendError } from '../backend.ts';
import type { SqlConnections, SqlResult, Statement } from './connections.ts';
import type { Dialect } from './dialects.ts';
import { sqlError, sqlFault } from './errors.ts';

export type Asking = {
  readonly doing: string;
  readonly key: string;
  readonly signal: AbortSignal;
};

export type SqlPlace = {
  readonly backend: string;
  /** Database, user and host, for messages. */
  readonly at: string;
  readonly dialect: Dialect;
  readonly connections: SqlConnections;
  /** Tables that are missing are made. */
  readonly create: boolean;
};

export class SqlTable {
  readonly #place: SqlPlace;

  constructor(place: SqlPlace) {
    this.#place = place;
  }

  get dialect(): Dialect {
    return this.#place.dialect;
  }

  async read(statement: Statement, asking: Asking): Promise<SqlResult> {
    try {
      return await this.#place.connections.run(statement, asking.signal);
    } catch (error) {
      if (sqlFault(error) !== 'no table' || !this.#place.create) throw this.error(error, asking);
      return { rows: [], found: 0 };
    }
  }

  /** 'there already': the key is taken. */
  async write(statement: Statement, asking: Asking): Promise<SqlResult | 'there already'> {
    for (let made = false; ; made = true) {
      try {
        return await this.#place.connections.run(statement, asking.signal);
      } catch (error) {
        const fault = sqlFault(error);
        if (fault === 'there already') return fault;
        if (fault !== 'no table' || made || !this.#place.create) throw this.error(error, asking);
      }
      await this.#make(asking);
    }
  }

  /** Proves that it may be done, and undoes it. */
  async prove(statement: Statement, asking: Asking): Promise<void> {
    const { connections, create } = this.#place;
    for (let made = false; ; made = true) {
      try {
        return await connections.undone([statement], asking.signal);
      } catch (error) {
        if (sqlFault(error) !== 'no table' || made || !create) throw this.error(error, asking);
      }
      await this.#make(asking);
    }
  }

  error(error: unknown, { doing, key, signal }: Asking): BackendError {
    signal.throwIfAborted();
    const { backend, at, dialect } = this.#place;
    if (sqlFault(error) === 'no table')
      return new BackendError(
        'missing',
        `${backend}: cannot ${doing}${key && ` ${key}`} in ${at}: ${(error as Error).message}: make the tables, or leave out \`create: false\`: ${dialect.create.join('; ')}`,
        { error, scope: 'bucket' },
      );
    return sqlError(error, { backend, at, doing, key });
  }

  /** What we find wrong ourselves. */
  wrong(why: BackendError['why'], key: string, words: string): BackendError {
    return new BackendError(why, `${this.#place.backend}: ${key} ${words}`);
  }

  async #make(asking: Asking): Promise<void> {
    const { connections, dialect } = this.#place;
    for (const text of dialect.create) {
      try {
        await connections.run({ text, values: [] }, asking.signal);
      } catch (error) {
        // Somebody else makes it at this moment.
        if (sqlFault(error) !== 'there already')
          throw this.error(error, { ...asking, key: '', doing: 'make the tables' });
      }
    }
  }
}
