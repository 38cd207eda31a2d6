/** `shoal up` as a user starts it, on free ports and in a directory of its own. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Child } from '../../platform/lifecycle/child.ts';
import { answers, freeBasePort, keepRunning, temporary } from './processes.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const shoal: readonly string[] = [process.execPath, join(root, 'bin/shoal.js')];
const readyMsMax = 60_000;

export type Cluster = {
  readonly up: Child;
  readonly dir: string;
  /** host:port of the proxy's registry. */
  readonly proxy: string;
  /** host:port of each agent's registry. */
  readonly agents: readonly string[];
};

/** Where a cluster is: it may be started there again. */
export type Place = {
  readonly dir: string;
  readonly base: number;
  readonly agents: number;
  /** A file with `backends:`. */
  readonly backends?: string;
  /** How many there are on `--store`. */
  readonly indexes?: number;
  readonly store?: string;
  /** What the environment says beside that of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of another tree than this. */
  readonly shoal?: readonly string[];
};

/** Where its indexes listen. */
export function indexPorts(base: number, indexes: number): number[] {
  return Array.from({ length: indexes }, (_, n) => base + 4 + 10 * n);
}

/** Brings a cluster up and waits until its proxy and every agent say that they are ready. */
export async function startCluster(stack: AsyncDisposableStack, agents: number): Promise<Cluster> {
  return await startAt(stack, { dir: await temporary(stack, 'up'), base: await freeBasePort(agents), agents });
}

/** The same, there. */
export async function startAt(stack: AsyncDisposableStack, place: Place): Promise<Cluster> {
  const { dir, base, agents, indexes = 1, env } = place;
  const given = ['--agents', `${agents}`, '--base-port', `${base}`, '--dir', join(dir, 'data')];
  const files = (['backends', 'store'] as const).flatMap((it) => {
    const said = place[it];
    return said === undefined ? [] : [`--${it}`, said];
  });
  const args = ['up', ...given, '--indexes', `${indexes}`, ...files];
  const up = stack.use(keepRunning([...(place.shoal ?? shoal), ...args], join(dir, 'up.log'), env));
  const registries = Array.from({ length: agents }, (_, n) => base + 1_000 + 10 * n);
  const readiness = [base, base + 2, base + 3, ...indexPorts(base, indexes), ...registries.map((port) => port + 2)];
  await up.until(async () => {
    const ready = await Promise.all(readiness.map((port) => answers(`http://127.0.0.1:${port}/readiness`)));
    return ready.every(Boolean);
  }, readyMsMax);
  return { up, dir, proxy: `127.0.0.1:${base}`, agents: registries.map((port) => `127.0.0.1:${port}`) };
}
