/** The faulty backend fails as it says: what else would a test that uses it show? */

import { expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { addOne } from './conformance/conditions.fixtures.ts';
import { type Fault, FaultyBackend } from './faulty.fixtures.ts';
import { MemoryBackend } from './memory.ts';
import { bytesOf, sourceOf } from './objects.fixtures.ts';

const never = new AbortController().signal;
const bytes = Buffer.alloc(300_000, 'shoal');
const range = { start: 0, end: bytes.length };

async function made(...faults: Fault[]): Promise<FaultyBackend> {
  const faulty = new FaultyBackend(new MemoryBackend('test'));
  await faulty.write('key', sourceOf(bytes), never);
  faulty.fail(...faults);
  return faulty;
}

test('without a fault it does what the other one does, and notes the calls', async () => {
  await using faulty = await made();
  expect(bytes.equals(await bytesOf(faulty.read('key', range, never)))).toBe(true);
  expect(faulty.calls.map(({ operation }) => operation)).toEqual(['write', 'read']);
});

test.each([0, 1, 65_536, 100_000])('a read that fails after %i bytes', async (at) => {
  await using faulty = await made({ on: 'read', what: 'credentials', at }, { on: 'read', what: 'truncated', at });
  let came = 0;
  const reading = async () => {
    for await (const chunk of faulty.read('key', range, never)) came += chunk.length;
  };
  await expect(reading()).rejects.toMatchObject({ why: 'credentials' });
  expect(came).toBe(at);
  expect((await bytesOf(faulty.read('key', range, never))).length).toBe(at);
  expect((await bytesOf(faulty.read('key', range, never))).length).toBe(bytes.length);
});

test('other bytes, more bytes, another size, another object in the middle', async () => {
  await using faulty = await made(
    { on: 'read', what: 'foreign' },
    { on: 'read', what: 'longer' },
    { on: 'read', what: 'changes', at: 1000 },
    { on: 'stat', what: 'size' },
  );
  const read = () => bytesOf(faulty.read('key', range, never));
  const foreign = await read();
  expect([foreign.length, bytes.equals(foreign)]).toEqual([bytes.length, false]);
  expect((await read()).length).toBeGreaterThan(bytes.length);
  const mixed = await read();
  expect([mixed.subarray(0, 1000).equals(bytes.subarray(0, 1000)), mixed.length]).toEqual([true, bytes.length]);
  expect(mixed.equals(bytes)).toBe(false);
  expect((await faulty.stat('key', never))?.size).toBeGreaterThan(bytes.length);
});

test('what hangs ends with its signal, or goes on once healed', async () => {
  await using faulty = await made({ on: 'any', what: 'hang', times: 3 });
  const abort = new AbortController();
  const stat = faulty.stat('key', abort.signal);
  abort.abort(new Error('enough'));
  await expect(stat).rejects.toThrow('enough');
  const later = faulty.stat('key', never);
  faulty.heal();
  expect(await later).toMatchObject({ size: bytes.length });
});

test('a write that is cut, lost, or done without an answer', async () => {
  await using faulty = await made(
    { on: 'write', what: 'unavailable', at: 150_000 },
    { on: 'write', what: 'lost' },
    { on: 'write', what: 'applied' },
  );
  const write = () => faulty.write('new', sourceOf(bytes), never);
  await expect(write()).rejects.toMatchObject({ why: 'unavailable' });
  await write();
  expect(await faulty.stat('new', never)).toBeUndefined();
  await expect(write()).rejects.toMatchObject({ why: 'unavailable' });
  expect(await faulty.stat('new', never)).toMatchObject({ size: bytes.length });
});

test('by chance: the same seed, the same failures', async () => {
  const run = async (seed: number): Promise<string> => {
    await using faulty = await made();
    faulty.sometimes(prng(seed), 0.5);
    const ends: string[] = [];
    for (let i = 0; i < 50; i++) {
      const reading = bytesOf(faulty.read('key', range, AbortSignal.timeout(20)));
      ends.push(
        await reading.then(
          ({ length }) => String(length),
          (error: Error) => error.message,
        ),
      );
    }
    return ends.join('\n');
  };
  const first = await run(7);
  expect(await run(7)).toBe(first);
  expect(await run(8)).not.toBe(first);
});

test('a backend that refuses every write under a condition is found out, and not tried for ever', async () => {
  const backend = new FaultyBackend(new MemoryBackend('main'));
  backend.fail({ on: 'put', what: 'changed', times: Number.POSITIVE_INFINITY });
  await expect(addOne(backend)).rejects.toThrow('turns of one writer were lost');
});
