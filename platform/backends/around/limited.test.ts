import { expect, test } from 'vitest';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { Limited, type LimitedOptions } from './limited.ts';
import { passing } from './passing.fixtures.ts';

const bytes = Buffer.alloc(1_000_000, 1);
const whole = { start: 0, end: bytes.length };
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

async function made(limits: Partial<LimitedOptions['limits']>, sharers = () => 1) {
  const clock = new VirtualClock();
  const faulty = new FaultyBackend(new MemoryBackend('main'));
  await faulty.write('key', sourceOf(bytes), never);
  const all = { reads: 2, writes: 1, of: 'origin' as const, ...limits };
  return { clock, faulty, backend: new Limited(faulty, { limits: all, sharers, clock }) };
}

test('no more are under way at once, and who waits has its turn in order', async () => {
  const { faulty, backend } = await made({});
  faulty.fail({ on: 'read', what: 'hang', times: 2 }, { on: 'write', what: 'hang' }, { on: 'put', what: 'hang' });
  const reads = Array.from({ length: 5 }, () => bytesOf(backend.read('key', whole, never)));
  const writes = [backend.write('a', sourceOf(bytes), never), backend.put('b', Buffer.alloc(1), never)];
  await tick();
  // The first write was before there was a limit.
  expect([faulty.count('read'), faulty.count('write'), faulty.count('put')]).toEqual([2, 2, 0]);
  expect(await backend.stat('key', never)).toBeDefined();
  faulty.heal();
  await Promise.all([...reads, ...writes]);
  expect([faulty.count('read'), faulty.count('put')]).toEqual([5, 1]);
});

test('who is left while it waits leaves its place to others; too many are told to come again', async () => {
  const { faulty, backend } = await made({ reads: 1 });
  faulty.fail({ on: 'read', what: 'hang' });
  const first = bytesOf(backend.read('key', whole, never));
  const abort = new AbortController();
  const left = bytesOf(backend.read('key', whole, abort.signal));
  await tick();
  abort.abort(new Error('enough'));
  await expect(left).rejects.toThrow('enough');
  const waiting = Array.from({ length: 1024 }, () => bytesOf(backend.read('key', { start: 0, end: 1 }, never)));
  await tick();
  await expect(bytesOf(backend.read('key', whole, never))).rejects.toMatchObject({ why: 'throttled' });
  faulty.heal();
  expect((await first).length).toBe(bytes.length);
  await Promise.all(waiting);
});

test('bytes go no faster than they may, of all transfers together', async () => {
  const { clock, backend } = await made({ up: 1_000_000, down: 2_000_000, writes: 4 });
  const writes = ['a', 'b', 'c'].map((key) => backend.write(key, sourceOf(bytes), never));
  const up = await passing(clock, Promise.all(writes));
  expect(up.ms).toBeGreaterThanOrEqual(2_800);
  expect(up.ms).toBeLessThan(3_200);
  const reads = ['a', 'b', 'c'].map((key) => bytesOf(backend.read(key, whole, never)));
  const down = await passing(clock, Promise.all(reads));
  expect(down.ms).toBeGreaterThanOrEqual(1_300);
  expect(down.ms).toBeLessThan(1_700);
});

test('limits of the cluster are divided by the origins that live, as they come and go', async () => {
  let sharers = 4;
  const { clock, faulty, backend } = await made({ of: 'cluster', reads: 8, down: 2_000_000 }, () => sharers);
  const { ms } = await passing(clock, bytesOf(backend.read('key', whole, never)));
  expect(ms).toBeGreaterThanOrEqual(1_800);
  faulty.fail({ on: 'read', what: 'hang', times: 8 });
  const begun = faulty.count('read');
  const reads = Array.from({ length: 8 }, () => bytesOf(backend.read('key', { start: 0, end: 1 }, never)));
  await tick();
  expect(faulty.count('read') - begun).toBe(2);
  sharers = 1;
  const last = bytesOf(backend.read('key', { start: 0, end: 1 }, never));
  faulty.heal();
  await passing(clock, Promise.all([...reads, last]));
  expect(faulty.count('read') - begun).toBe(9);
});
