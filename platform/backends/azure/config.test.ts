import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { gcsSchema } from '../gcs/config.ts';
import { azureSchema } from './config.ts';
import { connectionOf } from './connection-string.ts';
import { sharedKey } from './shared-key.ts';

const key = Buffer.from('a key').toString('base64');

/** `path: message` of what is wrong. */
function wrong(schema: typeof azureSchema | typeof gcsSchema, said: object): string[] {
  const found = schema.safeParse(said);
  return (found.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

test.each([
  [{ container: 'images' }, /^account: is needed/],
  [{ container: 'images', endpoint: 'http://h:1', credentials: { sharedKey: key } }, /^account: is needed/],
  [{ container: 'Images', account: 'acct' }, /^container: expected the name of a container/],
  [{ container: 'a--b', account: 'acct' }, /^container: /],
  [{ container: 'images', account: 'no-hyphens' }, /^account: expected/],
  [{ container: 'images', account: 'acct', prefix: 'a/../b' }, /^prefix: /],
  [{ container: 'images', account: 'acct', endpoint: 'nonsense' }, /^endpoint: /],
  [
    { container: 'images', account: 'acct', credentials: {} },
    /^credentials: expected sharedKey, sas or connectionString/,
  ],
  [{ container: 'images', account: 'acct', credentials: { sharedKey: 'no base64!' } }, /^credentials.sharedKey: /],
  [{ container: 'images', account: 'acct', credentials: { sas: 'nothing signed' } }, /^credentials.sas: /],
  [
    { container: 'images', account: 'acct', credentials: { connectionString: 'x=1' } },
    /^account: is in the connectionString/,
  ],
  [
    { container: 'images', credentials: { connectionString: 'AccountName=acct' } },
    /^credentials.connectionString: has neither/,
  ],
  [{ container: 'images', credentials: { connectionString: 'nonsense' } }, /^credentials.connectionString: expected/],
  [{ container: 'images', account: 'acct', bucket: 'x' }, /bucket/],
])('azure: %j', (said, message) => expect(wrong(azureSchema, said).join('\n')).toMatch(message));

test.each([
  [{}, /^bucket: /],
  [{ bucket: 'gs://images' }, /^bucket: expected the name of a bucket, without gs/],
  [{ bucket: 'images', credentials: { key: 'x' } }, /^credentials: expected file: PATH, or 'anonymous'/],
  [{ bucket: 'images', credentials: 'none' }, /^credentials: /],
  [{ bucket: 'images', endpoint: 'storage.googleapis.com' }, /^endpoint: /],
  [{ bucket: 'images', parts: { size: '1MiB' } }, /^parts.size: /],
  [{ bucket: 'images', container: 'x' }, /container/],
])('gcs: %j', (said, message) => expect(wrong(gcsSchema, said).join('\n')).toMatch(message));

test('what is right is taken', () => {
  expect(wrong(azureSchema, { container: 'images', account: 'acct' })).toEqual([]);
  expect(
    wrong(azureSchema, { container: '$root', endpoint: 'http://h:1/x', credentials: { sas: '?sv=1&sig=x' } }),
  ).toEqual([]);
  expect(wrong(azureSchema, { container: 'images', credentials: { connectionString: { file: '/x' } } })).toEqual([]);
  expect(wrong(gcsSchema, { bucket: 'images' })).toEqual([]);
});

test('a connection string says where, and by what', () => {
  const named = `DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=${key};EndpointSuffix=core.chinacloudapi.cn`;
  expect(connectionOf(named)).toEqual({
    ...{ endpoint: 'https://acct.blob.core.chinacloudapi.cn', account: 'acct', sharedKey: key, sas: undefined },
  });
  expect(connectionOf('UseDevelopmentStorage=true')).toMatchObject({ account: 'devstoreaccount1' });
  expect(connectionOf('BlobEndpoint=https://h/;SharedAccessSignature=sv=1&sig=a%3D')).toEqual({
    ...{ endpoint: 'https://h', account: undefined, sharedKey: undefined, sas: 'sv=1&sig=a%3D' },
  });
});

/** The signature that Azure's documentation of shared keys would have: of the text that it spells out. */
test('a request is signed in the form that Azure documents', () => {
  const url = new URL('https://acct.blob.core.windows.net/images/a%20b?restype=container&comp=list&prefix=x%2Fy');
  const headers = { 'x-ms-version': '2021-12-02', 'x-ms-date': 'now', range: 'bytes=0-1', 'content-length': '0' };
  const made = sharedKey({ account: 'acct', key }, { method: 'GET', url, headers });
  const text = ['GET', '', '', '', '', '', '', '', '', '', '', 'bytes=0-1', 'x-ms-date:now', 'x-ms-version:2021-12-02'];
  const resource = '/acct/images/a%20b\ncomp:list\nprefix:x/y\nrestype:container';
  const signature = hmac(`${text.join('\n')}\n${resource}`);
  expect(made).toBe(`SharedKey acct:${signature}`);
});

function hmac(text: string): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
}
