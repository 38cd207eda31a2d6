/**
 * For tests and benchmarks: ports for processes that must know each other before they start.
 *
 * Rule: two test files that run at once are never told of the same one, and one file of none twice.
 */

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range that the system gives to outgoing connections: nobody takes it between here and its use. What lies
 * above, up to there, is for whole clusters (test/real/processes.ts).
 */
const portMin = 10_000;
export const portMax = 20_000;
/** Files at once that each have ports of their own; more than vitest's workers ever are here. */
const lanes = 16;
const told = new Set<number>();

/** Files of one run of vitest that run at once have other numbers; runs beside it begin somewhere else. */
export function laneOfTests(): number {
  return process.ppid + Number(process.env['VITEST_POOL_ID'] ?? 0);
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(portMin / lanes, portMax / lanes) * lanes + (laneOfTests() % lanes);
    if (!told.has(port) && (await isFree(port))) {
      told.add(port);
      return port;
    }
  }
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
