import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Drain, followUpMs } from './drain.ts';

const nothing = (): void => undefined;

async function timed(act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await act();
  return performance.now() - begun;
}

describe('drain', () => {
  test('where nothing is under way it ends at once, having said so to whoever listens', async () => {
    const drain = new Drain();
    let told = 0;
    drain.onStart(() => told++);
    expect(drain.draining).toBe(false);
    drain.start();
    drain.start();
    expect([drain.draining, told]).toEqual([true, 1]);
    expect(await drain.finished(60_000)).toEqual({});
  });

  test('it ends with the last of what is under way, however long the limit', async () => {
    const drain = new Drain();
    const ends = [drain.begin('downloads', nothing), drain.begin('uploads', nothing)];
    drain.start();
    const finished = timed(() => drain.finished(60_000));
    await sleep(200);
    ends[0]?.();
    await sleep(200);
    ends[1]?.();
    ends[1]?.();
    const ms = await finished;
    expect(ms).toBeGreaterThan(350);
    expect(ms).toBeLessThan(5_000);
  });

  test('at the limit it names what is left, which is then cut', async () => {
    const drain = new Drain();
    const cut: string[] = [];
    for (const name of ['a', 'b']) drain.begin('downloads', () => cut.push(name));
    drain.begin('uploads', () => cut.push('c'));
    const gone = drain.begin('requests', () => cut.push('d'));
    gone();
    drain.watch('peers fed', () => 3);
    drain.start();
    expect(await drain.finished(50)).toEqual({ downloads: 2, uploads: 1, 'peers fed': 3 });
    drain.cut();
    expect(cut).toEqual(['a', 'b', 'c']);
  });

  test('an upload is waited for between two of its requests, for a while', async () => {
    let nowMs = 0;
    const drain = new Drain(() => nowMs);
    drain.expect();
    drain.start();
    let over = false;
    const finished = drain.finished(60_000).then((left) => {
      over = true;
      return left;
    });
    nowMs = followUpMs - 1;
    await sleep(300);
    expect(over).toBe(false);
    nowMs = followUpMs;
    expect(await finished).toEqual({});
  });
});
