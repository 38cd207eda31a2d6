/**
 * One connection to one server, by pg.
 *
 * Rule 1: it is to the primary: a standby is not read, since it lags. A server that is a standby can only become the
 *   primary while it runs, and not the other way round without ending its connections.
 * Rule 2: an acknowledged transaction is on disk (`synchronous_commit`), whatever the server is set to; a server that waits
 *   for standbys does so for ours.
 * Rule 3: a statement that takes longer than it may ends the connection, and what else is under way on it.
 */

import { Client, types } from 'pg';
import type { Endpoint } from '../../../net/net.ts';
import type { PostgresStore } from '../../config.ts';
import { idleInTransactionMs, lockMs, pgConnectMs, statementMs } from './limits.ts';
import type { Prepared, Querying, Value } from './statements.ts';

export type ConnectionOptions = {
  readonly at: Endpoint;
  readonly settings: Pick<PostgresStore, 'database' | 'username' | 'schema'>;
  readonly password: string | undefined;
  readonly tls: { readonly ca?: string[]; readonly cert?: string; readonly key?: string } | undefined;
};

const int8 = types.builtins.INT8;
/** Numbers of ours stay below 2^53. */
const getTypeParser = ((oid: number, format: 'text') =>
  oid === int8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser;

/** What the connection says of its server. */
export type Greeting = { readonly standby: boolean; readonly nowMs: number; readonly release: number };

/** The connection is dropped for it. */
export class AnswerLate extends Error {}

export class PgConnection implements Querying {
  readonly #client: Client;
  #lost: Error | undefined;

  private constructor(client: Client) {
    this.#client = client;
    // What is under way on it fails with it.
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the server has ended the connection')));
  }

  static async open({ at, settings, password, tls }: ConnectionOptions): Promise<PgConnection> {
    const client = new Client({
      ...{ host: at.host, port: at.port, database: settings.database, user: settings.username },
      // Unset, the library would look for one in this process's environment and in the user's home.
      password: password ?? '',
      ssl: tls ?? false,
      connectionTimeoutMillis: pgConnectMs,
      keepAlive: true,
      pipeline: true,
      application_name: 'shoal index',
      types: { getTypeParser },
    });
    const connection = new PgConnection(client);
    try {
      await client.connect();
    } catch (error) {
      connection.drop();
      throw error;
    }
    return connection;
  }

  /** Sets it up, and asks what server it is to. */
  async greet(schema: string): Promise<Greeting> {
    const sets = [
      `SET search_path TO ${schema}`,
      `SET idle_in_transaction_session_timeout TO ${idleInTransactionMs}`,
      `SET lock_timeout TO ${lockMs}`,
      `SET statement_timeout TO ${statementMs}`,
      `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`,
    ];
    const greeting = this.within(pgConnectMs, () =>
      Promise.all([
        this.#client.query(sets.join('; ')),
        this.#client.query(
          `SELECT pg_is_in_recovery() AS standby, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "nowMs",
            current_setting('server_version_num')::int AS release`,
        ),
      ]),
    );
    const [, { rows }] = await greeting;
    return rows[0] as Greeting;
  }

  get lost(): Error | undefined {
    return this.#lost;
  }

  async all<T>({ name, text }: Prepared, ...values: readonly Value[]): Promise<T[]> {
    const { rows } = await this.#client.query({ name, text, values: values as unknown[] });
    return rows as T[];
  }

  async run({ name, text }: Prepared, ...values: readonly Value[]): Promise<number> {
    const { rowCount } = await this.#client.query({ name, text, values: values as unknown[] });
    return rowCount ?? 0;
  }

  /** What the server says that it did: COMMIT, or ROLLBACK where a statement before has failed. */
  async say(text: string): Promise<string> {
    const result: unknown = await this.#client.query(text);
    const last = (Array.isArray(result) ? result.at(-1) : result) as { command?: string };
    return last.command ?? '';
  }

  /** What `act` gives; where that takes longer, the connection is dropped, and it fails. */
  async within<T>(ms: number, act: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#lose(new AnswerLate(`the server did not answer in ${ms / 1000} s`));
      this.drop();
    }, ms);
    try {
      return await act();
    } catch (error) {
      throw this.#lost ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closed, whatever is under way on it. */
  drop(): void {
    this.#lose(new Error('the connection is closed'));
    this.#client.end().catch(() => undefined);
  }

  /** Once the server has heard that it is over. */
  async end(): Promise<void> {
    this.#lose(new Error('the connection is closed'));
    await this.#client.end().catch(() => undefined);
  }

  #lose(error: Error): void {
    this.#lost ??= error;
  }
}
