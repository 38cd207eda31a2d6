/** MySQL and MariaDB, by mysql2. Loaded when a rule names one. */

import { createPool, type Pool as MysqlPool, type PoolConnection } from 'mysql2/promise';
import type { SqlServerSettings } from './config.ts';
import type { SqlResult, SqlRow, Statement } from './connections.ts';
import { sqlConnectMsMax, sqlIdleMs } from './limits.ts';
import type { Pool, SqlHeld } from './pools.ts';
import type { SqlTls } from './tls.ts';

/** A server that cuts what is too long, instead of refusing it, is told not to. */
const strict = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";

export function mysqlPool(settings: SqlServerSettings, tls: SqlTls | undefined, password: string | undefined): Pool {
  const { host, port, database, username, connections } = settings;
  const pool = createPool({
    ...{ host, port, database, user: username, connectionLimit: connections, maxIdle: connections },
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { ssl: { ...tls, verifyIdentity: true } }),
    connectTimeout: sqlConnectMsMax,
    idleTimeout: sqlIdleMs,
    charset: 'utf8mb4',
    timezone: 'Z',
    supportBigNumbers: true,
    bigNumberStrings: true,
    // Names are looked at by us, and no value is ever part of a statement but as one.
    multipleStatements: false,
  });
  const strictened = new WeakSet<object>();
  return {
    take: async () => await taken(pool, strictened),
    end: () => pool.end(),
  };
}

async function taken(pool: MysqlPool, strictened: WeakSet<object>): Promise<SqlHeld> {
  const connection = await pool.getConnection();
  try {
    if (!strictened.has(connection.connection)) await connection.query(strict);
    strictened.add(connection.connection);
  } catch (error) {
    connection.destroy();
    throw error;
  }
  return {
    run: (statement) => run(connection, statement),
    release: () => connection.release(),
    drop: () => connection.destroy(),
  };
}

async function run(connection: PoolConnection, { text, values }: Statement): Promise<SqlResult> {
  const [answer] = await connection.query(
    text,
    values.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)),
  );
  if (Array.isArray(answer)) return { rows: answer as SqlRow[], found: answer.length };
  return { rows: [], found: answer.affectedRows };
}
