/**
 * `npm run loadgen -- live`: a real tracker, a real origin, and thousands of agents in few processes, each with its
 * own connections. All pull one blob; what is printed is how long they took and what it cost.
 */

import { uploadRandom } from '../../harness/blob.ts';
import { Cluster } from '../../harness/cluster.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { percentile, rounded, sum } from '../../harness/numbers.ts';
import { cpuSeconds, loadAverage, residentMiB } from '../../harness/proc.ts';
import { Child, nodeCommand, ofKind } from '../../platform/lifecycle/child.ts';
import type { ChildListening, ChildPlan, ChildProgress, ChildResult } from './child.ts';
import { type LiveOptions, processesFor } from './options.ts';

type Agents = { readonly process: Child; readonly pid: number; readonly agents: number };

/** A process of agents that does not end when it is told to is killed after this. */
const endMs = 2_000;

export async function runLiveCommand(options: LiveOptions): Promise<void> {
  const processes = processesFor(options);
  if (typeof processes === 'string') {
    process.stderr.write(`loadgen live: ${processes}\n`);
    process.exitCode = 2;
    return;
  }
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, options.size * (processes + 2));
  const cluster = stack.use(await Cluster.start({ dir, logLevel: 'warn' }));
  const blob = await uploadRandom(cluster.originUrl, options.size);
  const children = startChildren(stack, options, processes);
  const plan = { kind: 'plan', digest: blob.digest, tracker: cluster.trackerUrl, dir, ...tuning(options) } as const;
  const listening = await Promise.all(
    children.map(async ({ process: child, agents }) => {
      child.send({ ...plan, agents } satisfies ChildPlan);
      return await heard<ChildListening>(child, 'listening', options.limitMs);
    }),
  );
  process.stdout.write(`${options.agents} agents listen, in ${processes} processes\n`);
  const pids = [cluster.tracker.pid, cluster.origin.pid, ...children.map(({ pid }) => pid)];
  const cpu = (): number => sum(pids.map(cpuSeconds));
  const before = { cpuS: cpu(), ms: performance.now(), load: loadAverage() };
  showProgress(children.map((child) => child.process));
  for (const { process: child } of children) child.send({ kind: 'go' });
  const results = await Promise.all(
    children.map(({ process: child }) => heard<ChildResult>(child, 'result', options.limitMs)),
  );
  const wallS = (performance.now() - before.ms) / 1000;
  const cpuS = cpu() - before.cpuS;
  const beyondBase = sum(children.map(({ pid }, i) => residentMiB(pid) - (listening[i]?.baseMiB ?? 0)));
  report(options, results, { processes, wallS, cpuS, beyondBase, load: before.load });
}

function tuning({
  degree,
  arena,
  uplink,
  rate,
  arriveMs,
  limitMs,
}: LiveOptions): Pick<ChildPlan, 'degree' | 'arena' | 'uplink' | 'rate' | 'arriveMs' | 'limitMs'> {
  return { degree, arena, uplink, rate, arriveMs, limitMs };
}

function startChildren(stack: AsyncDisposableStack, options: LiveOptions, processes: number): Agents[] {
  return Array.from({ length: processes }, (_, i) => {
    const command = nodeCommand(new URL('./child.ts', import.meta.url), [], ['--disable-warning=ExperimentalWarning']);
    const child = Child.start({ name: `agents ${i + 1}`, command, output: 'ours', channel: true });
    stack.defer(async () => void (await child.end(endMs)));
    const agents = Math.floor((options.agents * (i + 1)) / processes) - Math.floor((options.agents * i) / processes);
    return { process: child, pid: child.pid, agents };
  });
}

/** On standard error, so that the last line of the output stays the result. */
function showProgress(children: readonly Child[]): void {
  const latest = new Map<Child, ChildProgress>();
  for (const child of children) {
    child.onMessage((value) => {
      if (!ofKind<ChildProgress>('progress')(value)) return;
      latest.set(child, value);
      if (child !== children[0]) return;
      const all = [...latest.values()];
      const lagMs = Math.round(Math.max(...all.map((progress) => progress.lagMs)));
      process.stderr.write(
        `${sum(all.map((progress) => progress.done))} done, ${sum(all.map((progress) => progress.links))} links, event loops up to ${lagMs} ms behind\n`,
      );
    });
  }
}

/** The child's next message of that kind. Rejects where it ends before, or after `withinMs`. */
function heard<T extends { readonly kind: string }>(child: Child, kind: T['kind'], withinMs: number): Promise<T> {
  return child.message(ofKind<T>(kind), withinMs).catch((error: Error) => {
    throw new Error(`${error.message} (where it is only slow: raise --limit)`);
  });
}

type Spent = {
  readonly processes: number;
  readonly wallS: number;
  readonly cpuS: number;
  readonly beyondBase: number;
  readonly load: number;
};

function report(options: LiveOptions, results: readonly ChildResult[], spent: Spent): void {
  const done = results.flatMap((result) => result.ms);
  const gb = (done.length * options.size) / 1e9;
  const figures = {
    agents: options.agents,
    incomplete: options.agents - done.length,
    processes: spent.processes,
    bytes: options.size,
    degree: options.degree,
    ratePerAgentMBps: options.rate === undefined ? 'no limit' : options.rate / 1e6,
    p50S: rounded(percentile(done, 0.5) / 1000),
    p99S: rounded(percentile(done, 0.99) / 1000),
    maxS: rounded(percentile(done, 1) / 1000),
    gbPerS: rounded(gb / spent.wallS),
    cpuSPerGB: rounded(spent.cpuS / gb),
    originCopies: rounded(sum(results.map((result) => result.bytesFromOrigins)) / options.size),
    memoryPerAgentMiB: rounded(spent.beyondBase / options.agents),
    wallS: rounded(spent.wallS),
    loadBefore: spent.load,
  };
  const lines = Object.entries(figures).map(([name, value]) => `${name.padEnd(28)}${value}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  for (const failure of new Set(results.flatMap((result) => result.failures)))
    process.stdout.write(`failed: ${failure}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
  if (figures.incomplete > 0) process.exitCode = 1;
}
