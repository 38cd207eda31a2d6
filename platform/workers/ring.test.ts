/** The ring from both sides, at the wrap of its counters, full, and closed. */

import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Ring } from './ring.ts';

const record = (value: number): Uint8Array => new Uint8Array(new Int32Array([value, ~value]).buffer);
const value = (bytes: Uint8Array): number => new Int32Array(bytes.slice().buffer)[0] as number;

for (const start of [0, -5, 0x7fffffff - 3]) {
  test(`keeps order and says when it is full, counters from ${start}`, () => {
    const ring = Ring.create(4, 8, start);
    const other = Ring.attach(ring.memory);
    const into = new Uint8Array(8);
    let next = 0;
    let expected = 0;
    for (let round = 0; round < 40; round += 1) {
      let put = 0;
      while (ring.tryPut(record(next))) {
        next += 1;
        put += 1;
      }
      expect(put).toBe(round === 0 ? 4 : 1 + ((round - 1) % 4));
      for (let take = 0; take < 1 + (round % 4); take += 1) {
        expect(other.tryTake(into)).toBe(true);
        expect(value(into)).toBe(expected);
        expected += 1;
      }
    }
    while (other.tryTake(into)) expected += 1;
    expect(expected).toBe(next);
  });
}

test('a close lets what is in it be taken, then ends both kinds of waiting', async () => {
  const ring = Ring.create(4, 8);
  const into = new Uint8Array(8);
  ring.tryPut(record(7));
  ring.close();
  ring.close();
  expect(await ring.ready()).toBe(true);
  expect(ring.take(into)).toBe(true);
  expect(ring.take(into)).toBe(false);
  expect(await ring.ready()).toBe(false);
  expect(() => ring.tryPut(record(1))).toThrow('put after close');
});

test('a close wakes who waits already', async () => {
  const ring = Ring.create(4, 8);
  const ready = ring.ready();
  setImmediate(() => ring.close());
  expect(await ready).toBe(false);
});

test('a put wakes who waits already', async () => {
  const ring = Ring.create(4, 8);
  const ready = ring.ready();
  setImmediate(() => ring.tryPut(record(3)));
  expect(await ready).toBe(true);
});

test('a thread that echoes: every record comes back once, in order', async () => {
  const there = Ring.create(8, 8, 0x7fffffff - 100);
  const back = Ring.create(8, 8, -100);
  const url = new URL('./ring.ts', import.meta.url).href;
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Ring } = await import(${JSON.stringify(url)});
    const there = Ring.attach(workerData.there), back = Ring.attach(workerData.back);
    const record = new Uint8Array(8);
    while (there.take(record)) while (!back.tryPut(record));
    back.close();`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { there: there.memory, back: back.memory },
  });
  const total = 5000;
  const into = new Uint8Array(8);
  let sent = 0;
  let got = 0;
  const fill = (): void => {
    while (sent < total && there.tryPut(record(sent))) sent += 1;
    if (sent === total) there.close();
  };
  fill();
  while (await back.ready()) {
    while (back.tryTake(into)) {
      expect(value(into)).toBe(got);
      got += 1;
    }
    if (!there.closed) fill();
  }
  expect(got).toBe(total);
  await worker.terminate();
});

test('a consumer that sleeps between any two records misses none', async () => {
  const there = Ring.create(8, 8);
  const back = Ring.create(8, 8);
  const url = new URL('./ring.ts', import.meta.url).href;
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Ring } = await import(${JSON.stringify(url)});
    const there = Ring.attach(workerData.there), back = Ring.attach(workerData.back);
    const record = new Uint8Array(8);
    while (there.take(record)) back.tryPut(record);
    back.close();`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { there: there.memory, back: back.memory },
  });
  const into = new Uint8Array(8);
  // One at a time: each side falls asleep at any moment relative to the other's put.
  for (let i = 0; i < 3000; i += 1) {
    there.tryPut(record(i));
    expect(await back.ready()).toBe(true);
    expect(back.tryTake(into)).toBe(true);
    expect(value(into)).toBe(i);
  }
  there.close();
  expect(await back.ready()).toBe(false);
  await worker.terminate();
});
