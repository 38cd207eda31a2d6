import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sourceOf } from '../objects.fixtures.ts';
import { FakeS3 } from './fake.fixtures.ts';
import { listPagesMax } from './limits.ts';

const never = new AbortController().signal;
const parts = { size: 50_000, parallel: 2 };
const bytes = randomBytes(230_000);

/** An upload of which the server has all parts but the fourth, whose write was cut off there. */
async function cutOff(fake: FakeS3): Promise<void> {
  await using backend = fake.backend({ parts });
  fake.fault = ({ query }) => (query.get('partNumber') === '4' ? { status: 403, code: 'AccessDenied' } : undefined);
  await expect(backend.write('large', sourceOf(bytes), never)).rejects.toMatchObject({ why: 'denied' });
  fake.fault = () => undefined;
  expect(fake.uploads.size).toBe(1);
  expect(fake.objects.size).toBe(0);
  fake.asked.length = 0;
}

const stands = (fake: FakeS3): void => {
  expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
  expect(fake.uploads.size).toBe(0);
};

test('a write that was cut off is gone on with after a restart: parts that are there are not sent again', async () => {
  await using fake = await FakeS3.start();
  await cutOff(fake);
  await using backend = fake.backend({ parts });
  await backend.write('large', sourceOf(bytes), never);
  stands(fake);
  expect(fake.count('POST large?uploads')).toBe(0);
  expect(fake.count('PUT large?')).toBeLessThanOrEqual(2);
});

test('parts of other bytes, or of another size, are sent again', async () => {
  await using fake = await FakeS3.start();
  await cutOff(fake);
  const [upload] = fake.uploads.values();
  const first = upload?.parts.get(1);
  const second = upload?.parts.get(2);
  if (first === undefined || second === undefined) throw new Error('two parts were to be there');
  upload?.parts.set(1, { ...first, crc: second.crc, etag: second.etag, bytes: second.bytes });
  upload?.parts.set(2, { ...second, bytes: second.bytes.subarray(1) });
  await using backend = fake.backend({ parts });
  await backend.write('large', sourceOf(bytes), never);
  stands(fake);
});

test('by the ETag where the server lists no CRC-32', async () => {
  await using fake = await FakeS3.start();
  fake.old = true;
  await cutOff(fake);
  await using backend = fake.backend({ parts });
  await backend.write('large', sourceOf(bytes), never);
  stands(fake);
  expect(fake.count('PUT large?')).toBeLessThanOrEqual(2);
});

test('a list of parts, or of uploads, that never ends is read for a few pages', async () => {
  for (const endless of ['uploadId', 'uploads']) {
    await using fake = await FakeS3.start();
    await cutOff(fake);
    let page = 0;
    const listed = `<IsTruncated>true</IsTruncated>`;
    fake.fault = ({ method, query }) => {
      if (method !== 'GET' || !query.has(endless)) return undefined;
      page++;
      const next = endless === 'uploads' ? `<NextKeyMarker>a${page}</NextKeyMarker>` : '';
      return { status: 200, body: `<R>${listed}<NextPartNumberMarker>${page}</NextPartNumberMarker>${next}</R>` };
    };
    await using backend = fake.backend({ parts });
    await backend.write('large', sourceOf(bytes), never);
    expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
    expect(page).toBe(listPagesMax);
  }
});

test('what cannot be listed costs a new upload and nothing else', async () => {
  await using fake = await FakeS3.start();
  await cutOff(fake);
  fake.fault = ({ method, query }) =>
    method === 'GET' && query.has('uploads') ? { status: 501, code: 'NotImplemented' } : undefined;
  await using backend = fake.backend({ parts });
  await backend.write('large', sourceOf(bytes), never);
  expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
});

test('of several uploads of a key, those that are of these bytes go with the write; a foreign one stays', async () => {
  await using fake = await FakeS3.start();
  await cutOff(fake);
  const [first] = fake.uploads.values();
  if (first === undefined) throw new Error('an upload was to be there');
  fake.uploads.set('ours', { ...first, parts: new Map([...first.parts].slice(0, 1)) });
  const foreign = { bytes: Buffer.alloc(7), etag: '"7"', crc: 'AAAAAA==', meta: {} };
  fake.uploads.set('foreign', { ...first, parts: new Map([[1, foreign]]) });
  await using backend = fake.backend({ parts });
  await backend.write('large', sourceOf(bytes), never);
  expect([...fake.uploads.keys()]).toEqual(['foreign']);
});

test('wrong bytes of ours never become an object, and their upload goes', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts });
  const wrong = { ...sourceOf(bytes), digest: sourceOf(Buffer.alloc(1)).digest };
  await expect(backend.write('large', wrong, never)).rejects.toThrow(/mend the copy/);
  expect(fake.objects.has('large')).toBe(false);
  expect(fake.uploads.size).toBe(0);
});

test('a part that fails for a moment is sent again; one that the server got damaged as well', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts });
  const failed = new Map<string, number>();
  fake.fault = ({ query }) => {
    const part = query.get('partNumber');
    if (part === null) return undefined;
    failed.set(part, (failed.get(part) ?? 0) + 1);
    if (failed.get(part) !== 1) return undefined;
    if (part === '1') return { status: 503, code: 'SlowDown', headers: { 'retry-after': '0' } };
    return part === '2' ? { status: 400, code: 'BadDigest' } : { headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } };
  };
  await backend.write('large', sourceOf(bytes), never);
  stands(fake);
  expect([...failed.values()]).toEqual([2, 2, 2, 2, 2]);
});

test('another origin finishes the same key first: its object is what we wanted', async () => {
  await using fake = await FakeS3.start();
  await using one = fake.backend({ parts });
  await using other = fake.backend({ parts });
  let raced = false;
  fake.fault = ({ query }) => {
    if (query.get('partNumber') !== '5' || raced) return undefined;
    raced = true;
    fake.uploads.clear();
    return undefined;
  };
  const digest = sourceOf(bytes).digest;
  fake.objects.set('large', {
    ...{ bytes, etag: '"theirs"', crc: '', meta: { 'shoal-digest': digest } },
  });
  expect(await one.write('large', sourceOf(bytes), never)).toMatchObject({ version: '"theirs"', digest });
  await other.write('large', sourceOf(bytes), never);
});

test('an end that was not heard of is looked up', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts });
  fake.fault = ({ method, query }) => (method === 'POST' && query.has('uploadId') ? { cut: 9 } : undefined);
  const written = await backend.write('large', sourceOf(bytes), never);
  expect(written).toMatchObject({ size: bytes.length, digest: sourceOf(bytes).digest });
});
