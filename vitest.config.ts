/**
 * The test groups. `unit` is everything that needs no outside program (`npm test`); `real` drives real clients and
 * servers and is started by test/real/run.ts only, which sees to it that they are there.
 *
 * Tests run in child processes, two at a time: CI has two cores, and a test may start whole clusters of its own.
 */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', 'test/real/**'],
          testTimeout: 20_000,
          hookTimeout: 20_000,
          // What is to come soon may take long on a busy machine: only what never comes fails.
          expect: { poll: { timeout: 15_000 } },
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
