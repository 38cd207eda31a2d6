import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import type { Backend, BackendRead } from '../backend.ts';
import { backendConformance } from '../conformance.fixtures.ts';
import { type Fault, FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { passing } from './passing.fixtures.ts';
import { Watched } from './watched.ts';

const bytes = Buffer.alloc(300_000, 'shoal');
const whole = { start: 0, end: bytes.length };

async function made(...faults: Fault[]) {
  const clock = new VirtualClock();
  const faulty = new FaultyBackend(new MemoryBackend('main'));
  await faulty.write('key', sourceOf(bytes), never);
  faulty.fail(...faults);
  return { clock, faulty, backend: new Watched(faulty, { clock, stallMs: 5_000 }) };
}

async function came(backend: Backend, range: BackendRead): Promise<{ bytes: number; why: unknown }> {
  let count = 0;
  try {
    for await (const chunk of backend.read('key', range, never)) count += chunk.length;
    return { bytes: count, why: undefined };
  } catch (error) {
    return { bytes: count, why: (error as { why?: unknown }).why ?? error };
  }
}

describe('a backend that is watched', () =>
  backendConformance(
    async () => new Watched(new MemoryBackend('test'), { clock: new VirtualClock(), stallMs: 1_000 }),
    {
      objects: 100,
      loads: true,
    },
  ));

test.each([0, 1, 100_000, bytes.length - 1])('an answer that ends after %i bytes is damaged', async (at) => {
  const { backend } = await made({ on: 'read', what: 'truncated', at });
  expect(await came(backend, whole)).toEqual({ bytes: at, why: 'damaged' });
});

test('no byte more goes out than was asked for', async () => {
  const { backend } = await made({ on: 'read', what: 'longer', times: 2 });
  expect(await came(backend, whole)).toEqual({ bytes: bytes.length, why: 'damaged' });
  expect(await came(backend, { start: 5, end: 5 })).toEqual({ bytes: 0, why: 'damaged' });
  expect(await came(backend, { start: 5, end: 5 })).toEqual({ bytes: 0, why: undefined });
});

test.each(['stat', 'read', 'put', 'list', 'remove', 'probe'] as const)('a %s that hangs has stalled', async (on) => {
  const { backend, clock } = await made({ on, what: 'hang' });
  const calls: Record<typeof on, () => Promise<unknown>> = {
    stat: () => backend.stat('key', never),
    read: () => bytesOf(backend.read('key', whole, never)),
    put: () => backend.put('key', bytes, never),
    list: () => backend.list('', { max: 1 }, never),
    remove: () => backend.remove('key', never),
    probe: () => backend.probe(never),
  };
  const call = calls[on]();
  await expect(passing(clock, call)).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringMatching(/^main: .*5 s/),
  });
  expect([clock.ms, clock.waiting]).toEqual([5_000, 0]);
});

test.each([0, 1, 150_000])('a read and a write that hang after %i bytes have stalled', async (at) => {
  const { backend, clock } = await made({ on: 'read', what: 'hang', at }, { on: 'write', what: 'hang', at });
  const { given } = await passing(clock, came(backend, whole));
  expect(given).toEqual({ bytes: at, why: 'stalled' });
  const writing = backend.write('other', sourceOf(bytes), never);
  await expect(passing(clock, writing)).rejects.toMatchObject({ why: 'stalled' });
  expect(clock.waiting).toBe(0);
});

test('a reader, and a source, may take their time', async () => {
  const { backend, clock } = await made();
  let count = 0;
  for await (const chunk of backend.read('key', whole, never)) {
    count += chunk.length;
    clock.until(clock.ms + 60_000);
  }
  expect(count).toBe(bytes.length);
  const source = sourceOf(bytes);
  const slow = {
    ...source,
    async *read(start: number, end: number, signal: AbortSignal) {
      for await (const chunk of source.read(start, end, signal)) {
        clock.until(clock.ms + 60_000);
        yield chunk;
      }
    },
  };
  expect(await backend.write('other', slow, never)).toMatchObject({ size: bytes.length });
});

test('one that does not heed its signal is left', async () => {
  const { clock } = await made();
  const deaf = new MemoryBackend('deaf');
  deaf.stat = () => new Promise(() => undefined);
  const backend = new Watched(deaf, { clock, stallMs: 1_000 });
  const abort = new AbortController();
  const answer = backend.stat('key', abort.signal);
  abort.abort(new Error('enough'));
  await expect(answer).rejects.toThrow('enough');
  await expect(passing(clock, backend.stat('key', never))).rejects.toMatchObject({ why: 'stalled' });
});

test('a list that is out of order, of others, or without an end is damaged; what fails otherwise is unavailable', async () => {
  const { clock } = await made();
  const lying = new MemoryBackend('lying');
  const backend = new Watched(lying, { clock, stallMs: 1_000 });
  const given = (keys: string[], next?: string) => {
    lying.list = async () => ({ objects: keys.map((key) => ({ key, size: 1 })), next });
    return backend.list('a', { after: 'ab', max: 9 }, never).then(
      () => 'fine',
      (error: { why?: string }) => error.why,
    );
  };
  expect(await given(['ac', 'ad'], 'ad')).toBe('fine');
  expect(await given(['ad', 'ac'])).toBe('damaged');
  expect(await given(['ac', 'ac'])).toBe('damaged');
  expect(await given(['ab'])).toBe('damaged');
  expect(await given(['b'])).toBe('damaged');
  expect(await given([], 'ab')).toBe('damaged');
  lying.stat = async () => {
    throw new TypeError('socket hang up');
  };
  await expect(backend.stat('key', never)).rejects.toMatchObject({
    why: 'unavailable',
    message: 'lying: key: socket hang up',
  });
});

test.each([-1, 0.5, Number.NaN, 2 ** 60])('an object of %d bytes is none', async (size) => {
  const lying = new MemoryBackend('lying');
  const backend = new Watched(lying, { clock: new VirtualClock(), stallMs: 1_000 });
  lying.stat = async () => ({ size, version: '1' });
  lying.list = async () => ({ objects: [{ key: 'key', size }], next: undefined });
  const damaged = { why: 'damaged', message: expect.stringMatching(/^lying: .*key.* bytes/) };
  await expect(backend.stat('key', never)).rejects.toMatchObject(damaged);
  await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject(damaged);
});
