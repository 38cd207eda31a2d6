import { expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { sourceOf } from '../objects.fixtures.ts';
import { s3Schema } from './config.ts';
import { FakeS3 } from './fake.fixtures.ts';
import { S3Backend } from './s3.ts';

const never = new AbortController().signal;
const log = createLog({ role: 'origin', level: 'silent', name: '' });
const bytes = Buffer.from('ten bytes!');
const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };

const open = (more: object, env: Record<string, string> = {}): S3Backend =>
  new S3Backend(
    s3Schema.parse({ bucket: 'bucket', region: 'eu-central-1', credentials: { ...credentials }, ...more }),
    {
      ...{ name: 'main', stallMs: 5_000, env, clock: realClock, log },
    },
  );

test('the bucket is in the path, or in the name of the host', async () => {
  await using fake = await FakeS3.start();
  const urls: string[] = [];
  fake.fault = ({ path }) => void urls.push(path);
  // A proxy is asked for the whole of a URL.
  const env = { HTTP_PROXY: fake.endpoint };
  await using inPath = open({ endpoint: 'http://s3.test' }, env);
  await inPath.remove('a/b', never);
  await using inHost = open({ endpoint: 'http://s3.test', pathStyle: false }, env);
  await inHost.remove('a/b', never);
  expect(urls.map((url) => url.split('?')[0])).toEqual(['http://s3.test/bucket/a/b', 'http://bucket.s3.test/a/b']);
});

test('encryption, storage class and digest go with every object', async () => {
  await using fake = await FakeS3.start();
  const seen: unknown[] = [];
  fake.fault = ({ method, key, query, headers }) => {
    const begins = (method === 'PUT' && !query.has('partNumber')) || (method === 'POST' && query.has('uploads'));
    if (begins && !key.includes('.shoal'))
      seen.push(
        ['server-side-encryption', 'server-side-encryption-aws-kms-key-id', 'storage-class'].map(
          (name) => headers[`x-amz-${name}`],
        ),
      );
    return undefined;
  };
  const parts = { size: 50_000, parallel: 2 };
  await using kms = fake.backend({ encryption: { kms: 'key-1' }, storageClass: 'STANDARD_IA', parts });
  await kms.write('small', sourceOf(bytes), never);
  await kms.write('large', sourceOf(Buffer.alloc(200_000)), never);
  await using own = fake.backend({ encryption: 's3' });
  await own.put('put', bytes, never);
  expect(seen[0]).toEqual(['aws:kms', 'key-1', 'STANDARD_IA']);
  expect(seen).toEqual([seen[0], seen[0], ['AES256', undefined, undefined]]);
  expect(fake.objects.get('large')?.meta).toEqual({ 'shoal-digest': sourceOf(Buffer.alloc(200_000)).digest });
});
