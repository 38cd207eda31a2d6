/** The kind hdfs as one that speaks HTTP: what all of those do. */

import { afterAll, beforeAll, describe } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { hdfsSchema } from './config.ts';
import { FakeHdfs } from './fake.fixtures.ts';
import { HdfsBackend } from './hdfs.ts';

describe('hdfs', () => {
  let fake: FakeHdfs;
  beforeAll(async () => {
    fake = await FakeHdfs.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());

  const log = createLog({ role: 'origin', level: 'silent', name: '' });
  httpConformance({
    server: () => `http://${fake.address}`,
    make: async ({ base, env, ca, stallMs }) => {
      const { protocol, host } = new URL(base);
      const settings = { nameNodes: [host], https: protocol === 'https:', directory: '/root', user: 'shoal', ca };
      return new HdfsBackend(hdfsSchema.parse(settings), { name: 'main', clock: realClock, log, env, stallMs });
    },
  });
});
