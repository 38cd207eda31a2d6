/** The kind registry as one that speaks HTTP: what all of those do. */

import { afterAll, beforeAll, describe } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { registrySchema } from './config.ts';
import { FakeRegistry } from './fake.fixtures.ts';
import { registryKeys } from './layout.ts';
import { RegistryBackend } from './registry.ts';

describe('registry', () => {
  let fake: FakeRegistry;
  beforeAll(async () => {
    fake = await FakeRegistry.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());

  httpConformance({
    server: () => fake.url,
    make: async ({ base, ca, env, stallMs }) => {
      const { protocol, host } = new URL(base);
      const settings = { address: host, plainHttp: protocol === 'http:', ...(ca && { ca }) };
      return new RegistryBackend(registrySchema.parse(settings), { name: 'main', env, stallMs, clock: realClock });
    },
    keyOf: (digest) => registryKeys.blobKey(digest, 'library/app'),
  });
});
