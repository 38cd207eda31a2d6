import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { whoGoes } from './crowd.ts';

/** What is read of a socket here. */
type One = Pick<Socket, 'remoteAddress'> & { readonly busy: boolean };
const of = (remoteAddress: string, count: number, busy = false): One[] =>
  Array.from({ length: count }, () => ({ remoteAddress, busy }));
const gone = (open: readonly One[], max: number): One[] => whoGoes(open, max, ({ busy }) => busy);

test('the oldest of who has most go, several at once; who has few loses none', () => {
  const [few, many] = [of('10.0.0.1', 5), of('10.0.0.9', 96)];
  const cut = gone([...few, ...many], 100);
  expect(cut).toHaveLength(5);
  expect(cut.every((one, i) => one === many[i])).toBe(true);
});

test('two that have most give way down to the same level', () => {
  const cut = gone([...of('10.0.0.1', 60), ...of('10.0.0.2', 50), ...of('10.0.0.3', 3)], 64);
  const by = (address: string): number => cut.filter(({ remoteAddress }) => remoteAddress === address).length;
  expect(by('10.0.0.3')).toBe(0);
  expect(60 - by('10.0.0.1')).toBe(50 - by('10.0.0.2'));
  expect(cut.length).toBeGreaterThanOrEqual(49);
});

test('what an answer goes out on stays; where nothing is idle the newest of who has most goes', () => {
  const [busy, idle] = [of('10.0.0.9', 90, true), of('10.0.0.9', 11)];
  expect(gone([...busy, ...idle], 100).every((one) => !one.busy)).toBe(true);
  const last = of('10.0.0.9', 1, true);
  expect(gone([...busy, ...last, ...of('10.0.0.1', 1, true)], 91)).toEqual(last);
});

test('an IPv6 network is one client', () => {
  const net = Array.from({ length: 50 }, (_, i) => ({
    remoteAddress: `2001:db8::${(i + 1).toString(16)}`,
    busy: false,
  }));
  expect(
    gone([...of('10.0.0.1', 20), ...net], 64).every(({ remoteAddress }) => remoteAddress?.startsWith('2001')),
  ).toBe(true);
});

test('below the limit, with many clients of one connection each, only as many go as must', () => {
  const all = Array.from({ length: 65 }, (_, i) => of(`10.0.1.${i}`, 1)).flat();
  expect(gone(all, 64).length).toBeGreaterThan(0);
  expect(gone([], 64)).toEqual([]);
});
