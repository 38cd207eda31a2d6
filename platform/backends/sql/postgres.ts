/** PostgreSQL, by pg. Loaded when a rule names one. */

import { Pool as PgPool } from 'pg';
import type { SqlServerSettings } from './config.ts';
import type { SqlRow, Statement } from './connections.ts';
import { sqlConnectMsMax, sqlIdleMs } from './limits.ts';
import type { Pool, SqlHeld } from './pools.ts';
import type { SqlTls } from './tls.ts';

export function postgresPool(settings: SqlServerSettings, tls: SqlTls | undefined, password: string | undefined): Pool {
  const { host, port, database, username, connections } = settings;
  const pool = new PgPool({
    ...{ host, port, database, user: username, max: connections },
    // Unset, the library would look for one in this process's environment and in the user's home.
    password: password ?? '',
    ssl: tls ?? false,
    connectionTimeoutMillis: sqlConnectMsMax,
    idleTimeoutMillis: sqlIdleMs,
    application_name: 'shoal',
  });
  // An idle connection that is lost is made again when one is needed.
  pool.on('error', () => undefined);
  return { take: async () => await taken(pool), end: () => pool.end() };
}

async function taken(pool: PgPool): Promise<SqlHeld> {
  const client = await pool.connect();
  const lost = (): void => undefined;
  client.on('error', lost);
  const back = (broken: boolean): void => {
    client.off('error', lost);
    client.release(broken);
  };
  return {
    run: async (statement) => {
      const { rows, rowCount } = await client.query(numbered(statement), bytesAsBuffers(statement));
      return { rows: rows as SqlRow[], found: rowCount ?? 0 };
    },
    release: () => back(false),
    drop: () => back(true),
  };
}

/** `?` as `$1`, `$2`: no statement of ours has another question mark. */
function numbered({ text }: Statement): string {
  let n = 0;
  return text.replaceAll('?', () => `$${++n}`);
}

function bytesAsBuffers({ values }: Statement): unknown[] {
  return values.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
}
