import { describe, expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { realClock } from '../../net/clock.ts';
import type { BackendCause } from '../backend.ts';
import { backendConformance } from '../conformance.fixtures.ts';
import { type Fault, FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { passing } from './passing.fixtures.ts';
import { Patient } from './patient.ts';
import { Watched } from './watched.ts';

const bytes = Buffer.alloc(1_000_000, 'shoal');

async function made(...faults: Fault[]) {
  const clock = new VirtualClock();
  const faulty = new FaultyBackend(new MemoryBackend('main'));
  const { version } = await faulty.write('key', sourceOf(bytes), never);
  faulty.fail(...faults);
  const backend = new Patient(new Watched(faulty, { clock, stallMs: 5_000 }), { clock, prng: prng(3) });
  return { clock, faulty, backend, whole: { start: 0, end: bytes.length, version } };
}

describe('a backend that is asked again', () =>
  backendConformance(async () => new Patient(new MemoryBackend('test'), { clock: realClock, prng: prng(1) }), {
    objects: 100,
    loads: true,
  }));

test.each(['unavailable', 'throttled', 'stalled', 'damaged'] as const)('%s is tried again', async (what) => {
  const { backend, clock, faulty } = await made({ on: 'stat', what });
  expect((await passing(clock, backend.stat('key', never))).given).toMatchObject({ size: bytes.length });
  expect(faulty.count('stat')).toBe(2);
});

const final: BackendCause[] = ['missing', 'denied', 'credentials', 'changed', 'full', 'unsupported', 'refused'];
test.each(final)('%s is told at once', async (what) => {
  const { backend, clock, faulty, whole } = await made({ on: 'any', what, times: 3 });
  await expect(backend.stat('key', never)).rejects.toMatchObject({ why: what });
  await expect(bytesOf(backend.read('key', whole, never))).rejects.toMatchObject({ why: what });
  await expect(backend.write('key', sourceOf(bytes), never)).rejects.toMatchObject({ why: what });
  expect([clock.ms, faulty.calls.length]).toEqual([0, 4]);
});

test('what stays away is given up after a few attempts, within its time', async () => {
  const { backend, clock, faulty } = await made({ on: 'stat', what: 'unavailable', times: 100 });
  await expect(passing(clock, backend.stat('key', never))).rejects.toMatchObject({ why: 'unavailable' });
  expect(faulty.count('stat')).toBe(4);
  expect(clock.ms).toBeLessThanOrEqual(10_000);
  expect(clock.waiting).toBe(0);
});

test.each(['truncated', 'unavailable', 'stalled', 'throttled', 'hang'] as const)(
  'a read that is %s at every tenth goes on where it stopped, of the same version',
  async (what) => {
    const cuts = Array.from({ length: 9 }, (): Fault => ({ on: 'read', what, at: 100_000 }));
    const { backend, clock, faulty, whole } = await made(...cuts);
    const { given } = await passing(clock, bytesOf(backend.read('key', whole, never)));
    expect(given.equals(bytes)).toBe(true);
    const starts = faulty.calls.filter(({ operation }) => operation === 'read').map(({ start }) => start);
    expect(starts).toEqual(Array.from({ length: 10 }, (_, i) => i * 100_000));
  },
);

test('an object that changes while a read is cut is not mixed with another one', async () => {
  const { backend, clock, faulty, whole } = await made({ on: 'read', what: 'unavailable', at: 300_000 });
  const reading = (async () => {
    let count = 0;
    for await (const chunk of backend.read('key', whole, never)) {
      count += chunk.length;
      if (count === chunk.length) await faulty.write('key', sourceOf(Buffer.alloc(bytes.length, 'other')), never);
    }
  })();
  await expect(passing(clock, reading)).rejects.toMatchObject({ why: 'changed' });
});

test('without a version a read is tried again only before its first byte', async () => {
  const { backend, clock, whole } = await made(
    { on: 'read', what: 'unavailable' },
    { on: 'read', what: 'unavailable', at: 10 },
  );
  const reading = bytesOf(backend.read('key', { ...whole, version: undefined }, never));
  await expect(passing(clock, reading)).rejects.toMatchObject({ why: 'unavailable' });
});

test('a backend that throttles is left alone by all, for as long as it asks', async () => {
  const { backend, clock, faulty } = await made({ on: 'stat', what: 'throttled', afterMs: 2_000 });
  const first = backend.stat('key', never);
  await new Promise<void>((resolve) => setImmediate(resolve));
  const others = Array.from({ length: 10 }, () => backend.stat('key', never));
  clock.until(1_990);
  await new Promise<void>((resolve) => setImmediate(resolve));
  expect(faulty.count('stat')).toBe(1);
  await passing(clock, Promise.all([first, ...others]));
  expect(faulty.count('stat')).toBe(12);
});

test('who would have to wait for long is told so, and how long', async () => {
  const { backend } = await made({ on: 'stat', what: 'throttled', afterMs: 3_600_000 });
  await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'throttled', afterMs: 3_600_000 });
  const other = backend.stat('key', never);
  await expect(other).rejects.toMatchObject({ why: 'throttled' });
  await backend.probe(never);
});

test('one that asks for an hour, perhaps for one object alone, is asked for others after a minute or so', async () => {
  const { backend, clock, faulty } = await made({ on: 'stat', what: 'throttled', afterMs: 3_600_000 });
  await expect(backend.stat('key', never)).rejects.toMatchObject({ afterMs: 3_600_000 });
  clock.until(10_000);
  await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'throttled' });
  expect(faulty.count('stat')).toBe(1);
  clock.until(62_000);
  expect(await backend.stat('key', never)).toBeDefined();
});

test('a write is made again from its beginning, but not of wrong bytes', async () => {
  const { backend, clock, faulty } = await made({ on: 'write', what: 'unavailable', at: 500_000 });
  const other = sourceOf(Buffer.alloc(1_000_000, 'other'));
  await passing(clock, backend.write('key', other, never));
  expect(await backend.stat('key', never)).toMatchObject({ digest: other.digest });
  const before = faulty.count('write');
  await expect(backend.write('key', { ...other, digest: sourceOf(bytes).digest }, never)).rejects.toMatchObject({
    why: 'damaged',
  });
  expect(faulty.count('write') - before).toBe(1);
});

test('a conditional put that was done but not answered has been done; one that was not is told', async () => {
  const { backend, clock, faulty } = await made({ on: 'put', what: 'applied' });
  const mine = backend.put('new', Buffer.from('mine'), never, { version: null });
  const { given } = await passing(clock, mine);
  expect(await faulty.stat('new', never)).toEqual(given);
  faulty.fail({ on: 'put', what: 'unavailable' });
  const late = backend.put('late', Buffer.from('mine'), never, { version: null });
  await new Promise<void>((resolve) => setImmediate(resolve));
  await faulty.put('late', Buffer.from('other'), never);
  await expect(passing(clock, late)).rejects.toMatchObject({ why: 'changed' });
});

test('a signal ends the pause', async () => {
  const { backend } = await made({ on: 'stat', what: 'unavailable', times: 9 });
  const abort = new AbortController();
  const answer = backend.stat('key', abort.signal);
  await new Promise<void>((resolve) => setImmediate(resolve));
  abort.abort(new Error('enough'));
  await expect(answer).rejects.toThrow('enough');
});
