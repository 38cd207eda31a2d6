/** What the databases of these tests have in common: one that is there at first, more when they are wanted, a way in. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SqlServerSettings } from '../../../../platform/backends/sql/config.ts';
import { sqlSchema } from '../../../../platform/backends/sql/config.ts';
import { connectionsTo } from '../../../../platform/backends/sql/open.ts';
import { Restartable, type StorageServer } from './server.ts';

export const databaseNever = new AbortController().signal;
export const sqlUser = { username: 'shoal', password: 'of-a-test' };
const first = 'kraken';

export type DatabaseProgram = ConstructorParameters<typeof Restartable>[0] & {
  readonly dialect: 'mysql' | 'postgres';
  readonly port: number;
  readonly directory: string;
  /** Who may do everything, where, and what makes the tests' user. */
  readonly admin: { readonly username: string; readonly database: string };
  readonly first: readonly string[];
  /** Lets the user into a new one. */
  readonly granted: (database: string) => readonly string[];
};

export class DatabaseServer extends Restartable implements StorageServer {
  readonly env = {};
  readonly #program: DatabaseProgram;

  private constructor(program: DatabaseProgram) {
    super(program);
    this.#program = program;
  }

  static async begin(program: DatabaseProgram): Promise<DatabaseServer> {
    await mkdir(join(program.directory, 'blobs'));
    const server = new DatabaseServer(program);
    await server.start();
    for (const text of program.first) await server.asAdmin(text);
    await server.makeDatabase(first);
    return server;
  }

  get rule() {
    const file = { directory: join(this.#program.directory, 'blobs') };
    return { name: 'main', file, tags: { sql: this.settings() } };
  }

  get directory(): string {
    return this.#program.directory;
  }

  settings(more: object = {}) {
    const { dialect, port } = this.#program;
    return { dialect, host: '127.0.0.1', port, database: first, ...sqlUser, ...more };
  }

  async asAdmin(text: string, database = this.#program.admin.database): Promise<void> {
    const { dialect, port, admin } = this.#program;
    const settings = { dialect, host: '127.0.0.1', port, username: admin.username, database, connections: 1 };
    await using connections = await connectionsTo(sqlSchema.parse(settings) as SqlServerSettings, 'admin');
    await connections.run({ text, values: [] }, databaseNever);
  }

  async makeDatabase(name = `d${randomUUID().replaceAll('-', '')}`, more = ''): Promise<string> {
    await this.asAdmin(`CREATE DATABASE ${name} ${more}`);
    for (const text of this.#program.granted(name))
      await this.asAdmin(text, this.#program.dialect === 'mysql' ? undefined : name);
    return name;
  }
}
