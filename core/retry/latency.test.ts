import { expect, test } from 'vitest';
import { Latency, latencySamplesMax, latencySamplesMin } from './latency.ts';

test('until enough answers are known the bound is the answer', () => {
  const latency = new Latency();
  for (let i = 1; i < latencySamplesMin; i++) latency.add(3);
  expect(latency.p99(1, 500)).toBe(500);
  latency.add(3);
  expect(latency.p99(1, 500)).toBe(3);
});

test('one slow answer among a hundred and more does not count, two do; what is old is forgotten', () => {
  const latency = new Latency();
  for (let i = 0; i < latencySamplesMax; i++) latency.add(2);
  latency.add(400);
  expect(latency.p99(1, 500)).toBe(2);
  latency.add(300);
  expect(latency.p99(1, 500)).toBe(300);
  expect([latency.p99(1, 100), latency.p99(350, 500)]).toEqual([100, 350]);
  for (let i = 0; i < latencySamplesMax; i++) latency.add(5);
  expect(latency.p99(1, 500)).toBe(5);
});
