/** The kind s3 as one that speaks HTTP: what all of those do. */

import { afterAll, beforeAll, describe } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { httpConformance } from '../conformance/http.fixtures.ts';
import { s3Schema } from './config.ts';
import { FakeS3 } from './fake.fixtures.ts';
import { S3Backend } from './s3.ts';

describe('s3', () => {
  let fake: FakeS3;
  beforeAll(async () => {
    fake = await FakeS3.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());

  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
  const log = createLog({ role: 'origin', level: 'silent', name: '' });
  httpConformance({
    server: () => fake.endpoint,
    make: async ({ base, env, ca, stallMs }) =>
      new S3Backend(s3Schema.parse({ bucket: 'bucket', endpoint: base, credentials, ...(ca && { ca }) }), {
        ...{ name: 'main', clock: realClock, log, env, stallMs },
      }),
  });
});
