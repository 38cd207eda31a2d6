/** URLs for readers without credentials: for the host that they see, of the right object, and for so long. */

import { expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { realClock } from '../../net/clock.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { wrapped } from '../around/wrapped.ts';
import { s3Schema } from './config.ts';
import { FakeS3 } from './fake.fixtures.ts';

const never = new AbortController().signal;
const redirect = (said: object) => s3Schema.shape.redirect.parse(said);

test('none without `redirect`', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  expect(backend.presign).toBeUndefined();
});

test('signed for the host that readers see, below the prefix, through every wrapper; the server is not asked', async () => {
  await using fake = await FakeS3.start();
  const said = { redirect: { endpoint: 'https://public.example:8443', ttl: '2m' }, prefix: 'in/side' };
  const options = {
    ...{ clock: realClock, metrics: new Metrics(), prng: prng(1), sharers: () => 1, stallMs: 5_000 },
    limits: { reads: 1, writes: 1, of: 'origin' as const },
  };
  await using backend = wrapped(fake.backend(said), options);
  const url = new URL((await backend.presign?.('a/b c', never)) ?? '');
  expect([url.origin, url.pathname]).toEqual(['https://public.example:8443', '/bucket/in/side/a/b%20c']);
  expect(url.searchParams.get('X-Amz-Expires')).toBe('120');
  expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('host');
  expect(url.searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/);
  expect(fake.asked).toEqual([]);
});

test('the bucket in the host, or the endpoint of the rule itself', async () => {
  await using fake = await FakeS3.start();
  await using hosted = fake.backend({ redirect: { endpoint: 'https://public.example', pathStyle: false } });
  expect(new URL((await hosted.presign?.('k', never)) ?? '').host).toBe('bucket.public.example');
  await using same = fake.backend({ redirect: {} });
  expect(await same.presign?.('k', never)).toMatch(new RegExp(`^${fake.endpoint}/bucket/k\\?`));
});

test('a time that S3 signs no URL for is refused', () => {
  expect(redirect({})).toEqual({ ttl: 300_000 });
  expect(() => redirect({ ttl: '8d' })).toThrow(/at most 7d/);
  expect(() => redirect({ ttl: '1s' })).toThrow(/at least 10s/);
  expect(() => redirect({ endpoint: 'public.example' })).toThrow(/expected a URL/);
});
