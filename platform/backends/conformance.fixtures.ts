/** What every backend does, whatever is behind it: run by each kind's own test. */

import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Digest, parseDigest } from '../../core/digest.ts';
import type { Backend, ObjectSource } from './backend.ts';

const never = new AbortController().signal;

export function sourceOf(bytes: Uint8Array): ObjectSource & { readonly digest: Digest } {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  if (digest === undefined) throw new Error('no digest');
  return {
    size: bytes.length,
    digest,
    async *read(start, end) {
      for (let at = start; at < end; at += 100_000) yield bytes.subarray(at, Math.min(end, at + 100_000));
    },
  };
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

export function backendConformance(make: () => Promise<Backend>): void {
  test('what is written is read back, whole and by range, and its size is told', async () => {
    await using backend = await make();
    const bytes = randomBytes(1_000_003);
    await backend.write('a/b', sourceOf(bytes), never);
    expect(await backend.stat('a/b', never)).toMatchObject({ size: bytes.length });
    expect(bytes.equals(await bytesOf(backend.read('a/b', { start: 0, end: bytes.length }, never)))).toBe(true);
    const part = await bytesOf(backend.read('a/b', { start: 17, end: 900_001 }, never));
    expect(bytes.subarray(17, 900_001).equals(part)).toBe(true);
  });

  test('an object that is not there: stat says so, read throws missing', async () => {
    await using backend = await make();
    expect(await backend.stat('nowhere', never)).toBeUndefined();
    await expect(bytesOf(backend.read('nowhere', { start: 0, end: 1 }, never))).rejects.toMatchObject({
      why: 'missing',
    });
  });

  test('bytes of another digest are not taken, and what was there stays', async () => {
    await using backend = await make();
    const right = sourceOf(randomBytes(1000));
    await backend.write('key', right, never);
    const wrong = { ...sourceOf(randomBytes(1000)), digest: right.digest };
    await expect(backend.write('key', wrong, never)).rejects.toMatchObject({ why: 'damaged' });
    expect(await backend.stat('key', never)).toMatchObject({ size: 1000 });
  });
}
