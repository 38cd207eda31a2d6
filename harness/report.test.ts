/** The table says whether a goal is reached, and never of a figure that was not measured. */

import { expect, test } from 'vitest';
import { tableOf } from './report.ts';

const verdictOf = (name: string, value: number | string): string => tableOf('pull', { [name]: value });

test('at least and at most, goal and beyond', () => {
  expect(verdictOf('ratioToCurl', 1.1)).toMatch(/>= 0\.8, beyond 1 +beyond$/);
  expect(verdictOf('ratioToCurl', 0.9)).toMatch(/reached$/);
  expect(verdictOf('ratioToCurl', 0.7)).toMatch(/MISSED$/);
  expect(verdictOf('agentCpuSPerGB', 0.5)).toMatch(/<= 0\.65, beyond 0\.55 +beyond$/);
  expect(verdictOf('agentCpuSPerGB', 0.7)).toMatch(/MISSED$/);
});

test('what was skipped says why and reaches nothing', () => {
  const line = verdictOf('warmRatioToNginx', 'skipped: needs nginx (apt-get install nginx-light)');
  expect(line).toContain('skipped: needs nginx');
  expect(line).not.toMatch(/reached|beyond$|MISSED/);
  expect(verdictOf('warmMBps', 2000)).toBe('pull warmMBps  2,000');
});

test('a figure that is no number misses its goal', () => {
  expect(verdictOf('ratioToCurl', Number.NaN)).toMatch(/MISSED$/);
});
