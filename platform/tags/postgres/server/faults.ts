/**
 * What PostgreSQL and its library say when something fails, as what is to be done about it.
 *
 * Codes: SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html), and the names of what befalls a socket.
 */

import { ApiError } from '../../../../core/contracts/errors.ts';
import { unsaid } from '../../../telemetry/unsaid.ts';

/**
 * away: the connection is of no use, and perhaps the server; another attempt has a new one. again: this transaction was
 * undone for others; another attempt may do. full: no room. refused: another attempt does not change it.
 */
export type PgFault = 'away' | 'again' | 'full' | 'refused';

const AGAIN: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', '57014']);
const FULL: ReadonlySet<string> = new Set(['53100', '53200', '53400']);
/** Stopping, starting, no connection left, ended by an administrator or as it idled, a standby, credentials, no database. */
const AWAY = /^(08...|57P0.|53300|25P03|25006|28...|3D000|42501|0A000)$/;
const SQLSTATE = /^[0-9A-Z]{5}$/;

const REMEDIES: Readonly<Record<string, string>> = {
  '28P01': 'look at `username` and `password` or `passwordFile` of `store`',
  '28000': 'look at `username`, `password` and `tls` of `store`, and at pg_hba.conf',
  '3D000': 'make the database, or name the right one in `store`',
  '42501':
    'let this user make the `schema` of `store` (GRANT CREATE ON DATABASE), or make it first and give it to the user',
  '53300': 'it has no connection left: raise max_connections, or lower `store.connections`',
};

type Said = { readonly code?: unknown; readonly message?: unknown };

export function pgFaultOf(error: unknown): PgFault {
  // A fault of ours.
  if (error instanceof TypeError || error instanceof RangeError) return 'refused';
  const code = codeOf(error);
  if (code === undefined || AWAY.test(code)) return 'away';
  if (AGAIN.has(code)) return 'again';
  return FULL.has(code) ? 'full' : 'refused';
}

/** In the words of whoever failed, on one line, with what to do. */
export function pgWordsOf(error: unknown): string {
  const words = unsaid(String((error as Said)?.message || (error as Said)?.code || error))
    .replaceAll(/[\s\p{C}]+/gu, ' ')
    .slice(0, 300);
  const code = codeOf(error);
  const remedy = code === undefined ? undefined : REMEDIES[code];
  return `${words}${code === undefined ? '' : ` (${code})`}${remedy === undefined ? '' : `: ${remedy}`}`;
}

/** Of a write that another attempt does not help. */
export function refusalOf(error: unknown, engine: string): Error {
  if (error instanceof ApiError) return error;
  if (pgFaultOf(error) === 'full')
    return new ApiError('STORAGE_FULL', `${engine} is full: ${pgWordsOf(error)}: make room`);
  return error instanceof Error ? error : new Error(pgWordsOf(error));
}

/** A socket's code is none of these. */
function codeOf(error: unknown): string | undefined {
  const { code } = Object(error) as Said;
  return typeof code === 'string' && SQLSTATE.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined;
}
