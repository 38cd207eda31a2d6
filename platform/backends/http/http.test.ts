import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Digest, digestHex } from '../../../core/digest.ts';
import { blobsConformance } from '../conformance.fixtures.ts';
import { bytesOf, never } from '../objects.fixtures.ts';
import { httpServer } from '../web/web.fixtures.ts';
import { BlobServer, type Manners } from './blobs.fixtures.ts';
import type { HttpBackend } from './http.ts';
import { passedOverBytesMax } from './limits.ts';

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

describe.each<[string, Manners]>([
  ['of files', {}],
  ['without ranges', { ranges: false }],
  ['without HEAD', { head: false }],
  ['that answers in chunks', { length: false }],
  ['without ETags', { etag: false }],
])('a web server %s', (_, manners) => {
  const servers = new Map<HttpBackend, BlobServer>();
  const make = async (): Promise<HttpBackend> => {
    const server = await BlobServer.start(manners);
    const backend = server.backend();
    servers.set(backend, server);
    const dispose = backend[Symbol.asyncDispose].bind(backend);
    backend[Symbol.asyncDispose] = async () => {
      await dispose();
      await server[Symbol.asyncDispose]();
    };
    return backend;
  };
  blobsConformance(make, {
    keyOf: (digest) => digest,
    fill: async (bytes, backend) =>
      void servers.get(backend as HttpBackend)?.blobs.set(digestHex(digestOf(bytes)), bytes),
    cannot: ['conditions', 'list', 'writes', 'records'],
  });
});

const bytes = randomBytes(100_000);
const key = digestOf(bytes);

async function served(manners: Manners = {}): Promise<BlobServer> {
  const server = await BlobServer.start(manners);
  server.blobs.set(digestHex(key), bytes);
  return server;
}

test('a probe tells a server that answers from one that has everything, or is a login', async () => {
  await using server = await served();
  await using backend = server.backend();
  await backend.probe(never);
  // Readiness asks so.
  expect(await backend.stat('.shoal/readiness', never)).toBeUndefined();
  await using stack = new AsyncDisposableStack();
  const login = await httpServer(stack, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html><title>Sign in</title>');
  });
  await using wrong = server.backend({ download: `${login}/%s` });
  await expect(wrong.probe(never)).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/HTML/),
  });
  await expect(bytesOf(wrong.read(key, { start: 0, end: 9 }, never))).rejects.toMatchObject({ why: 'unavailable' });
  const anything = await httpServer(stack, (_request, response) => void response.end('welcome'));
  await using open = server.backend({ download: `${anything}/%s` });
  await expect(open.probe(never)).rejects.toMatchObject({ message: expect.stringMatching(/`download`/) });
});

test('a server that tells no size is unsupported, and says what it has to do', async () => {
  await using server = await served({ head: false, length: false, ranges: false });
  await using backend = server.backend();
  await expect(backend.stat(key, never)).rejects.toMatchObject({
    why: 'unsupported',
    message: expect.stringMatching(/^main: cannot read sha256:.*: GET http:.*Content-Length/),
  });
});

test('a server without HEAD is asked for one only once', async () => {
  await using server = await served({ head: false });
  await using backend = server.backend();
  for (let i = 0; i < 3; i++) expect(await backend.stat(key, never)).toMatchObject({ size: bytes.length });
  expect(server.seen.map(({ line }) => line.split(' ')[0])).toEqual(['HEAD', 'GET', 'GET', 'GET']);
  expect(server.given).toBe(3);
});

test('with ranges no byte goes out in vain; without, what is before is skipped, and so much only', async () => {
  await using server = await served();
  await using backend = server.backend();
  const range = { start: 90_000, end: 100_000 };
  expect((await bytesOf(backend.read(key, range, never))).equals(bytes.subarray(90_000))).toBe(true);
  expect(server.given).toBe(10_000);
  server.manners = { ranges: false };
  expect((await bytesOf(backend.read(key, range, never))).equals(bytes.subarray(90_000))).toBe(true);
  const far = { start: passedOverBytesMax + 1, end: passedOverBytesMax + 2 };
  server.manners = { ranges: false, length: false };
  await expect(bytesOf(backend.read(key, far, never))).rejects.toMatchObject({ why: 'unsupported' });
});

test('a blob that changes, or that a server answers with another range, is told and not mixed', async () => {
  await using server = await served();
  await using backend = server.backend();
  const { version } = (await backend.stat(key, never)) ?? { version: '' };
  server.blobs.set(digestHex(key), randomBytes(100_001));
  for (const ranges of [true, false]) {
    server.manners = { ranges };
    await expect(bytesOf(backend.read(key, { start: 9, end: 99, version }, never))).rejects.toMatchObject({
      why: 'changed',
    });
  }
  await using stack = new AsyncDisposableStack();
  const liar = await httpServer(stack, (_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-9/100000' }).end('0123456789');
  });
  await using lied = server.backend({ download: `${liar}/%s` });
  await expect(bytesOf(lied.read(key, { start: 10, end: 20 }, never))).rejects.toMatchObject({ why: 'damaged' });
});

test('credentials of a rule or a file go along, the file is read again, and no message has them', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-http-'));
  try {
    await using server = await served({ authorization: `Basic ${btoa('user:right')}` });
    const file = join(dir, 'password');
    writeFileSync(file, 'wrong-secret\n');
    await using backend = server.backend({ auth: { username: 'user', passwordFile: file } });
    await expect(backend.stat(key, never)).rejects.toMatchObject({
      why: 'credentials',
      message: expect.not.stringMatching(/wrong-secret/),
    });
    writeFileSync(file, 'right\n');
    expect(await backend.stat(key, never)).toMatchObject({ size: bytes.length });
    rmSync(file);
    await expect(backend.stat(key, never)).rejects.toMatchObject({
      why: 'credentials',
      message: expect.stringContaining(file),
    });
    server.manners = { authorization: 'Bearer of-own' };
    await using token = server.backend({ auth: { token: 'of-own' }, headers: { 'x-own': 'own' } });
    expect(await token.stat(key, never)).toMatchObject({ size: bytes.length });
    expect(server.seen.at(-1)?.headers['x-own']).toBe('own');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('redirects are followed, without credentials where they lead elsewhere', async () => {
  await using server = await served();
  await using stack = new AsyncDisposableStack();
  const front = await httpServer(stack, ({ url }, response) => {
    response.writeHead(302, { location: `${server.base}${url}` }).end();
  });
  const download = `${front}/v2/{repo}/{algorithm}/{hex}`;
  await using backend = server.backend({ download, auth: { token: 'secret' }, headers: { 'x-own': 'own' } });
  const found = await backend.stat(`library/app@${key}`, never);
  expect(found).toMatchObject({ size: bytes.length });
  const range = { start: 1, end: 100_000, version: found?.version };
  const read = await bytesOf(backend.read(`library/app@${key}`, range, never));
  expect(read.equals(bytes.subarray(1))).toBe(true);
  expect(server.seen[0]?.line).toBe(`HEAD /v2/library/app/sha256/${digestHex(key)}`);
  for (const { headers } of server.seen)
    expect([headers.authorization, headers['x-own']]).toEqual([undefined, undefined]);
  await expect(backend.stat(`@${key}`, never)).rejects.toMatchObject({ why: 'refused' });
  await using none = server.backend({ download, redirects: 0 });
  await expect(none.stat(`library/app@${key}`, never)).rejects.toMatchObject({ why: 'refused' });
});

test('nothing is written, listed or removed', async () => {
  await using server = await served();
  await using backend = server.backend();
  const calls = [backend.write(key), backend.put(key), backend.list(''), backend.remove(key)];
  for (const call of calls) await expect(call).rejects.toMatchObject({ why: 'unsupported' });
  expect(server.seen).toEqual([]);
});
