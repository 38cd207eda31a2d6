/** The kind gcs against fake-gcs-server: the conformance suite of all backends, large objects, and what goes wrong. */

import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { httpConformance } from '../../../platform/backends/conformance/http.fixtures.ts';
import { backendConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { gcsSchema } from '../../../platform/backends/gcs/config.ts';
import { GcsBackend } from '../../../platform/backends/gcs/gcs.ts';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { Relay } from './relay.ts';
import { type FakeGcsServer, startFakeGcsServer } from './servers/fake-gcs-server.ts';
import { started } from './servers/server.ts';

const log = createLog({ role: 'origin', level: 'silent', name: '' });
const stack = new AsyncDisposableStack();
let server: FakeGcsServer;
beforeAll(async () => {
  server = await started(stack, startFakeGcsServer);
});
afterAll(() => stack.disposeAsync());

function open(bucket: string, more: object = {}, opening: object = {}): GcsBackend {
  const settings = gcsSchema.parse({ ...server.rule.gcs, bucket, ...more });
  return new GcsBackend(settings, { name: 'main', stallMs: 10_000, env: {}, clock: realClock, log, ...opening });
}

async function newBucket(): Promise<string> {
  const bucket = `b-${randomUUID()}`;
  await server.makeBucket(bucket);
  return bucket;
}

describe('as any backend', () =>
  backendConformance(async () => open(await newBucket()), { objects: 1_100, loads: true }));

httpConformance({
  server: () => server.endpoint,
  make: async ({ base, ca, env, stallMs }) => open(server.rule.gcs.bucket, { endpoint: base, ca }, { env, stallMs }),
});

test('large objects are uploads, and are read by several requests at once', async () => {
  await using backend = open(await newBucket(), { prefix: 'in/here', parts: { size: '5MiB', parallel: 3 } });
  const bytes = randomBytes(33 * 2 ** 20 + 7);
  const source = sourceOf(bytes);
  const written = await backend.write('large', source, never);
  expect(written).toMatchObject({ size: bytes.length, digest: source.digest });
  expect(await backend.stat('large', never)).toEqual(written);
  const read = await bytesOf(backend.read('large', { start: 1, end: bytes.length, version: written.version }, never));
  expect(read.equals(bytes.subarray(1))).toBe(true);
});

test('a connection that is cut while an object is read costs what had not come', async () => {
  const bucket = await newBucket();
  await using relay = await Relay.start(server.endpoint);
  await using backend = open(bucket, { endpoint: relay.url, parts: { size: '5MiB', parallel: 2 } });
  const bytes = randomBytes(16 * 2 ** 20);
  await backend.write('large', sourceOf(bytes), never);
  const before = relay.down;
  relay.cutAfter = 2 * 2 ** 20;
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(relay.down - before).toBeLessThan(1.5 * bytes.length);
});

test('a server that is killed in the middle of an upload shows nothing of it, and takes it once it is back', async () => {
  const bucket = await newBucket();
  await using backend = open(bucket, { parts: { size: '5MiB', parallel: 2 } });
  const bytes = randomBytes(12 * 2 ** 20 + 5);
  const source = sourceOf(bytes);
  const killing = {
    ...source,
    async *read(start: number, end: number) {
      for (let at = start; at < end; at += 2 ** 20) {
        if (at >= 6 * 2 ** 20) await server.kill();
        yield bytes.subarray(at, Math.min(at + 2 ** 20, end));
      }
    },
  };
  await expect(backend.write('large', killing, never)).rejects.toMatchObject({ why: 'unavailable' });
  await server.start();
  expect(await backend.stat('large', never)).toBeUndefined();
  expect(await backend.write('large', source, never)).toMatchObject({ size: bytes.length });
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
});

test('bytes of another MD5 are refused by the server itself', async () => {
  const bucket = await newBucket();
  const answer = await fetch(`${server.endpoint}/upload/storage/v1/b/${bucket}/o?uploadType=multipart&name=x`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/related; boundary=b' },
    body: '--b\r\n\r\n{"md5Hash":"AAAAAAAAAAAAAAAAAAAAAA=="}\r\n--b\r\n\r\nx\r\n--b--\r\n',
  });
  expect(answer.status).toBe(400);
  await using backend = open(bucket);
  expect(await backend.stat('x', never)).toBeUndefined();
});

test('a bucket that is not there is told as such', async () => {
  await using backend = open('nobody-made-this-one');
  const gone = { why: 'missing', scope: 'bucket', message: expect.stringContaining('make the bucket') };
  await expect(backend.stat('x', never)).rejects.toMatchObject(gone);
  await expect(bytesOf(backend.read('x', { start: 0, end: 1 }, never))).rejects.toMatchObject(gone);
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject(gone);
  await expect(backend.write('x', sourceOf(randomBytes(9 * 2 ** 20)), never)).rejects.toMatchObject(gone);
  await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject(gone);
  await expect(backend.probe(never)).rejects.toMatchObject(gone);
});
