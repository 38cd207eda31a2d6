/** The kind http as one that speaks HTTP, and with credentials that do not do: what all of those do. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { brokenConformance } from '../conformance/broken.fixtures.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { BlobServer } from './blobs.fixtures.ts';
import { httpSchema } from './config.ts';
import { HttpBackend } from './http.ts';

const keyOf = (digest: string): string => digest;

describe('http', () => {
  let server: BlobServer;
  beforeAll(async () => {
    server = await BlobServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  httpConformance({
    server: () => server.base,
    make: async ({ base, ca, env, stallMs }) =>
      new HttpBackend(httpSchema.parse({ download: `${base}/blobs/%s`, ...(ca && { ca }) }), {
        ...{ name: 'main', env, stallMs, clock: realClock },
      }),
    keyOf,
    fill: async (bytes) => void server.blobs.set(createHash('sha256').update(bytes).digest('hex'), bytes),
  });
});

describe('http that wants to know who asks', () => {
  let server: BlobServer;
  beforeAll(async () => {
    server = await BlobServer.start({ authorization: 'Bearer right' });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const secret = 'of-nobody-at-all';
  brokenConformance(
    [
      { what: 'no credentials', make: async () => server.backend(), why: 'credentials' },
      {
        what: 'a token of nobody',
        make: async () => server.backend({ auth: { token: secret } }),
        why: 'credentials',
        secret,
      },
      {
        what: 'a password of nobody',
        make: async () => server.backend({ auth: { username: 'shoal', password: secret } }),
        ...{ why: 'credentials', secret },
      },
    ],
    keyOf,
  );
});
