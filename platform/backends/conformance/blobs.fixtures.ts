/** Blobs under keys that a kind has of its own: of the conformance suite. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import type { Backend } from '../backend.ts';
import { bytesOf, type Conforming, never, sourceOf } from '../objects.fixtures.ts';
import { interrupted } from './interrupted.fixtures.ts';

export type BlobKeeping = {
  /** The key of a blob, as the kind's layout has it. */
  readonly keyOf: (digest: Digest) => string;
  /** Puts a blob there by another way than ours: needed where the backend writes none. */
  readonly fill?: (bytes: Buffer, backend: Backend) => Promise<void>;
};
type Blobs = Pick<Conforming, 'make' | 'can'> & BlobKeeping;

const sizes = [0, 1, 1000, 1_000_003, 24 * 1024 * 1024 + 7];

const fillerOf =
  ({ keyOf, fill }: Blobs) =>
  async (bytes: Buffer, backend: Backend): Promise<string> => {
    const source = sourceOf(bytes);
    await (fill === undefined ? backend.write(keyOf(source.digest), source, never) : fill(bytes, backend));
    return keyOf(source.digest);
  };

export function blobsConformanceOf(blobs: Blobs): void {
  const { make, keyOf, can } = blobs;
  const filled = fillerOf(blobs);

  test.each(sizes)('a blob of %i bytes is found, and read whole and by range', { timeout: 60_000 }, async (size) => {
    await using backend = await make();
    const bytes = randomBytes(size);
    const key = await filled(bytes, backend);
    const found = await backend.stat(key, never);
    expect(found).toMatchObject({ size });
    expect([undefined, sourceOf(bytes).digest]).toContain(found?.digest);
    const read = (start: number, end: number): Promise<Buffer> =>
      bytesOf(backend.read(key, { start, end, version: found?.version }, never));
    expect(bytes.equals(await read(0, size))).toBe(true);
    for (const [start, end] of [
      [Math.floor(size / 3), Math.ceil((size * 2) / 3)],
      [Math.max(0, size - 1), size],
      [0, Math.min(1, size)],
      [size, size],
    ] as const)
      expect(bytes.subarray(start, end).equals(await read(start, end))).toBe(true);
  });

  test('a blob that is not there: stat says so, read throws missing', async () => {
    await using backend = await make();
    const key = keyOf(sourceOf(randomBytes(10)).digest);
    expect(await backend.stat(key, never)).toBeUndefined();
    const read = bytesOf(backend.read(key, { start: 0, end: 10 }, never));
    await expect(read).rejects.toMatchObject({ why: 'missing', message: expect.stringContaining(key) });
  });

  test('a range that goes beyond the blob is an error, and no fewer bytes without a word', async () => {
    await using backend = await make();
    const key = await filled(randomBytes(1000), backend);
    for (const [start, end] of [
      [0, 1001],
      [1000, 1001],
      [5000, 6000],
    ] as const)
      await expect(bytesOf(backend.read(key, { start, end }, never))).rejects.toMatchObject({ why: 'damaged' });
  });

  test('a blob of another version than the one that was asked for is not read', async () => {
    await using backend = await make();
    const key = await filled(randomBytes(1000), backend);
    const range = { start: 1, end: 1000, version: '"it never had this one"' };
    await expect(bytesOf(backend.read(key, range, never))).rejects.toMatchObject({ why: 'changed' });
  });

  if (can.writes)
    test('bytes of another digest are not taken, nor too few or too many', async () => {
      await using backend = await make();
      const right = sourceOf(randomBytes(1000));
      const key = keyOf(right.digest);
      const wrong = { ...sourceOf(randomBytes(1000)), digest: right.digest };
      const read = (): AsyncIterable<Uint8Array> => right.read(0, 1000, never);
      for (const source of [wrong, { ...right, size: 999, read }, { ...right, size: 1001, read }]) {
        await expect(backend.write(key, source, never)).rejects.toMatchObject({ why: 'damaged' });
        expect(await backend.stat(key, never)).toBeUndefined();
      }
      await backend.write(key, right, never);
      // Whoever writes what is there already may be told so without a byte of it.
      await backend.write(key, right, never);
      expect(await backend.stat(key, never)).toMatchObject({ size: 1000 });
    });
}

export function blobEndsConformance(blobs: Blobs): void {
  const { make, keyOf, can } = blobs;
  const filled = fillerOf(blobs);

  test('each call ends with its signal', async () => {
    await using backend = await make();
    const key = await filled(randomBytes(1000), backend);
    const ended = AbortSignal.abort(new Error('enough'));
    await expect(backend.probe(ended)).rejects.toThrow('enough');
    await expect(backend.stat(key, ended)).rejects.toThrow('enough');
    await expect(bytesOf(backend.read(key, { start: 0, end: 9 }, ended))).rejects.toThrow('enough');
    if (can.writes) await expect(backend.write(key, sourceOf(randomBytes(9)), ended)).rejects.toThrow('enough');
  });

  test('a read that is ended gives nothing more; one that is left leaves nothing behind', async () => {
    await using backend = await make();
    const bytes = randomBytes(3_000_000);
    const key = await filled(bytes, backend);
    const abort = new AbortController();
    let came = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of backend.read(key, { start: 0, end: bytes.length }, abort.signal)) {
        came += chunk.length;
        abort.abort(new Error('enough'));
      }
    };
    await expect(reading()).rejects.toThrow('enough');
    expect(came).toBeLessThan(bytes.length);
    for await (const _ of backend.read(key, { start: 0, end: bytes.length }, never)) break;
    expect(bytes.equals(await bytesOf(backend.read(key, { start: 0, end: bytes.length }, never)))).toBe(true);
  });

  if (can.writes)
    test.each([0, 1, 5, 9])('a write that is ended at tenth %i of its bytes leaves no blob', async (tenth) => {
      await using backend = await make();
      const source = sourceOf(randomBytes(1_000_000));
      const key = keyOf(source.digest);
      const abort = new AbortController();
      const ending = interrupted(source, tenth * 100_000, () => abort.abort(new Error('enough')));
      await expect(backend.write(key, ending, abort.signal)).rejects.toThrow('enough');
      const failing = interrupted(source, tenth * 100_000, () => {
        throw new Error('the source failed');
      });
      await expect(backend.write(key, failing, never)).rejects.toThrow('the source failed');
      expect(await backend.stat(key, never)).toBeUndefined();
      await backend.write(key, source, never);
      const read = await bytesOf(backend.read(key, { start: 0, end: source.size }, never));
      expect(read.equals(await bytesOf(source.read(0, source.size, never)))).toBe(true);
    });
}
