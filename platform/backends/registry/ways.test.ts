/** The kind registry as one that speaks HTTP, and with credentials that do not do: what all of those do. */

import { afterAll, beforeAll, describe } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { realClock } from '../../net/clock.ts';
import { brokenConformance } from '../conformance/broken.fixtures.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { registrySchema } from './config.ts';
import { FakeRegistry } from './fake.fixtures.ts';
import { registryKeys } from './layout.ts';
import { RegistryBackend } from './registry.ts';

const keyOf = (digest: Digest): string => registryKeys.blobKey(digest, 'library/app');

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
    keyOf,
  });
});

describe('registry that wants to know who asks', () => {
  let fake: FakeRegistry;
  beforeAll(async () => {
    fake = await FakeRegistry.start();
    fake.wants = () => 'Basic realm="x"';
  });
  afterAll(() => fake[Symbol.asyncDispose]());

  const secret = 'of-nobody-at-all';
  brokenConformance(
    [
      { what: 'no credentials', make: async () => fake.backend(), why: 'credentials' },
      {
        what: 'a password of nobody',
        make: async () => fake.backend({ credentials: { username: 'shoal', password: secret } }),
        ...{ why: 'credentials', secret },
      },
    ],
    keyOf,
  );
});
