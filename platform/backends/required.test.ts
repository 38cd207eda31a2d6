import { expect, test } from 'vitest';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { passing } from './around/passing.fixtures.ts';
import { type Fault, FaultyBackend } from './faulty.fixtures.ts';
import { MemoryBackend } from './memory.ts';
import { RequiredBackends } from './required.ts';

function made(...faults: Fault[]) {
  const clock = new VirtualClock();
  const faulty = new FaultyBackend(new MemoryBackend('main'));
  faulty.fail(...faults);
  const required = new RequiredBackends([faulty, new MemoryBackend('other')], clock);
  return { clock, faulty, required, problems: async () => (await passing(clock, required.problems())).given };
}

test('it is probed once, then asked every few seconds, however many ask', async () => {
  const { clock, faulty, problems, required } = made();
  expect(await problems()).toEqual([]);
  await Promise.all(Array.from({ length: 50 }, () => required.problems()));
  expect([faulty.count('probe'), faulty.count('stat')]).toEqual([1, 0]);
  clock.until(clock.ms + 6_000);
  expect(await problems()).toEqual([]);
  expect([faulty.count('probe'), faulty.count('stat')]).toEqual([1, 1]);
  clock.until(clock.ms + 600_000);
  await problems();
  expect(faulty.count('probe')).toBe(2);
});

test('what fails is told, with the cause, and is tried whole once it answers', async () => {
  const { clock, faulty, problems } = made({ on: 'probe', what: 'denied' });
  expect(await problems()).toEqual([expect.stringMatching(/^backend denied: main: /)]);
  expect(await problems()).toHaveLength(1);
  expect(faulty.count('probe')).toBe(1);
  clock.until(clock.ms + 1_500);
  expect(await problems()).toEqual([]);
  faulty.fail({ on: 'stat', what: 'unavailable' });
  clock.until(clock.ms + 6_000);
  expect(await problems()).toHaveLength(1);
  clock.until(clock.ms + 1_500);
  expect(await problems()).toEqual([]);
  expect(faulty.count('probe')).toBe(3);
});

test('one that hangs keeps nobody waiting, and is asked once', async () => {
  const { clock, faulty, required } = made({ on: 'any', what: 'hang' });
  const { given, ms } = await passing(clock, Promise.all([required.problems(), required.problems()]));
  expect(given.flat()).toEqual(
    Array.from({ length: 2 }, () => expect.stringMatching(/^backend main has not answered/)),
  );
  expect(ms).toBeLessThan(1_000);
  await passing(clock, required.problems());
  expect(faulty.count('probe')).toBe(1);
  faulty.heal();
  expect((await passing(clock, required.problems())).given).toEqual([]);
  expect(clock.waiting).toBe(0);
  required[Symbol.dispose]();
});
