/**
 * PostgreSQL with a standby: a commit waits until that has it. The primary may be lost and the standby takes over; the lost
 * one comes back empty, as the standby of the other.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sqlSchema } from '../../../../platform/backends/sql/config.ts';
import { connectionsTo } from '../../../../platform/backends/sql/open.ts';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { databaseNever } from '../servers/databases.ts';
import { asNobody, givenToNobody } from '../servers/nobody.ts';
import { startPostgres } from '../servers/postgres.ts';
import { Restartable } from '../servers/server.ts';

type Half = { readonly server: Restartable; readonly data: string; readonly port: number };

export class PostgresPair implements AsyncDisposable {
  readonly #settings: { readonly database: string; readonly username: string; readonly password: string };
  #primary: Half;
  #standby: Half;

  private constructor(primary: Half, standby: Half, settings: PostgresPair['settings']) {
    this.#primary = primary;
    this.#standby = standby;
    this.#settings = settings;
  }

  static async start(dir: string): Promise<PostgresPair> {
    const first = await startPostgres(dir);
    const { port, ...settings } = first.settings();
    const data = join(dir, 'data');
    appendFileSync(join(data, 'pg_hba.conf'), 'host replication postgres 127.0.0.1/32 trust\n');
    await first.asAdmin('SELECT pg_reload_conf()');
    const pair = new PostgresPair({ server: first, data, port }, await halfIn(dir, 'standby'), settings);
    await pair.rejoin();
    return pair;
  }

  get settings() {
    const { database, username, password } = this.#settings;
    return { database, username, password };
  }

  /** Of the two, the standby first: a client is to find the other one. */
  get hosts(): string {
    return [this.#standby, this.#primary].map(({ port }) => `127.0.0.1:${port}`).join();
  }

  get primary(): Restartable {
    return this.#primary.server;
  }

  get standby(): Restartable {
    return this.#standby.server;
  }

  /** The primary is gone for good: the standby is the primary from now on, and has none. */
  async failOver(): Promise<void> {
    await this.#primary.server.kill();
    await asAdmin(this.#standby.port, 'SELECT pg_promote()');
    [this.#primary, this.#standby] = [this.#standby, this.#primary];
  }

  /** The other one is made anew of the primary, and follows it. */
  async rejoin(): Promise<void> {
    const { server, data } = this.#standby;
    const { port } = this.#primary;
    rmSync(data, { recursive: true, force: true, maxRetries: 3 });
    mkdirSync(data, { mode: 0o700 });
    givenToNobody(data);
    const from = ['-h', '127.0.0.1', '-p', `${port}`, '-U', 'postgres'];
    const [program = '', ...args] = asNobody(
      need('pg_basebackup'),
      '-D',
      data,
      '-R',
      '-c',
      'fast',
      '--no-sync',
      ...from,
    );
    execFileSync(program, args, { stdio: 'ignore', cwd: data });
    await server.start();
    await asAdmin(port, "ALTER SYSTEM SET synchronous_standby_names TO '*'");
    await asAdmin(port, 'SELECT pg_reload_conf()');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server } of [this.#primary, this.#standby]) await server.kill();
  }
}

async function halfIn(dir: string, name: string): Promise<Half> {
  const port = await freePort();
  const data = join(dir, name);
  const at = ['-D', data, '-p', `${port}`, '-k', data, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'];
  const ready = async (): Promise<boolean> => {
    try {
      execFileSync(need('pg_isready'), ['-h', '127.0.0.1', '-p', `${port}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const command = asNobody(need('postgres'), ...at);
  return { server: new Restartable({ command, log: join(dir, `${name}.log`), ready }), data, port };
}

async function asAdmin(port: number, text: string): Promise<void> {
  const at = { dialect: 'postgres', host: '127.0.0.1', port, username: 'postgres', database: 'postgres' };
  await using connections = await connectionsTo(sqlSchema.parse(at), 'admin');
  await connections.run({ text, values: [] }, databaseNever);
}
