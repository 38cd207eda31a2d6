import { describe, expect, test } from 'vitest';
import { createLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { BackendRead } from '../backend.ts';
import { backendConformance } from '../conformance.fixtures.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { ShadowBackend } from './shadow.ts';

const log = createLog({ role: 'origin', level: 'silent', name: '' });

function made(both: boolean) {
  const metrics = new Metrics();
  const [believed, other] = ['one', 'two'].map((name) => new FaultyBackend(new MemoryBackend(name))) as [
    FaultyBackend,
    FaultyBackend,
  ];
  const backend = new ShadowBackend(believed, other, { name: 'main', both, metrics, log });
  const count = async (line: string): Promise<number> => {
    // Comparisons end in the background.
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    return Number((await metrics.text()).match(new RegExp(`^shoal_backend_shadow_${line} (.*)$`, 'm'))?.[1] ?? 0);
  };
  const compared = (result: string) => count(`compared_total{backend="main",result="${result}"}`);
  const failures = (operation: string) => count(`failures_total{backend="main",operation="${operation}"}`);
  return { backend, believed, other, compared, failures };
}

const source = sourceOf(Buffer.alloc(200_000, 'shoal'));
const whole: BackendRead = { start: 0, end: source.size };

describe('two backends, one of them believed', () =>
  backendConformance(async () => made(true).backend, { objects: 100 }));

test('both have what is written, and what is read is compared', async () => {
  const { backend, believed, other, compared } = made(true);
  await backend.write('key', source, never);
  await backend.put('small', Buffer.from('x'), never, { version: null });
  for (const one of [believed, other]) {
    expect(await one.stat('key', never)).toMatchObject({ size: source.size });
    expect(await one.stat('small', never)).toMatchObject({ size: 1 });
  }
  await backend.stat('key', never);
  await bytesOf(backend.read('key', whole, never));
  expect(await compared('same')).toBe(2);
});

test('differences are counted by what they are, and the answer is that of the one believed', async () => {
  const { backend, believed, other, compared } = made(true);
  await backend.write('key', source, never);
  await other.write('key', sourceOf(Buffer.alloc(source.size, 'other')), never);
  const read = await bytesOf(backend.read('key', whole, never));
  expect(read.equals(await bytesOf(source.read(0, source.size, never)))).toBe(true);
  expect(await compared('bytes')).toBe(1);
  await other.put('key', Buffer.from('short'), never);
  await backend.stat('key', never);
  await bytesOf(backend.read('key', whole, never));
  expect(await compared('size')).toBe(2);
  await other.remove('key', never);
  await backend.stat('key', never);
  await bytesOf(backend.read('key', whole, never));
  expect(await compared('missing')).toBe(2);
  await believed.remove('key', never);
  await other.put('key', Buffer.from('x'), never);
  expect(await backend.stat('key', never)).toBeUndefined();
  expect(await compared('extra')).toBe(1);
});

test('where both must have it, one that is down fails the write, and the next attempt makes it whole', async () => {
  const { backend, believed, other } = made(true);
  for (const down of [other, believed]) {
    down.fail({ on: 'write', what: 'unavailable' });
    await expect(backend.write('key', source, never)).rejects.toMatchObject({ why: 'unavailable' });
  }
  await backend.write('key', source, never);
  other.fail({ on: 'put', what: 'unavailable' });
  const put = () => backend.put('small', Buffer.from('x'), never, { version: null });
  await expect(put()).rejects.toMatchObject({ why: 'unavailable' });
  expect(await other.stat('small', never)).toBeUndefined();
  await put();
  for (const one of [believed, other]) expect(await one.stat('small', never)).toMatchObject({ size: 1 });
  const foreign = backend.put('small', Buffer.from('y'), never, { version: null });
  await expect(foreign).rejects.toMatchObject({ why: 'changed' });
});

test('else the other one may be down: counted, and nothing more; the believed one may not', async () => {
  const { backend, believed, other, compared, failures } = made(false);
  other.fail({ on: 'any', what: 'unavailable', times: 4 });
  await backend.write('key', source, never);
  await backend.put('small', Buffer.from('x'), never);
  await backend.stat('key', never);
  await bytesOf(backend.read('key', whole, never));
  expect([await failures('write'), await failures('put'), await compared('failed')]).toEqual([1, 1, 2]);
  believed.fail({ on: 'any', what: 'unavailable', times: 2 });
  await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'unavailable' });
  await expect(backend.write('key', source, never)).rejects.toMatchObject({ why: 'unavailable' });
});

test('one that hangs keeps no reader waiting, nor more than a few comparisons', async () => {
  const { backend, other, compared } = made(true);
  await backend.write('key', source, never);
  other.fail({ on: 'stat', what: 'hang', times: 100 });
  for (let n = 0; n < 10; n++) expect(await backend.stat('key', never)).toBeDefined();
  expect(await compared('not compared')).toBe(6);
  expect(other.count('stat')).toBe(4);
});
