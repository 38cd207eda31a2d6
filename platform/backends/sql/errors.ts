/**
 * What a database and its library say when something fails, as a BackendError: its cause, and what to do. Codes: numbers of
 * MySQL and MariaDB, SQLSTATE of PostgreSQL, result codes of SQLite, and the names of what befalls a socket.
 */

import { type BackendCause, BackendError } from '../backend.ts';

export type SqlVerdict = { readonly why: BackendCause; readonly remedy: string };
/** What the code here goes on with, and no caller hears of. */
export type SqlFault = 'no table' | 'there already' | undefined;

const credentials: SqlVerdict = {
  why: 'credentials',
  remedy: 'look at `username` and `password` or `passwordFile` of this rule; a file is read again',
};
const denied: SqlVerdict = {
  why: 'denied',
  remedy:
    'allow this user SELECT, INSERT, UPDATE and DELETE on `tags` and `shoal_records`, and CREATE where they are missing',
};
const readOnly: SqlVerdict = {
  why: 'denied',
  remedy: 'it takes no writes, as a replica does: name the primary, or say `readOnly: true` in this rule',
};
const busy: SqlVerdict = { why: 'throttled', remedy: 'it has no connection left: it is asked again later' };
const again: SqlVerdict = { why: 'unavailable', remedy: 'others write there just now: it is asked again' };
const gone: SqlVerdict = { why: 'unavailable', remedy: 'it is asked again; look whether the server is up' };
const full: SqlVerdict = { why: 'full', remedy: 'give the database more room' };
const slow: SqlVerdict = { why: 'stalled', remedy: 'the server ended it, as it took too long: it is asked again' };
const tooLong: SqlVerdict = { why: 'refused', remedy: 'it does not fit its column: make that as wide as Kraken does' };
const database: SqlVerdict = { why: 'missing', remedy: 'make the database, or name the right one in this rule' };
const refused: SqlVerdict = { why: 'refused', remedy: 'another attempt does not change it' };
const authority: SqlVerdict = {
  why: 'unavailable',
  remedy: 'name the file of the authority of its certificate in `tls.ca`',
};
const otherName: SqlVerdict = {
  why: 'unavailable',
  remedy: 'its certificate is for another name: use that one as `host`',
};
const noTls: SqlVerdict = { why: 'unavailable', remedy: 'it has no TLS: turn it on there, or leave out `tls`' };

const CODES: Readonly<Record<string, SqlVerdict>> = {
  // MySQL
  ...of(credentials, 1045, 1698, 1862, 3118, '28P01', '28000'),
  ...of(denied, 1044, 1142, 1143, 1227, 1370, '42501'),
  ...of(readOnly, 1290, 1792, 1836, 8, '25006'),
  ...of(busy, 1040, 1203, 1226, '53300'),
  ...of(again, 1205, 1213, 5, 6, '40P01', '40001', '55P03'),
  ...of(gone, 1053, 1077, 1079, 1927, '57P01', '57P02', '57P03', 'PROTOCOL_CONNECTION_LOST'),
  ...of(full, 1021, 1114, 13, '53100', '53200'),
  ...of(slow, 1317, 1969, 3024, '57014'),
  ...of(tooLong, 1406, '22001'),
  ...of(database, 1049, 14, '3D000'),
  ...of(noTls, 'HANDSHAKE_NO_SSL_SUPPORT'),
};
const NO_TABLE: ReadonlySet<string> = new Set(['1146', '42P01']);
/** 42710: of a table that two make at once PostgreSQL may name the row's type first. */
const THERE: ReadonlySet<string> = new Set(['1062', '1050', '1061', '23505', '42P07', '42710', '1555', '2067']);
/** mysql2 has one code for whatever is wrong with TLS, and Node's words. */
const AUTHORITY =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)|self-signed certificate|unable to (get|verify) .*certificate/i;
const OTHER_NAME = /^ERR_TLS_CERT_ALTNAME|does not match certificate/i;
/** A socket's, a name server's, a handshake's. */
const NETWORK = /^(E(?!R_|RR_)[A-Z]{3,}|ERR_SSL|PROTOCOL_|HANDSHAKE_|08...$)/;
/** Words of pg, where it has no code. */
const ENDED = /Connection terminated|connect(ion)? timeout|timeout exceeded|closed state|Client has encountered/i;

function of(verdict: SqlVerdict, ...codes: readonly (number | string)[]): Record<string, SqlVerdict> {
  return Object.fromEntries(codes.map((code) => [String(code), verdict]));
}

type Said = {
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly errcode?: unknown;
  readonly message?: unknown;
};

/** Of SQLite, with its extension, for uniqueness; without it, for the rest. */
function codesOf(error: unknown): string[] {
  const { code, errno, errcode } = Object(error) as Said;
  const sqlite = typeof errcode === 'number' ? [errcode, errcode & 0xff] : [];
  const number = typeof errno === 'number' && errno > 0 ? [errno] : [];
  const word = typeof code === 'string' && code !== 'ERR_SQLITE_ERROR' ? [code] : [];
  return [...sqlite, ...number, ...word].map(String);
}

export function sqlFault(error: unknown): SqlFault {
  const codes = codesOf(error);
  if (codes.some((code) => NO_TABLE.has(code)) || /^no such table/.test(String((error as Said)?.message)))
    return 'no table';
  return codes.some((code) => THERE.has(code)) ? 'there already' : undefined;
}

export type SqlDoing = { readonly backend: string; readonly doing: string; readonly key: string; readonly at: string };

export function sqlError(error: unknown, { backend, doing, key, at }: SqlDoing): BackendError {
  if (error instanceof BackendError) return error;
  const codes = codesOf(error);
  const { why, remedy } = verdictOf(error, codes);
  const code = codes.at(-1) === undefined ? '' : ` (${codes.at(-1)})`;
  const words = `${String((error as Said)?.message ?? error)
    .replaceAll(/[\s\p{C}]+/gu, ' ')
    .slice(0, 300)}${code}`;
  const scope = key === '' || why === 'missing' ? 'bucket' : 'object';
  return new BackendError(why, `${backend}: cannot ${doing}${key && ` ${key}`} in ${at}: ${words}: ${remedy}`, {
    error,
    scope,
  });
}

function verdictOf(error: unknown, codes: readonly string[]): SqlVerdict {
  const known = codes.map((code) => CODES[code]).find((verdict) => verdict !== undefined);
  if (known !== undefined) return known;
  const message = String((error as Said)?.message ?? error);
  const said = [...codes, message];
  if (said.some((one) => OTHER_NAME.test(one))) return otherName;
  if (said.some((one) => AUTHORITY.test(one))) return authority;
  if (/does not support SSL/i.test(message)) return noTls;
  if (codes.some((code) => NETWORK.test(code)) || ENDED.test(message)) return gone;
  return refused;
}
