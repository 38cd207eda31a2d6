/** The kind s3 while its server is killed, hangs, or loses what it was given: nothing is lost, nothing wrong is written. */

import { randomBytes, randomUUID } from 'node:crypto';
import { DeleteBucketCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOf, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { s3Schema } from '../../../platform/backends/s3/config.ts';
import { S3Backend } from '../../../platform/backends/s3/s3.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { ofShort } from '../short.ts';
import { Relay } from './relay.ts';
import { startMinio } from './servers/minio.ts';
import { keys, type S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const never = new AbortController().signal;
const log = createLog({ role: 'origin', level: 'silent', name: '' });
const partBytes = 5 * 2 ** 20;
const bytes = randomBytes(8 * partBytes + 1);
const stallMs = 1_000;

const servers = Object.entries({ versitygw: startVersitygw, minio: startMinio });

describe.each(ofShort(servers, ([name]) => name === 'versitygw'))('%s', (_, start) => {
  const stack = new AsyncDisposableStack();
  let server: S3Server;
  beforeAll(async () => {
    server = await started(stack, start);
  });
  afterAll(() => stack.disposeAsync());

  const open = (bucket: string, more: object = {}): S3Backend => {
    const settings = s3Schema.parse({
      ...{ bucket, endpoint: server.endpoint, credentials: { ...keys }, parts: { size: '5MiB', parallel: 2 }, ...more },
    });
    return new S3Backend(settings, { name: 'main', stallMs, env: {}, clock: realClock, log });
  };
  const newBucket = async (): Promise<string> => {
    const bucket = `b-${randomUUID()}`;
    await server.makeBucket(bucket);
    return bucket;
  };

  /** `bytes`, in whose middle something happens. */
  const interrupted = (happens: () => Promise<void>) => ({
    ...sourceOf(bytes),
    async *read() {
      for (let at = 0; at < bytes.length; at += 2 ** 20) {
        if (at === 20 * 2 ** 20) await happens();
        yield bytes.subarray(at, at + 2 ** 20);
      }
    },
  });

  test('killed in the middle of a write in parts, and started again: the parts that it has are not sent again', async () => {
    const bucket = await newBucket();
    await using backend = open(bucket);
    await backend.probe(never);
    await expect(
      backend.write(
        'large',
        interrupted(() => server.kill()),
        never,
      ),
    ).rejects.toMatchObject({
      name: 'BackendError',
      why: expect.stringMatching(/^(unavailable|stalled)$/),
      message: expect.stringMatching(/^main: cannot write part \d+ of s3:\/\/b-.*\/large: /),
    });
    await server.start();
    expect(await uploads(server, bucket)).toBe(1);
    await using relay = await Relay.start(server.endpoint);
    await using again = open(bucket, { endpoint: relay.url });
    expect(await again.write('large', sourceOf(bytes), never)).toMatchObject({ size: bytes.length });
    expect((await bytesOf(again.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
    expect(await uploads(server, bucket)).toBe(0);
    // At least two parts were there.
    expect(relay.up).toBeLessThan(bytes.length - 2 * partBytes);
  });

  test('a connection that is cut at any tenth of a body: what came is right, and the rest comes by the next call', async () => {
    await using relay = await Relay.start(server.endpoint);
    await using backend = open(await newBucket(), { endpoint: relay.url });
    const { version } = await backend.write('large', sourceOf(bytes), never);
    let came = 0;
    for (let cut = 0; came < bytes.length; cut++) {
      if (cut < 10) relay.cutAfter = Math.max(1, Math.floor((cut * partBytes) / 10));
      const range = { start: came, end: bytes.length, version };
      try {
        for await (const chunk of backend.read('large', range, never)) {
          expect(bytes.subarray(came, came + chunk.length).equals(chunk)).toBe(true);
          came += chunk.length;
        }
      } catch (error) {
        expect(error).toMatchObject({ name: 'BackendError', why: expect.stringMatching(/^(unavailable|damaged)$/) });
      }
      expect(cut).toBeLessThan(20);
    }
    expect(came).toBe(bytes.length);
  });

  test('it hangs in the middle of a write, and goes on later: the call ends in time, and the next one goes on', async () => {
    const bucket = await newBucket();
    await using backend = open(bucket);
    await backend.probe(never);
    const stop = async (): Promise<void> => void process.kill(server.pid, 'SIGSTOP');
    try {
      const startedMs = performance.now();
      await expect(backend.write('large', interrupted(stop), never)).rejects.toMatchObject({ why: 'stalled' });
      // Three attempts at a part, and pauses between.
      expect(performance.now() - startedMs).toBeLessThan(30_000);
      await expect(backend.stat('large', never)).rejects.toMatchObject({ why: 'stalled' });
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await backend.write('large', sourceOf(bytes), never);
    expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  });

  test('it hangs while it is read: the read ends, and goes on where it stood', async () => {
    const bucket = await newBucket();
    await using backend = open(bucket);
    const { version } = await backend.write('large', sourceOf(bytes), never);
    let came = 0;
    const read = async (stopAt: number): Promise<void> => {
      for await (const chunk of backend.read('large', { start: came, end: bytes.length, version }, never)) {
        expect(bytes.subarray(came, came + chunk.length).equals(chunk)).toBe(true);
        came += chunk.length;
        if (came > stopAt) process.kill(server.pid, 'SIGSTOP');
      }
    };
    try {
      await expect(read(3_000_000)).rejects.toMatchObject({ why: 'stalled' });
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    expect(came).toBeLessThan(bytes.length);
    await read(Number.POSITIVE_INFINITY);
    expect(came).toBe(bytes.length);
  });

  test('wrong keys, and a bucket that vanishes, are told as such', async () => {
    const bucket = await newBucket();
    await using wrong = open(bucket, { credentials: { ...keys, secretAccessKey: 'other' } });
    await expect(wrong.probe(never)).rejects.toMatchObject({ why: 'credentials' });
    await using unknown = open(bucket, { credentials: { accessKeyId: 'nobody', secretAccessKey: 'other' } });
    await expect(unknown.put('x', bytes.subarray(0, 9), never)).rejects.toMatchObject({ why: 'credentials' });
    await using backend = open(bucket);
    await backend.probe(never);
    const client = server.client();
    await client.send(new DeleteBucketCommand({ Bucket: bucket }));
    client.destroy();
    const gone = { why: 'missing', scope: 'bucket', message: expect.stringContaining('make the bucket') };
    await expect(backend.stat('x', never)).rejects.toMatchObject(gone);
    await expect(bytesOf(backend.read('x', { start: 0, end: 1 }, never))).rejects.toMatchObject(gone);
    await expect(backend.put('x', bytes.subarray(0, 9), never)).rejects.toMatchObject(gone);
    await expect(backend.write('large', sourceOf(bytes), never)).rejects.toMatchObject(gone);
    await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject(gone);
    await expect(backend.probe(never)).rejects.toMatchObject(gone);
  });
});

/** Uploads that are not finished. */
async function uploads(server: S3Server, bucket: string): Promise<number> {
  const client = server.client();
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'large' }));
  client.destroy();
  return Uploads.length;
}
