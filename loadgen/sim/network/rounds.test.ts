import { expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { SimEvent } from '../events.ts';
import { RoundQueue } from './rounds.ts';

class Note extends SimEvent {
  readonly #run: () => void;
  constructor(host: number, run: () => void) {
    super();
    this.host = host;
    this.#run = run;
  }
  run(): void {
    this.#run();
  }
}

test('every event runs once, in the round nearest to its time, near and far', () => {
  const queue = new RoundQueue(0.25);
  const random = prng(7);
  let seen = 0;
  for (let i = 0; i < 3000; i++) {
    // Some lie several turns of the wheel ahead.
    const at = random.unit() * (i % 10 === 0 ? 9_000 : 50);
    const due = Math.max(1, Math.round(at / 0.25)) * 0.25;
    queue.schedule(
      new Note(i % 7, () => {
        seen++;
        expect(queue.nowMs).toBeCloseTo(due, 6);
      }),
      at,
    );
  }
  expect(queue.run(1e9)).toBe(false);
  expect([seen, queue.count]).toEqual([3000, 3000]);
});

test('within a round: events of no host, then host by host in order of their first event, each in order of scheduling', () => {
  const queue = new RoundQueue(1);
  const seen: string[] = [];
  const note = (host: number, name: string): void => queue.schedule(new Note(host, () => seen.push(name)), 5);
  note(3, '3a');
  note(1, '1a');
  note(3, '3b');
  note(-1, 'none');
  note(1, '1b');
  queue.run(10);
  expect(seen).toEqual(['none', '3a', '3b', '1a', '1b']);
});

test('nothing runs in the round that schedules it, dead events are passed over, and time stops where it is told', () => {
  const queue = new RoundQueue(1);
  const seen: number[] = [];
  const dead = new Note(0, () => seen.push(-1));
  queue.schedule(dead, 2);
  dead.dead = true;
  queue.schedule(new Note(0, () => queue.schedule(new Note(0, () => seen.push(queue.nowMs)), queue.nowMs)), 2);
  queue.schedule(new Note(0, () => seen.push(queue.nowMs)), 9);
  expect(queue.run(5)).toBe(true);
  expect(seen).toEqual([3]);
  queue.schedule(new Note(0, () => queue.halt()), 7);
  queue.schedule(new Note(1, () => seen.push(queue.nowMs)), 7);
  expect(queue.run(100)).toBe(false);
  expect(seen).toEqual([3, 7]);
  expect(queue.run(100)).toBe(false);
  expect(seen).toEqual([3, 7, 9]);
});
