import { expect, test } from 'vitest';
import { sqlError, sqlFault } from './errors.ts';

const told = (error: object) =>
  sqlError(Object.assign(new Error('as it\nwas said'), error), {
    ...{ backend: 'main.tags', doing: 'write', key: 'a:v1', at: 'mysql kraken at db:3306' },
  });

test.each([
  ['credentials', { code: 'ER_ACCESS_DENIED_ERROR', errno: 1045 }],
  ['credentials', { code: '28P01' }],
  ['denied', { code: 'ER_TABLEACCESS_DENIED_ERROR', errno: 1142 }],
  ['denied', { code: '42501' }],
  ['denied', { code: 'ER_OPTION_PREVENTS_STATEMENT', errno: 1290 }],
  ['denied', { code: '25006' }],
  ['denied', { code: 'ERR_SQLITE_ERROR', errcode: 8 }],
  ['throttled', { code: 'ER_CON_COUNT_ERROR', errno: 1040 }],
  ['throttled', { code: '53300' }],
  ['unavailable', { code: 'ER_LOCK_DEADLOCK', errno: 1213 }],
  ['unavailable', { code: 'ER_LOCK_WAIT_TIMEOUT', errno: 1205 }],
  ['unavailable', { code: '40P01' }],
  ['unavailable', { code: '40001' }],
  ['unavailable', { code: 'ERR_SQLITE_ERROR', errcode: 5 }],
  ['unavailable', { code: 'ERR_SQLITE_ERROR', errcode: 261 }],
  ['unavailable', { code: 'PROTOCOL_CONNECTION_LOST' }],
  ['unavailable', { code: 'ECONNREFUSED', errno: -111 }],
  ['unavailable', { code: 'ENOTFOUND', errno: -3008 }],
  ['unavailable', { code: '57P01' }],
  ['unavailable', { code: '08006' }],
  ['unavailable', { message: 'Connection terminated unexpectedly' }],
  ['unavailable', { message: 'timeout exceeded when trying to connect' }],
  ['unavailable', { code: 'SELF_SIGNED_CERT_IN_CHAIN' }],
  ['stalled', { code: '57014' }],
  ['stalled', { code: 'ER_STATEMENT_TIMEOUT', errno: 1969 }],
  ['full', { code: 'ER_RECORD_FILE_FULL', errno: 1114 }],
  ['full', { code: 'ERR_SQLITE_ERROR', errcode: 13 }],
  ['refused', { code: 'ER_DATA_TOO_LONG', errno: 1406 }],
  ['refused', { code: '22001' }],
  ['refused', { code: 'ER_PARSE_ERROR', errno: 1064 }],
  ['refused', { code: '42601' }],
  ['missing', { code: 'ER_BAD_DB_ERROR', errno: 1049 }],
  ['missing', { code: '3D000' }],
] as const)('%s: %o', (why, error) => {
  expect(told(error)).toMatchObject({
    why,
    message: expect.stringMatching(/^main\.tags: cannot write a:v1 in mysql kraken at db:3306: [\x20-\x7e]+: [^:]+/),
  });
});

test('what is wrong with a certificate is told apart, in the words of either library', () => {
  for (const error of [
    { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    { code: 'HANDSHAKE_SSL_ERROR', message: 'self-signed certificate' },
  ])
    expect(told(error)).toMatchObject({ why: 'unavailable', message: expect.stringContaining('`tls.ca`') });
  const other = "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list";
  for (const error of [{ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }, { code: 'HANDSHAKE_SSL_ERROR', message: other }])
    expect(told(error)).toMatchObject({ why: 'unavailable', message: expect.stringContaining('as `host`') });
});

test('what the code goes on with is known of each database', () => {
  for (const error of [{ errno: 1062 }, { code: '23505' }, { code: '42710' }, { errcode: 1555 }, { errcode: 2067 }])
    expect(sqlFault(error)).toBe('there already');
  for (const error of [{ errno: 1146 }, { code: '42P01' }, new Error('no such table: tags')])
    expect(sqlFault(error)).toBe('no table');
  expect(sqlFault({ code: 'ECONNRESET' })).toBeUndefined();
});
