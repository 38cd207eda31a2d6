import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackendError, ObjectSource } from '../backend.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { backendConformance } from '../conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { FakeAzure } from './fake.fixtures.ts';

describe('as any backend', () => {
  let fake: FakeAzure;
  beforeAll(async () => {
    fake = await FakeAzure.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());
  let prefix = '';
  const make = async () => {
    prefix = `in/${randomUUID()}`;
    return fake.backend({ prefix });
  };
  backendConformance(make, { loads: true, shared: async () => fake.backend({ prefix }, { shared: true }) });

  httpConformance({
    server: () => new URL(fake.endpoint).origin,
    make: async ({ base, ca, env, stallMs }) => fake.backend({ endpoint: `${base}/acct`, ca }, { env, stallMs }),
  });
});

const parts = { size: 50_000, parallel: 2 };
const bytes = randomBytes(230_000);
const source = sourceOf(bytes);
const stands = (fake: FakeAzure): void => {
  expect(fake.blobs.get('large')?.bytes.equals(bytes)).toBe(true);
  expect(fake.blocks.size).toBe(0);
};

/** Of the five blocks the fourth fails. */
async function cutOff(fake: FakeAzure): Promise<void> {
  await using backend = fake.backend({ parts });
  let blocks = 0;
  fake.fault = ({ query }) =>
    query.get('comp') === 'block' && ++blocks === 4 ? { status: 409, code: 'OnPurpose' } : undefined;
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'refused' });
  fake.fault = () => undefined;
  expect(fake.blobs.size).toBe(0);
  fake.asked.length = 0;
}

test('a write that was cut off is gone on with after a restart: blocks that are there are not sent again', async () => {
  await using fake = await FakeAzure.start();
  await cutOff(fake);
  await using backend = fake.backend({ parts });
  const written = await backend.write('large', source, never);
  stands(fake);
  expect(written).toMatchObject({ size: bytes.length, digest: source.digest });
  expect(fake.count('PUT large?block')).toBeLessThanOrEqual(3);
});

test('foreign blocks, and blocks of another size, are not taken for ours', async () => {
  await using fake = await FakeAzure.start();
  await cutOff(fake);
  const blocks = fake.blocks.get('large');
  const [first = ''] = blocks?.keys() ?? [];
  blocks?.set(first, Buffer.alloc(7)).set('Zm9yZWlnbg==', Buffer.alloc(50_000));
  await using backend = fake.backend({ parts });
  await backend.write('large', source, never);
  stands(fake);
});

test('blocks that cannot be looked for are sent again', async () => {
  await using fake = await FakeAzure.start();
  await cutOff(fake);
  fake.fault = ({ method, query }) =>
    method === 'GET' && query.has('comp') ? { status: 200, body: 'no XML' } : undefined;
  await using backend = fake.backend({ parts });
  await backend.write('large', source, never);
  stands(fake);
});

test('wrong bytes of ours never become a blob', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend({ parts });
  const wrong: ObjectSource = { ...source, digest: sourceOf(Buffer.from('other')).digest };
  await expect(backend.write('large', wrong, never)).rejects.toThrow(/mend the copy/);
  expect(fake.blobs.size).toBe(0);
});

test('a block that the server has another MD5 of is sent again, and so is one that it had no time for', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend({ parts });
  const seen = new Map<string, number>();
  fake.fault = ({ query }) => {
    const id = query.get('blockid');
    if (id === null) return undefined;
    const times = (seen.get(id) ?? 0) + 1;
    seen.set(id, times);
    if (times > 1) return undefined;
    const wrong = { headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } };
    return seen.size % 2 === 0 ? wrong : { status: 503, code: 'ServerBusy', headers: { 'retry-after': '0' } };
  };
  await backend.write('large', source, never);
  stands(fake);
  expect([...seen.values()]).toEqual([2, 2, 2, 2, 2]);
});

test('an end that was not heard of is looked up', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend({ parts });
  let deaf = 1;
  fake.fault = ({ method, query }) =>
    method === 'PUT' && query.get('comp') === 'blocklist' && deaf-- > 0 ? 'deaf' : undefined;
  expect(await backend.write('large', source, never)).toMatchObject({ size: bytes.length, digest: source.digest });
  stands(fake);
});

test('one that says it made something else has not confirmed it', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend({ parts });
  fake.fault = ({ method }) => (method === 'HEAD' ? { headers: { 'content-length': '7' } } : undefined);
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'damaged' });
  fake.fault = ({ method }) =>
    method === 'PUT' ? { headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } } : undefined;
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'damaged' });
});

test.each([
  [
    { status: 403, code: 'AuthenticationFailed' },
    { why: 'credentials', message: /look at `credentials`/ },
  ],
  [
    { status: 403, code: 'AuthorizationPermissionMismatch' },
    { why: 'denied', message: /Blob Data Contributor/ },
  ],
  [
    { status: 404, code: 'ContainerNotFound' },
    { why: 'missing', scope: 'bucket', message: /make the container/ },
  ],
  [
    { status: 404, body: '<html>', headers: { 'content-type': 'text/html' } },
    { why: 'unavailable', message: /`endpoint`/ },
  ],
  [
    { status: 409, code: 'BlobArchived' },
    { why: 'denied', message: /rehydrate/ },
  ],
  [
    { status: 412, code: 'LeaseIdMissing' },
    { why: 'denied', message: /lease/ },
  ],
  [{ status: 412, code: 'ConditionNotMet' }, { why: 'changed' }],
  [
    { status: 409, code: 'InvalidBlobType' },
    { why: 'refused', message: /`prefix`/ },
  ],
  [
    { status: 503, code: 'ServerBusy', headers: { 'retry-after': '3' } },
    { why: 'throttled', afterMs: 3000 },
  ],
  [{ status: 500, code: 'OperationTimedOut' }, { why: 'unavailable' }],
  [{ status: 416, code: 'InvalidRange' }, { why: 'damaged' }],
])('%j is %j', async (fault, expected: object) => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend();
  fake.fault = () => fault;
  const reading = bytesOf(backend.read('a/b', { start: 0, end: 1 }, never));
  const error = (await reading.catch((thrown: unknown) => thrown)) as BackendError;
  const { message, ...rest } = expected as { message?: RegExp };
  expect(error).toMatchObject(rest);
  expect(error.message).toMatch(/^main: cannot read azure:\/\/images\/a\/b: GET http/);
  if (message !== undefined) expect(error.message).toMatch(message);
});

test('a server that looks at no condition is found out, and no conditional write is tried there', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend();
  fake.fault = ({ headers }) => void [delete headers['if-match'], delete headers['if-none-match']];
  await expect(backend.put('x', Buffer.from('x'), never, { version: null })).rejects.toMatchObject({
    why: 'unsupported',
  });
  expect(backend.can.conditions).toBe(false);
  expect(fake.blobs.size).toBe(0);
});

test('lists go on where their last page ended, or from the start where nobody knows; pages without keys are no end', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend();
  const keys = Array.from({ length: 50 }, (_, i) => `k/${String(i).padStart(2, '0')}`);
  for (const key of keys) await backend.put(key, Buffer.from('x'), never);
  fake.page = 7;
  fake.asked.length = 0;
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const { objects, next }: Awaited<ReturnType<typeof backend.list>> = await backend.list(
      'k/',
      { after, max: 5 },
      never,
    );
    found.push(...objects.map(({ key }) => key));
    if (next === undefined) break;
    after = next;
  }
  expect(found).toEqual(keys);
  // Two pages of ours from one of theirs, each asked for.
  expect(fake.asked.length).toBeLessThan(20);
  await using fresh = fake.backend();
  expect((await fresh.list('k/', { after: 'k/30', max: 2 }, never)).objects.map(({ key }) => key)).toEqual([
    'k/31',
    'k/32',
  ]);
});

test('a server with another order of names beyond a page is told, and no key is lost without a word', async () => {
  await using fake = await FakeAzure.start();
  await using backend = fake.backend();
  for (const key of ['a', 'b', 'c', 'd']) await backend.put(key, Buffer.from('x'), never);
  fake.order = (one, other) => (one < other ? 1 : -1);
  fake.page = 2;
  const { next } = await backend.list('', { max: 9 }, never);
  await expect(backend.list('', { after: next, max: 9 }, never)).rejects.toMatchObject({ why: 'unsupported' });
});
