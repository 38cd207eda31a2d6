/**
 * Connections to a server, made with the password that is the right one by now: where a file has another, those that were
 * made with the one before are let go, each once it has nothing to do.
 *
 * Rule: a connection whose call was ended is not used again.
 */

import { secretIn } from '../secret.ts';
import type { SqlServerSettings } from './config.ts';
import type { SqlConnections, SqlResult, Statement } from './connections.ts';
import { untilEnded } from './ended.ts';

/** One connection of a library. */
export type SqlHeld = {
  run(statement: Statement): Promise<SqlResult>;
  /** Back to the others. */
  release(): void;
  /** Closed, whatever is under way on it. */
  drop(): void;
};

export type Pool = { take(): Promise<SqlHeld>; end(): Promise<void> };
export type PoolMaker = (password: string | undefined) => Pool;

export class SqlServerConnections implements SqlConnections {
  readonly #name: string;
  readonly #settings: SqlServerSettings;
  readonly #make: PoolMaker;
  readonly #begin: string;
  #current: { readonly password: string | undefined; readonly pool: Pool } | undefined;

  constructor(name: string, settings: SqlServerSettings, { begin, make }: { begin: string; make: PoolMaker }) {
    this.#name = name;
    this.#settings = settings;
    this.#begin = begin;
    this.#make = make;
  }

  async run(statement: Statement, signal: AbortSignal): Promise<SqlResult> {
    return await this.#with(signal, (held) => held.run(statement), harmless);
  }

  async undone(statements: readonly Statement[], signal: AbortSignal): Promise<void> {
    const plain = (text: string): Statement => ({ text, values: [] });
    const act = async (held: SqlHeld): Promise<void> => {
      await held.run(plain(this.#begin));
      for (const statement of statements) await held.run(statement);
      await held.run(plain('ROLLBACK'));
    };
    await this.#with(signal, act, () => false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#current?.pool.end();
  }

  /** `keeps`: after such an error the connection is as it was. */
  async #with<T>(
    signal: AbortSignal,
    act: (held: SqlHeld) => Promise<T>,
    keeps: (error: unknown) => boolean,
  ): Promise<T> {
    signal.throwIfAborted();
    const pool = await this.#pool();
    const taking = pool.take();
    const held = await untilEnded(taking, signal, () => {
      taking.then((late) => late.release()).catch(() => undefined);
    });
    let fine = false;
    try {
      const answer = await untilEnded(act(held), signal, () => undefined);
      fine = true;
      return answer;
    } catch (error) {
      fine = !signal.aborted && keeps(error);
      throw error;
    } finally {
      if (fine) held.release();
      else held.drop();
    }
  }

  async #pool(): Promise<Pool> {
    const { password, passwordFile } = this.#settings;
    const now = passwordFile === undefined ? password : await secretIn(passwordFile, this.#name);
    const before = this.#current;
    if (before !== undefined && before.password === now) return before.pool;
    const pool = this.#make(now);
    this.#current = { password: now, pool };
    before?.pool.end().catch(() => undefined);
    return pool;
  }
}

/** There already, or no such table: both happen as a matter of course, outside of a transaction. */
const HARMLESS: ReadonlySet<unknown> = new Set(['23505', '42P01', 'ER_DUP_ENTRY', 'ER_NO_SUCH_TABLE']);

function harmless(error: unknown): boolean {
  return HARMLESS.has((error as { code?: unknown } | undefined)?.code);
}
