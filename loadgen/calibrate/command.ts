/**
 * `npm run loadgen -- calibrate`: is the simulator right? The same herd on shaped links of this machine, by real
 * processes, and in `sim`, whose links get the goodput that one TCP stream reaches on the real ones.
 *
 * Rule: within 10 percent at p50 and p99, or the model is wrong and gets fixed. It fails by its exit code.
 */

import { runOnce } from '../../bench/links/bench.ts';
import { streamSeconds } from '../../bench/links/bound.ts';
import { type Host, makeNetwork, needNamespaces } from '../../bench/links/network.ts';
import { Skipped } from '../../harness/error.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { median, percentile, rounded } from '../../harness/numbers.ts';
import { loadAverage } from '../../harness/proc.ts';
import { type SimOptions, simCommand } from '../sim/options.ts';
import type { SimResult } from '../sim/result.ts';
import { runSim } from '../sim/run.ts';
import type { CalibrateOptions } from './options.ts';

/** How far sim may be from what it models. */
const tolerancePercent = 10;
const queueMs = 50;

type Real = {
  readonly boundS: number;
  readonly doneS: readonly number[];
  readonly originCopies: number;
  readonly cpuBusyPercent: number;
};

export async function runCalibrateCommand(options: CalibrateOptions): Promise<void> {
  try {
    needNamespaces();
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    process.stderr.write(`loadgen calibrate: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  const loadBefore = loadAverage();
  const real = await onRealLinks(options);
  const sim = await inSimulation(options, options.size / real.boundS);
  const off = (ours: number, theirs: number): number => rounded((100 * (theirs - ours)) / ours);
  const realP50S = percentile(real.doneS, 0.5);
  const realP99S = percentile(real.doneS, 0.99);
  const figures = {
    hosts: options.hosts,
    bytes: options.size,
    boundS: rounded(real.boundS),
    realP50S: rounded(realP50S),
    simP50S: sim.p50S,
    p50OffPercent: off(realP50S, sim.p50S),
    realP99S: rounded(realP99S),
    simP99S: sim.p99S,
    p99OffPercent: off(realP99S, sim.p99S),
    realOriginCopies: rounded(real.originCopies),
    simOriginCopies: sim.originCopies,
    /** Near 100 the cores were the limit, not the links: lower --rate. */
    cpuBusyPercent: rounded(real.cpuBusyPercent),
    loadBefore,
  };
  process.stdout.write(
    `${Object.entries(figures)
      .map(([name, value]) => `${name.padEnd(20)}${value}`)
      .join('\n')}\n`,
  );
  if (options.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
  if (Math.max(Math.abs(figures.p50OffPercent), Math.abs(figures.p99OffPercent)) > tolerancePercent)
    process.exitCode = 1;
}

async function onRealLinks(options: CalibrateOptions): Promise<Real> {
  await using stack = new AsyncDisposableStack();
  const { hosts: count, size, rate, congestion } = options;
  const dir = memoryDirectory(stack, size * (2 * count + 1) * 1.1);
  const [origin, ...rest] = makeNetwork(stack, count + 1, 1, { bytesPerS: rate, queueMs, congestion }) as [
    Host,
    ...Host[],
  ];
  const hosts = { origin, agents: rest.slice(0, count), tracker: rest[count] as Host };
  const boundS = await streamSeconds(origin, rest[0] as Host, size);
  const doneS: number[] = [];
  const copies: number[] = [];
  const busy: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const run = await runOnce(hosts, dir, { bytes: size, nodeFlags: [] }, options.readers);
    doneS.push(...run.doneS);
    copies.push(run.originCopies);
    busy.push(run.cpuBusyPercent);
  }
  return { boundS, doneS, originCopies: median(copies), cpuBusyPercent: median(busy) };
}

/** The scenario as sim's own command line has it, so that both always mean the same. */
async function inSimulation(options: CalibrateOptions, bytesPerS: number): Promise<SimResult> {
  const rate = `${Math.round(bytesPerS)}B/s`;
  const given = [
    ...['--hosts', options.hosts, '--origins', 1, '--trackers', 1, '--image', options.size, '--layers', 1],
    ...['--up', rate, '--down', rate, '--origin-up', rate, '--arrive', '0', '--seed', options.seed],
    ...(options.readers ? ['--readers', 'inorder'] : []),
  ];
  let sim: SimOptions | undefined;
  const command = simCommand(async (parsed) => {
    sim = parsed;
  });
  await command.parseAsync(given.map(String), { from: 'user' });
  if (sim === undefined) throw new Error('sim did not take its options');
  return runSim(sim);
}
