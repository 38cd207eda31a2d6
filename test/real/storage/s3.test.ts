/** The kind s3 against real servers: the conformance suite of all backends, and what only S3 has. */

import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../../platform/backends/backend.ts';
import { brokenConformance } from '../../../platform/backends/conformance/broken.fixtures.ts';
import { httpConformance } from '../../../platform/backends/conformance/http.fixtures.ts';
import { backendConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { bytesOf, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { s3Schema } from '../../../platform/backends/s3/config.ts';
import { S3Backend } from '../../../platform/backends/s3/s3.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { ofShort } from '../short.ts';
import { startMinio } from './servers/minio.ts';
import { keys, type S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const never = new AbortController().signal;
const log = createLog({ role: 'origin', level: 'silent', name: '' });

const servers = Object.entries({ versitygw: startVersitygw, minio: startMinio });

describe.each(ofShort(servers, ([name]) => name === 'versitygw'))('%s', (_, start) => {
  const stack = new AsyncDisposableStack();
  let server: S3Server;
  beforeAll(async () => {
    server = await started(stack, start);
  });
  afterAll(() => stack.disposeAsync());

  const opened = async (more: object = {}, opening: object = {}): Promise<Backend> => {
    const bucket = `b-${randomUUID()}`;
    await server.makeBucket(bucket);
    const settings = s3Schema.parse({ bucket, endpoint: server.endpoint, credentials: keys, ...more });
    return new S3Backend(settings, { name: 'test', stallMs: 10_000, env: {}, clock: realClock, log, ...opening });
  };

  describe('as any backend', () => backendConformance(opened, { objects: 1_100, loads: true }));

  httpConformance({
    server: () => server.endpoint,
    make: ({ base, ca, env, stallMs }) => opened({ bucket: 'images', endpoint: base, ca }, { env, stallMs }),
  });

  const secretAccessKey = 'of-nobody-at-all';
  brokenConformance([
    {
      what: 'a secret that is wrong',
      make: () => opened({ credentials: { ...keys, secretAccessKey } }),
      ...{ why: 'credentials', secret: secretAccessKey },
    },
    {
      what: 'a key that nobody has',
      make: () => opened({ credentials: { accessKeyId: 'nobody', secretAccessKey } }),
      ...{ why: 'credentials', secret: secretAccessKey },
    },
  ]);

  test('large objects go in parts, and are read by several requests at once', async () => {
    await using backend = await opened({ prefix: 'in/here', parts: { size: '5MiB', parallel: 3 } });
    const bytes = randomBytes(33 * 2 ** 20 + 7);
    const source = sourceOf(bytes);
    const written = await backend.write('large', source, never);
    expect(written).toMatchObject({ size: bytes.length, digest: source.digest });
    expect(await backend.stat('large', never)).toEqual(written);
    const read = await bytesOf(backend.read('large', { start: 1, end: bytes.length, version: written.version }, never));
    expect(read.equals(bytes.subarray(1))).toBe(true);
  });

  test('its probe finds nothing that it lacks', async () => {
    await using backend = await opened();
    await backend.probe(never);
    expect(backend.can).toMatchObject({ conditions: true, list: true });
    expect(await backend.list('', { max: 10 }, never)).toEqual({ objects: [], next: undefined });
  });
});
