/** A bucket that others write to as well: nothing there is removed, and no upload of theirs is taken up or ended. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { never, sourceOf } from '../objects.fixtures.ts';
import { FakeS3 } from './fake.fixtures.ts';

const parts = { size: 50_000, parallel: 2 };

async function cutOff(fake: FakeS3, shared: boolean, bytes: Buffer): Promise<void> {
  await using backend = fake.backend({ parts, shared });
  fake.fault = ({ method, query }) =>
    method === 'PUT' && query.get('partNumber') === '3' ? { status: 403, code: 'AccessDenied' } : undefined;
  await expect(backend.write('large', sourceOf(bytes), never)).rejects.toMatchObject({ why: 'denied' });
  fake.fault = () => undefined;
}

test('an upload of the key that somebody has under way is not gone on with, as one of ours would be, nor ended', async () => {
  const bytes = randomBytes(230_000);
  for (const shared of [false, true]) {
    await using fake = await FakeS3.start();
    await cutOff(fake, false, bytes);
    const [theirs] = fake.uploads.keys();
    await using backend = fake.backend({ parts, shared });
    await backend.write('large', sourceOf(bytes), never);
    expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
    expect(fake.uploads.has(theirs as string)).toBe(shared);
    expect(fake.count('DELETE large')).toBe(0);
  }
});

test('what a write that failed had begun is ended, as nobody would go on with it; nothing of others is', async () => {
  const bytes = randomBytes(230_000);
  await using fake = await FakeS3.start();
  await cutOff(fake, false, bytes);
  const [theirs] = fake.uploads.keys();
  await cutOff(fake, true, bytes);
  expect([...fake.uploads.keys()]).toEqual([theirs]);
});

test('a probe writes one object, always the same, and removes none', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ shared: true });
  for (let n = 0; n < 3; n++) await backend.probe(never);
  expect([...fake.objects.keys()]).toEqual(['_shoal/probe']);
  expect(fake.count('DELETE')).toBe(0);
  expect(backend.can.conditions).toBe(true);
});
