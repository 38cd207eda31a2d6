import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackendError } from '../backend.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { backendConformance } from '../conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { FakeGcs } from './fake.fixtures.ts';

describe('as any backend', () => {
  let fake: FakeGcs;
  beforeAll(async () => {
    fake = await FakeGcs.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());
  let prefix = '';
  const make = async () => {
    prefix = `in/${randomUUID()}`;
    return fake.backend({ prefix });
  };
  const shared = async () => fake.backend({ prefix }, { shared: true });
  backendConformance(make, { shared, loads: true });

  httpConformance({
    server: () => fake.endpoint,
    make: async ({ base, ca, env, stallMs }) => fake.backend({ endpoint: base, ca }, { env, stallMs }),
  });
});

test('objects have the prefix before their key, the digest with them, and their generation as version', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ prefix: 'in/here' });
  const source = sourceOf(randomBytes(1000));
  const written = await backend.write('a/b', source, never);
  expect([...fake.objects.keys()]).toEqual(['in/here/a/b']);
  expect(written).toEqual({
    size: 1000,
    digest: source.digest,
    version: String(fake.objects.get('in/here/a/b')?.generation),
  });
  expect(await backend.stat('a/b', never)).toEqual(written);
  expect(await backend.list('a/', { max: 9 }, never)).toEqual({
    objects: [{ key: 'a/b', size: 1000 }],
    next: undefined,
  });
});

test('a bucket that is not there is told from an object that is not', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend();
  fake.bucket = false;
  const gone = { why: 'missing', scope: 'bucket', message: expect.stringMatching(/gs:\/\/bucket.*make the bucket/) };
  const bytes = Buffer.from('x');
  await expect(backend.stat('x', never)).rejects.toMatchObject(gone);
  await expect(bytesOf(backend.read('x', { start: 0, end: 1 }, never))).rejects.toMatchObject(gone);
  await expect(backend.put('x', bytes, never)).rejects.toMatchObject(gone);
  await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject(gone);
  await expect(backend.probe(never)).rejects.toMatchObject(gone);
  // A server that says no more than 404 is asked for its list.
  fake.fault = ({ key }) =>
    key === '' ? undefined : { status: 404, body: '{"error":{"code":404,"message":"Not Found"}}' };
  await expect(backend.stat('x', never)).rejects.toMatchObject(gone);
  fake.bucket = true;
  expect(await backend.stat('x', never)).toBeUndefined();
  // And one that is no GCS has neither.
  fake.fault = () => ({
    status: 404,
    body: '<html><title>nginx</title></html>',
    headers: { 'content-type': 'text/html' },
  });
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'unavailable', message: /`endpoint`/ });
});

const said = (status: number, message: string, reason: string): object => ({
  status,
  body: JSON.stringify({ error: { code: status, message, errors: [{ reason, message }] } }),
});

test.each([
  [
    said(403, 'x does not have storage.objects.get access', 'forbidden'),
    { why: 'denied', message: /storage\.objectUser/ },
  ],
  [said(403, 'too fast', 'rateLimitExceeded'), { why: 'throttled' }],
  [said(401, 'Invalid Credentials', 'authError'), { why: 'credentials' }],
  [
    said(400, 'Bucket is a requester pays bucket but no user project provided.', 'required'),
    { why: 'refused', message: /userProject/ },
  ],
  [said(403, 'kept', 'retentionPolicyNotMet'), { why: 'denied', message: /retention/ }],
  [
    { status: 429, headers: { 'retry-after': '7' } },
    { why: 'throttled', afterMs: 7000 },
  ],
  [
    { status: 503, headers: { 'retry-after': '3' } },
    { why: 'throttled', afterMs: 3000 },
  ],
  [{ status: 503 }, { why: 'unavailable' }],
  [{ status: 412 }, { why: 'changed' }],
  [{ status: 200, body: 'no JSON' }, { why: 'unavailable' }],
  [
    { status: 200, body: '{"size":-1}' },
    { why: 'unavailable', message: /no description of an object/ },
  ],
])('%j is %j', async (fault, expected: object) => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend();
  fake.fault = () => fault as { status: number };
  const error = (await backend.stat('a/b', never).catch((thrown: unknown) => thrown)) as BackendError;
  const { message, ...rest } = expected as { message?: RegExp };
  expect(error).toMatchObject(rest);
  expect(error.message).toMatch(/^main: cannot look up gs:\/\/bucket\/a\/b: GET http/);
  if (message !== undefined) expect(error.message).toMatch(message);
});

test('a server that looks at no condition is found out, and no conditional write is tried there', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend();
  fake.unconditional = true;
  await expect(backend.put('x', Buffer.from('x'), never, { version: null })).rejects.toMatchObject({
    why: 'unsupported',
  });
  expect(backend.can.conditions).toBe(false);
  expect(fake.objects.size).toBe(0);
});

test('bytes that the server answers another MD5 for are damaged', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend();
  const answer = { name: 'x', size: '1', generation: '7', md5Hash: 'AAAAAAAAAAAAAAAAAAAAAA==' };
  fake.fault = () => ({ status: 200, body: JSON.stringify(answer) });
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'damaged' });
});

test('a server that hangs is left', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({}, { stallMs: 100 });
  fake.fault = () => 'hang';
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'stalled' });
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'stalled' });
});

test('a read that is cut goes on by itself, of the same generation', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts: { size: 100_000, parallel: 3 } });
  const bytes = randomBytes(550_000);
  await backend.write('large', sourceOf(bytes), never);
  let cuts = 0;
  fake.fault = ({ query, headers }) =>
    query.get('alt') === 'media' && headers['range']?.startsWith('bytes=200000-') && cuts++ === 0
      ? { cut: 500 }
      : undefined;
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(cuts).toBe(1);
  expect(fake.count('GET large')).toBe(7);
});
