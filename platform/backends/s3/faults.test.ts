import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { retryAfterMsMax } from '../backend.ts';
import { bytesOf, sourceOf } from '../objects.fixtures.ts';
import { type FakeFault, FakeS3 } from './fake.fixtures.ts';
import { answerBytesMax, listPagesMax } from './limits.ts';

const never = new AbortController().signal;
const bytes = Buffer.from('ten bytes!');

const said: readonly (readonly [FakeFault, object])[] = [
  [
    { status: 503, code: 'SlowDown', headers: { 'retry-after': '7' } },
    { why: 'throttled', afterMs: 7000 },
  ],
  [{ status: 500, code: 'SlowDown' }, { why: 'throttled' }],
  [{ status: 503, code: 'ServiceUnavailable' }, { why: 'throttled' }],
  [{ status: 429, code: 'TooManyRequests' }, { why: 'throttled' }],
  [{ status: 500, code: 'InternalError' }, { why: 'unavailable' }],
  [{ status: 502, body: '<html>Bad Gateway</html>' }, { why: 'unavailable' }],
  [{ status: 403, code: 'AccessDenied' }, { why: 'denied' }],
  [{ status: 403, code: 'InvalidAccessKeyId' }, { why: 'credentials' }],
  [{ status: 403, code: 'SignatureDoesNotMatch' }, { why: 'credentials' }],
  [{ status: 400, code: 'ExpiredToken' }, { why: 'credentials' }],
  [
    { status: 403, code: 'RequestTimeTooSkewed' },
    { why: 'credentials', message: expect.stringMatching(/clock of this host/) },
  ],
  [
    { status: 404, code: 'NoSuchBucket' },
    { why: 'missing', scope: 'bucket', message: expect.stringMatching(/make the bucket/) },
  ],
  [
    { status: 400, code: 'AuthorizationHeaderMalformed' },
    { why: 'refused', message: expect.stringMatching(/`region`/) },
  ],
  [{ status: 507, code: 'XMinioStorageFull' }, { why: 'full' }],
  [{ status: 501, code: 'NotImplemented' }, { why: 'unsupported' }],
  [{ status: 412, code: 'PreconditionFailed' }, { why: 'changed' }],
  [{ status: 409, code: 'ConditionalRequestConflict' }, { why: 'changed' }],
  [{ status: 400, code: 'BadDigest' }, { why: 'damaged' }],
  [{ status: 400, code: 'KeyTooLongError' }, { why: 'refused' }],
];

test.each(said)('%o is told as %o, with backend, object and remedy', async (fault, expected) => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ prefix: 'p' });
  fake.objects.set('p/x', { bytes, etag: '"1"', crc: '', meta: {} });
  fake.fault = ({ method }) => (method === 'GET' ? fault : undefined);
  const failed = bytesOf(backend.read('x', { start: 0, end: 5 }, never));
  await expect(failed).rejects.toMatchObject({ name: 'BackendError', ...expected });
  await expect(failed).rejects.toThrow(/^main: cannot read s3:\/\/bucket\/p\/x: .*: .+/);
});

test('an answer that is cut, too short, of another range or of no S3', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  fake.objects.set('x', { bytes, etag: '"1"', crc: '', meta: {} });
  const read = (end: number) => bytesOf(backend.read('x', { start: 0, end }, never));
  await expect(read(11)).rejects.toMatchObject({
    why: 'damaged',
    message: expect.stringMatching(/has 10 bytes, and 11/),
  });
  fake.fault = () => ({ cut: 2 });
  await expect(read(9)).rejects.toMatchObject({ why: 'unavailable' });
  fake.fault = () => ({ headers: { 'content-range': 'bytes 1-9/10' } });
  await expect(read(9)).rejects.toMatchObject({ why: 'damaged' });
  fake.fault = () => ({ status: 200, body: 'hello' });
  await expect(read(9)).rejects.toMatchObject({ why: 'unsupported' });
});

test('whatever hangs ends as stalled, and whoever is not there as unavailable', async () => {
  const fake = await FakeS3.start();
  await using backend = fake.backend({}, 300);
  fake.objects.set('x', { bytes, etag: '"1"', crc: '', meta: {} });
  fake.fault = () => 'hang';
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'stalled' });
  await expect(backend.write('y', sourceOf(bytes), never)).rejects.toMatchObject({ why: 'stalled' });
  await expect(backend.list('', { max: 1 }, never)).rejects.toMatchObject({ why: 'stalled' });
  await fake[Symbol.asyncDispose]();
  await expect(backend.stat('x', never)).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/ECONN/),
  });
});

test('stat tells an object from a bucket that is not there', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  expect(await backend.stat('x', never)).toBeUndefined();
  fake.fault = () => ({ status: 404, code: 'NoSuchBucket' });
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'missing', scope: 'bucket' });
  fake.fault = () => ({ status: 404, body: '<html><body>Not Found</body></html>' });
  await expect(backend.stat('x', never)).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/no S3/),
  });
  await expect(bytesOf(backend.read('x', { start: 0, end: 1 }, never))).rejects.toMatchObject({ why: 'unavailable' });
});

test('keys that a file has by now are used at once, and wrong ones are looked up once, not for ever', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-s3-'));
  try {
    const file = join(dir, 'keys');
    const give = (key: string): void =>
      writeFileSync(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key = s\naws_session_token = t\n`);
    give('first');
    await using fake = await FakeS3.start();
    await using backend = fake.backend({ credentials: { file } });
    let valid = 'first';
    fake.fault = ({ headers }) =>
      headers.authorization?.includes(`Credential=${valid}/`) === true
        ? undefined
        : { status: 400, code: 'ExpiredToken' };
    await backend.put('x', bytes, never);
    valid = 'second';
    await expect(backend.put('x', bytes, never)).rejects.toMatchObject({ why: 'credentials' });
    give('second');
    // Within the pause after the last look it is not read again.
    await expect(backend.put('x', bytes, never)).rejects.toMatchObject({ why: 'credentials' });
    await using later = fake.backend({ credentials: { file } });
    await later.put('y', bytes, never);
    give('third');
    valid = 'third';
    await Promise.all([1, 2, 3].map((n) => later.put(`z${n}`, bytes, never)));
    expect(fake.objects.has('z3')).toBe(true);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('no keys anywhere: said as such, before anything is sent', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ credentials: { file: '/nowhere/keys' } });
  await expect(backend.stat('x', never)).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringContaining(
      'no keys of profile default of file /nowhere/keys: the file cannot be read (ENOENT)',
    ),
  });
  const dir = mkdtempSync(join(tmpdir(), 'shoal-s3-'));
  try {
    const file = join(dir, 'keys');
    writeFileSync(file, '[default]\naws_access_key_id = k\naws_secret_access_key = s\n');
    await using other = fake.backend({ credentials: { file, profile: 'nobody' } });
    await expect(other.stat('x', never)).rejects.toMatchObject({
      why: 'credentials',
      message: expect.stringContaining(`no keys of profile nobody of file ${file}: `),
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
  expect(fake.asked).toEqual([]);
});

test("our clock is set right by the server's, once", async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  fake.objects.set('x', { bytes, etag: '"1"', crc: '', meta: {} });
  const hour = 3_600_000;
  const dates: string[] = [];
  fake.fault = ({ headers }) => {
    dates.push(String(headers['x-amz-date']));
    const ahead = new Date(Date.now() + hour).toUTCString();
    return dates.length === 1 ? { status: 403, code: 'RequestTimeTooSkewed', headers: { date: ahead } } : undefined;
  };
  expect((await bytesOf(backend.read('x', { start: 0, end: 10 }, never))).equals(bytes)).toBe(true);
  expect(dates).toHaveLength(2);
  expect(dates[0]?.slice(0, 11)).not.toBe(dates[1]?.slice(0, 11));
});

test('an answer that does not end is left, and none of it is kept', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  const body = `<ListBucketResult>${' '.repeat(answerBytesMax)}</ListBucketResult>`;
  for (const status of [200, 403, 500]) {
    fake.fault = () => ({ status, body });
    await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject({
      name: 'BackendError',
      message: expect.stringMatching(/^main: cannot list .*more than 16777216 bytes/),
    });
  }
});

test('who asks to be left alone for years is asked again within the hour', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  for (const [said, afterMs] of [
    ['1e300', retryAfterMsMax],
    ['999999999', retryAfterMsMax],
    ['-5', undefined],
    ['soon', undefined],
  ] as const) {
    fake.fault = () => ({ status: 503, code: 'SlowDown', headers: { 'retry-after': said } });
    await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject({ why: 'throttled', afterMs });
  }
});

test('a page without keys is not the end of a list, and such pages end', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend();
  const page = (token: string, more = '') =>
    `<ListBucketResult>${more}<IsTruncated>${token !== ''}</IsTruncated>${token && `<NextContinuationToken>${token}</NextContinuationToken>`}</ListBucketResult>`;
  const last = page('', '<Contents><Key>k</Key><Size>3</Size></Contents>');
  fake.fault = ({ query }) => ({ status: 200, body: query.get('continuation-token') === 't' ? last : page('t') });
  expect(await backend.list('', { max: 9 }, never)).toEqual({ objects: [{ key: 'k', size: 3 }], next: undefined });
  fake.fault = () => ({ status: 200, body: page('t') });
  await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject({ why: 'unsupported' });
  expect(fake.asked).toHaveLength(2 + listPagesMax);
});
