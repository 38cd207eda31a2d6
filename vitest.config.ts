/**
 * The test groups. `unit` is everything that needs no outside program (`npm test`); `real` drives real clients and
 * servers, and `alone` the one of them that nothing may run beside: test/real/run.ts starts them, and sees to it that they
 * are there.
 *
 * Tests run in child processes, three at a time where CI has two cores: those that take longest wait more than they
 * compute, for timers and for processes that they started.
 */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

/**
 * Where `shoal up` keeps compiled code as well (platform/lifecycle/launch.ts): a process that tests start is ready after
 * half the CPU time.
 */
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/shoal');

const real = { testTimeout: 300_000, hookTimeout: 300_000 };
/** Its judge says which answers came late: nothing runs beside it. */
const alone = 'test/real/chaos/chaos.test.ts';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', 'test/real/**'],
          // What is to come soon may take long on a busy machine: only what never comes fails.
          testTimeout: 120_000,
          hookTimeout: 180_000,
          expect: { poll: { timeout: 15_000 } },
        },
      },
      {
        extends: true,
        test: {
          ...real,
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          exclude: ['**/node_modules/**', alone],
          maxWorkers: 3,
        },
      },
      {
        extends: true,
        test: { ...real, name: 'alone', include: [alone], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
