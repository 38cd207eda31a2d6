/** Hosts that were taken over, and a tracker that lies: nothing that is promised breaks, and what they try is refused. */

import { expect, test } from 'vitest';
import { runSeed } from '../run.ts';
import { certified } from './certificates.ts';

/** In the first no tracker lies. */
test.each([15, 31])('seed %i, in which hosts have certificates, holds', { timeout: 600_000 }, async (seed) => {
  expect(certified(seed)).toBe(true);
  const { violation, faults } = await runSeed({ seed });
  expect(violation).toBeUndefined();
  expect(faults.get('a lie about another is refused')).toBeGreaterThan(10);
  expect((faults.get('a tracker lies') ?? 0) > 0).toBe(seed !== 15);
});
