/** Checks in virtual time: when a member is out and in again, how soon that is known, and how many questions it costs. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Checks, type ChecksTiming, checksTiming } from './checks.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Members that answer as `does` says. */
function checking(count: number, o: { rarely?: boolean; timing?: Partial<ChecksTiming> } = {}) {
  const does = new Map<string, 'answers' | 'hangs' | 'fails'>();
  const asked: string[] = [];
  const checks = new Checks({
    timing: { ...checksTiming, ...o.timing },
    rarely: o.rarely,
    answered: () => undefined,
    missed: () => undefined,
  });
  const urls = Array.from({ length: count }, (_, no) => `http://${no}`);
  checks.list(new Map(urls.map((url) => [url, url])), (url) => ({
    check: async (signal) => {
      asked.push(url);
      const how = does.get(url) ?? 'answers';
      if (how === 'fails') throw new Error('connection refused');
      if (how === 'hangs') await new Promise((_, reject) => signal.addEventListener('abort', reject));
      return undefined;
    },
  }));
  return { checks, does, asked, urls };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a member', () => {
  test.each(['hangs', 'fails'] as const)(
    'that %s is out within three seconds, and not before the second miss',
    async (how) => {
      const { checks, does, asked } = checking(2);
      await pass(10_000);
      expect(checks.up('http://0')).toBe(true);
      does.set('http://0', how);
      asked.length = 0;
      for (let ms = 0; checks.up('http://0'); ms += 10) {
        expect(ms).toBeLessThan(3_000);
        await pass(10);
      }
      expect([asked.filter((url) => url === 'http://0').length, checks.up('http://1')]).toEqual([2, true]);
    },
  );

  test('is in again after two answers in a row; one that answers every other time stays out', async () => {
    const { checks, does, asked } = checking(1);
    does.set('http://0', 'fails');
    await pass(10_000);
    expect(checks.up('http://0')).toBe(false);
    for (let times = 0; times < 6; times++) {
      does.set('http://0', times % 2 === 0 ? 'answers' : 'fails');
      const { length } = asked;
      while (asked.length === length) await pass(10);
      expect(checks.up('http://0')).toBe(false);
    }
    does.set('http://0', 'answers');
    await pass(12_000);
    expect(checks.up('http://0')).toBe(true);
  });

  test('that misses one check of many stays in', async () => {
    const { checks, does, asked } = checking(1);
    for (let times = 0; times < 10; times++) {
      does.set('http://0', 'fails');
      const { length } = asked;
      while (asked.length === length) await pass(10);
      does.set('http://0', 'answers');
      await pass(3_000);
      expect(checks.up('http://0')).toBe(true);
    }
  });

  test('that is gone for long costs a question every few seconds', async () => {
    const { does, asked } = checking(1);
    does.set('http://0', 'fails');
    await pass(60_000);
    asked.length = 0;
    await pass(60_000);
    expect(asked.length).toBeGreaterThan(8);
    expect(asked.length).toBeLessThan(20);
  });
});

describe('checks', () => {
  test('are fifty a second at most, however many members there are', async () => {
    const { asked } = checking(500);
    await pass(30_000);
    asked.length = 0;
    await pass(60_000);
    expect(asked.length / 60).toBeLessThan(60);
    expect(new Set(asked).size).toBe(500);
  });

  test('of one of thousands begin when it has to do with its members, spread, and end with that', async () => {
    const { checks, asked } = checking(3, { rarely: true, timing: { everyMs: 30_000 } });
    await pass(120_000);
    expect(asked).toEqual([]);
    checks.used();
    await pass(10);
    expect(asked.length).toBeLessThan(3);
    await pass(3_000);
    expect(asked.length).toBe(3);
    await pass(600_000);
    // Once or twice more each, as long as it may come back.
    expect(asked.length).toBeLessThanOrEqual(9);
    checks.used();
    await pass(3_000);
    expect(asked.length).toBeGreaterThan(3);
  });

  test('of who has left the list end', async () => {
    const { checks, asked } = checking(2);
    await pass(5_000);
    checks.list(new Map(), () => expect.unreachable());
    asked.length = 0;
    await pass(60_000);
    expect(asked).toEqual([]);
    checks[Symbol.dispose]();
  });
});
