/** A database of tags, opened as a rule says; the library of its server is loaded, and no other. */

import type { Opening } from '../kind.ts';
import { library } from '../library.ts';
import type { SqlSettings } from './config.ts';
import type { SqlConnections } from './connections.ts';
import { dialects } from './dialects.ts';
import { SqlServerConnections } from './pools.ts';
import { SqlBackend } from './sql.ts';
import { sqlTls } from './tls.ts';

export async function openSql(settings: SqlSettings, { name }: Pick<Opening, 'name'>): Promise<SqlBackend> {
  const { dialect, create, records } = settings;
  const at =
    settings.dialect === 'sqlite'
      ? `SQLite's ${settings.file}`
      : `${dialect} ${settings.database} at ${settings.host}:${settings.port}`;
  const connections = await connectionsTo(settings, name);
  return new SqlBackend({ backend: name, at, dialect: dialects[dialect], connections, create, records });
}

export async function connectionsTo(settings: SqlSettings, name: string): Promise<SqlConnections> {
  if (settings.dialect === 'sqlite') return new (await import('./sqlite.ts')).SqliteConnections(settings);
  const tls = sqlTls(settings);
  const { begin } = dialects[settings.dialect];
  const make =
    settings.dialect === 'mysql'
      ? (await library('mysql2', () => import('./mysql.ts'), name)).mysqlPool
      : (await library('pg', () => import('./postgres.ts'), name)).postgresPool;
  return new SqlServerConnections(name, settings, { begin, make: (password) => make(settings, tls, password) });
}
