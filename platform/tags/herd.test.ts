import { expect, test } from 'vitest';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { Herd } from './herd.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An engine whose reads take `tookMs` and see the value of when they began; it counts them. */
class Engine {
  readonly clock = new VirtualClock();
  readonly herd = new Herd<number>(this.clock);
  value = 0;
  reads = 0;
  running = 0;
  stopped = 0;
  tookMs = 1;
  fails = false;

  read(signal?: AbortSignal, key = 'a'): Promise<number> {
    return this.herd.read(key, (stop) => this.#ask(stop), signal);
  }

  async #ask(stop: AbortSignal): Promise<number> {
    this.reads += 1;
    this.running += 1;
    const { value, fails } = this;
    stop.addEventListener('abort', () => {
      this.stopped += 1;
    });
    await new Promise<void>((resolve) => this.clock.after(this.tookMs, resolve));
    this.running -= 1;
    if (fails) throw new Error(`read ${this.reads} failed`);
    return value;
  }

  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i++) {
      this.clock.until(this.clock.ms + 1);
      await settled();
    }
  }
}

test('2,600 readers of one key within a second cost a handful of reads, and each sees what was there when it asked', async () => {
  const engine = new Engine();
  const stale: number[] = [];
  const waitedMs: number[] = [];
  const all: Promise<void>[] = [];
  for (let i = 0; i < 2_600; i++) {
    if (i % 13 === 0) await engine.pass(5);
    engine.value += 1;
    const [written, askedMs] = [engine.value, engine.clock.ms];
    all.push(
      engine.read().then((seen) => {
        if (seen < written) stale.push(written - seen);
        waitedMs.push(engine.clock.ms - askedMs);
      }),
    );
  }
  await engine.pass(300);
  await Promise.all(all);
  expect(stale).toEqual([]);
  expect(waitedMs).toHaveLength(2_600);
  expect(engine.reads).toBeGreaterThan(1);
  expect(engine.reads).toBeLessThanOrEqual(20);
  expect(Math.max(...waitedMs)).toBeLessThanOrEqual(102);
  expect(engine.herd.size).toBe(0);
});

test('who asks alone never waits, however often', async () => {
  const engine = new Engine();
  for (let i = 0; i < 10; i++) {
    const read = engine.read();
    expect(engine.running).toBe(1);
    await engine.pass(2);
    await read;
  }
  expect(engine.reads).toBe(10);
});

test('a failure is told to those who waited for that read only', async () => {
  const engine = new Engine();
  engine.fails = true;
  const first = engine.read();
  engine.fails = false;
  const [second, third] = [engine.read(), engine.read()];
  const refused = expect(first).rejects.toThrow('read 1 failed');
  await engine.pass(5);
  await refused;
  expect(await Promise.all([second, third])).toEqual([0, 0]);
  expect(engine.reads).toBe(2);
});

test('who gives up leaves alone; a read that all have left is stopped, and one that has not begun is not made', async () => {
  const engine = new Engine();
  const [one, two, early] = [new AbortController(), new AbortController(), new AbortController()];
  const first = engine.read(one.signal);
  const second = engine.read(two.signal);
  const third = engine.read();
  two.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  await engine.pass(5);
  expect(await Promise.all([first, third])).toEqual([0, 0]);
  expect([engine.reads, engine.stopped]).toEqual([2, 0]);

  const last = engine.read(one.signal);
  const never = engine.read(one.signal);
  one.abort(new Error('left'));
  await expect(last).rejects.toThrow('left');
  await expect(never).rejects.toThrow('left');
  const after = engine.read();
  await engine.pass(5);
  expect(await after).toBe(0);
  expect([engine.reads, engine.stopped]).toEqual([4, 1]);
  early.abort(new Error('before'));
  await expect(engine.read(early.signal)).rejects.toThrow('before');
  expect([engine.reads, engine.herd.size]).toEqual([4, 0]);
});

test('a read that hangs holds up the next one for a while only, and no more than four hang at once', async () => {
  const engine = new Engine();
  engine.tookMs = 8_000;
  const hung = Array.from({ length: 3 }, () => engine.read().catch(() => undefined));
  for (let i = 0; i < 8; i++) {
    await engine.pass(600);
    hung.push(engine.read());
  }
  expect(engine.running).toBe(4);
  await engine.pass(17_000);
  await Promise.all(hung);
  expect(engine.herd.size).toBe(0);
});

test('keys are apart, and beyond 10,000 of them each is read by itself', async () => {
  const { herd } = new Engine();
  const answer = Promise.withResolvers<number>();
  let reads = 0;
  const ask = (): Promise<number> => {
    reads += 1;
    return answer.promise;
  };
  const all = Array.from({ length: 10_002 }, (_, i) => herd.read(`key ${i}`, ask));
  all.push(herd.read('key 10001', ask), herd.read('key 1', ask));
  expect([herd.size, reads]).toEqual([10_000, 10_003]);
  answer.resolve(7);
  expect(new Set(await Promise.all(all))).toEqual(new Set([7]));
  expect([herd.size, reads]).toEqual([0, 10_004]);
});

test('after many have asked, the few who still do wait less and less', async () => {
  const engine = new Engine();
  for (let i = 0; i < 300; i++) {
    for (let n = 0; n < 5; n++) void engine.read();
    await engine.pass(1);
  }
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    const askedMs = engine.clock.ms;
    const read = engine.read().then(() => waits.push(engine.clock.ms - askedMs));
    await engine.pass(101);
    await read;
  }
  expect(Math.max(...waits.slice(9))).toBeLessThanOrEqual(2);
  expect(engine.herd.size).toBe(0);
});
