/** The kind testfs as one that speaks HTTP, which has no TLS: what all of those do. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { testfsSchema } from './config.ts';
import { TestfsServer } from './server.fixtures.ts';
import { TestfsBackend } from './testfs.ts';

describe('testfs', () => {
  let dir: string;
  let server: TestfsServer;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-testfs-'));
    server = await TestfsServer.start(dir);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  httpConformance({
    server: () => `http://${server.address}`,
    make: async ({ base, env, stallMs }) =>
      new TestfsBackend(testfsSchema.parse({ address: new URL(base).host }), {
        ...{ name: 'main', env, stallMs, clock: realClock },
      }),
    secure: false,
  });
});
