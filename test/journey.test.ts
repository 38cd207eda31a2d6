/**
 * Who wants to know how a pull goes reads the files that it passes through. How many there are is counted by V8, in
 * real processes, and may not grow: `node tools/journey.ts` prints them. Beside it, test/tidy holds that the median
 * file stays short, so that merging files is no way round.
 */

import { beforeAll, expect, test } from 'vitest';
import { Cluster } from '../platform/testing/cluster.ts';
import { inCore, journeys, listOf, type Passed } from './journey.fixtures.ts';

/** Files outside of core/, and those in core/, where the swarm decides. */
const pullMax = { others: 52, core: 52 };
const pushMax = { others: 19, core: 17 };
/** A machine that is busy adds what a request does that is late, and a timer that comes due; not thrice. */
const tries = 3;

const within = (passed: Passed, max: { others: number; core: number }): boolean =>
  passed.filter(inCore).length <= max.core && passed.filter((one) => !inCore(one)).length <= max.others;

async function measured(): Promise<{ pull: Passed; push: Passed }> {
  await using cluster = await Cluster.make();
  return await journeys(cluster);
}

// V8 counts the calls of code that comes from a cache less exactly.
beforeAll(() => void delete process.env['NODE_COMPILE_CACHE']);

test('a pull and a push pass through few files', { timeout: 240_000 }, async () => {
  let found = await measured();
  for (let n = 1; n < tries && !(within(found.pull, pullMax) && within(found.push, pushMax)); n++)
    found = await measured();
  const { pull, push } = found;
  expect(within(pull, pullMax), listOf('A cold pull, in the agent', pull)).toBe(true);
  expect(within(push, pushMax), listOf('A push, in the proxy', push)).toBe(true);
  // What must be passed, or nothing was counted; the hash is taken on another thread.
  const files = (passed: Passed): string[] => passed.map(({ file }) => file);
  expect(files(pull)).toEqual(
    expect.arrayContaining([
      ...['agent/registry.ts', 'agent/pull.ts', 'platform/reader/read.ts', 'platform/workers/hash.ts'],
      'core/swarm/swarm.ts',
    ]),
  );
  expect(files(push)).toEqual(
    expect.arrayContaining(['proxy/registry.ts', 'proxy/push.ts', 'platform/clients/http.ts']),
  );
});
