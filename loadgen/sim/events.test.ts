import { expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { EventQueue, SimEvent } from './events.ts';

class Note extends SimEvent {
  readonly #run: () => void;
  constructor(run: () => void) {
    super();
    this.#run = run;
  }
  run(): void {
    this.#run();
  }
}

test('events run in order of time, then of scheduling, near, far and nested', () => {
  const queue = new EventQueue();
  const random = prng(7);
  const expected: number[] = [];
  const seen: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const at = random.unit() * (i % 10 === 0 ? 60_000 : 50);
    expected.push(at);
    queue.schedule(new Note(() => seen.push(queue.nowMs)), at);
  }
  queue.schedule(new Note(() => queue.schedule(new Note(() => seen.push(queue.nowMs)), queue.nowMs + 0.001)), 10);
  expected.push(10.001);
  queue.run(1e9, () => false);
  expect(seen).toEqual(expected.sort((a, b) => a - b));
});

test('equal times keep the order of scheduling; dead events are passed over', () => {
  const queue = new EventQueue();
  const seen: string[] = [];
  const dead = new Note(() => seen.push('dead'));
  queue.schedule(new Note(() => seen.push('a')), 5);
  queue.schedule(dead, 5);
  queue.schedule(new Note(() => seen.push('b')), 5);
  dead.dead = true;
  queue.run(100, () => false);
  expect(seen).toEqual(['a', 'b']);
});

test('a run stops at its limit and goes on from there', () => {
  const queue = new EventQueue();
  const seen: number[] = [];
  for (const at of [1, 2, 3, 4000]) queue.schedule(new Note(() => seen.push(at)), at);
  expect(queue.run(2.5, () => false)).toBe(true);
  expect(seen).toEqual([1, 2]);
  queue.schedule(new Note(() => seen.push(2.7)), 2.7);
  queue.run(1e6, () => false);
  expect(seen).toEqual([1, 2, 2.7, 3, 4000]);
});
