import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import { Results } from '../pull/contest.ts';
import { type FloorName, floorContestants, floorFigures } from './floor.ts';
import { slots } from './line.ts';

test('each layout of the floor stores the bytes that it is sent, with a reader and without, again and again', async () => {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-floor-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  // More than there are slots, and the last unit is not whole.
  const blob = randomBytes((slots + 3) * unitBytes + 12_345);
  const plan = { file: join(dir, 'blob'), out: join(dir, 'out'), bytes: blob.length };
  writeFileSync(plan.file, blob);
  for (const contestant of await floorContestants(stack, plan)) {
    for (let round = 0; round < 2; round++) {
      await contestant.run();
      expect(readFileSync(plan.out).equals(blob), contestant.name).toBe(true);
      await contestant.after?.();
    }
  }
});

test('of two layouts the cheaper one is the floor, for each role by itself', () => {
  const results = new Results<FloorName | 'pull' | 'pullReader'>();
  const add = (name: FloorName | 'pull' | 'pullReader', seconds: number, agent: number, origin: number): void =>
    results.add(name, { seconds, cpuS: { agent, origin } });
  add('floor-one', 2, 3, 1);
  add('floor-two', 1, 4, 2);
  add('floorReader-one', 2, 6, 1);
  add('floorReader-two', 4, 5, 1);
  add('pull', 4, 6, 4);
  add('pullReader', 4, 10, 4);
  expect(floorFigures(results, 1e9)).toMatchObject({
    floorCpuSPerGB: 3,
    floorLayouts: 'receiver one, with a reader two, sender one',
    agentCpuOverFloor: 2,
    agentReaderCpuOverFloor: 2,
    seederCpuOverFloor: 4,
    pullRateOverFloor: 0.25,
    pullReaderRateOverFloor: 0.5,
  });
});
