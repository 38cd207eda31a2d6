/** What a tracker that was restarted is told, at a scale that a test has time for. */

import { expect, test } from 'vitest';
import { resyncLeasesPerS } from '../../core/handout/limits.ts';
import type { RestartOptions } from './options.ts';
import { restartRun } from './run.ts';

const options: RestartOptions = {
  agents: 600,
  leases: 400,
  blobs: 2_000,
  trackers: 1,
  downMs: 20_000,
  hangs: false,
  pulls: 20,
  requestUs: 120,
  entryUs: 6,
  seed: 1,
  json: false,
};

test('a restarted tracker is told everything at the rate that it asks for, and pulls meanwhile are answered beside it', () => {
  const result = restartRun(options);
  expect(result.backS99).toBeLessThan(12);
  // 240,000 leases, each told once.
  expect(result.entries).toBeLessThan(1.02 * options.agents * options.leases);
  expect(result.entriesPerSMax).toBeLessThan(1.1 * resyncLeasesPerS);
  expect(result.lost).toBe(0);
  expect(result.queuedMsMax).toBeLessThan(500);
  expect(result.after.neighbourMs50).toBeLessThan(100);
  expect(result.after.neighbourMs99).toBeLessThan(6_000);
}, 60_000);

test('one that is gone so shortly that few notice is told within an interval and a bit', () => {
  const result = restartRun({ ...options, downMs: 200 });
  expect(result.backS99).toBeLessThan(14);
  expect(result.entriesPerSMax).toBeLessThan(1.1 * resyncLeasesPerS);
  expect([result.lost, result.after.alone < 0.05]).toEqual([0, true]);
}, 60_000);

test('one that hung, and knows everything still, is told next to nothing', () => {
  const result = restartRun({ ...options, downMs: 8_000, hangs: true });
  expect(result.backS99).toBeLessThan(1);
  const { entries } = restartRun({ ...options, downMs: 8_000, hangs: true, pulls: 0 });
  expect(entries).toBe(0);
}, 60_000);

test('of several, the one that is restarted gets back what it is first for', () => {
  const result = restartRun({ ...options, trackers: 3 });
  expect(result.backS99).toBeLessThan(12);
  expect(result.lost).toBeLessThan(5);
  // Nobody is alone while others answer.
  expect(result.meanwhile.alone).toBeLessThan(0.02);
  expect(result.after.neighbourMs99).toBeLessThan(3_000);
}, 60_000);
