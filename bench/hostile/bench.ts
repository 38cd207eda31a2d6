/**
 * `npm run bench -- hostile`: how fast an agent pulls while every attack of issue 5 goes on against it, over how fast
 * it pulls without. Both take turns.
 *
 * Hostile peers are one process of their own, whose CPU time comes out of the same two cores: `hostileCpuS` says how
 * much, so that what the agent loses to them can be told from what the machine does.
 */

import { type Blob, fileOf, uploadRandom } from '../../harness/blob.ts';
import { type AgentProcess, Cluster, forget, pullWhole } from '../../harness/cluster.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { median, rounded, sum } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import { Child, nodeCommand, ofKind } from '../../platform/lifecycle/child.ts';
import { type Contestant, contest, type Sample } from '../pull/contest.ts';
import type { HostilePlan, HostileReport } from './child.ts';

export type HostileOptions = { readonly bytes: number; readonly rounds: number; readonly nodeFlags: readonly string[] };

const cachedBytes = 64 * 2 ** 20;
/** Between the end of an attack and its next begin, under another name. */
const pauseMs = 100;
const endMs = 2_000;
/** It hashes what it pretends to have first. */
const heardMsMax = 60_000;

export async function benchHostile({ bytes, rounds, nodeFlags }: HostileOptions): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, (bytes * 2 + cachedBytes * 2) * 1.1 + bytes);
  // 'info', since the end of a pull is told by a line of that level; what attacks make it log is part of what they cost.
  const cluster = stack.use(await Cluster.start({ dir, logLevel: 'info' }));
  const agent = await cluster.agent(nodeFlags);
  const cached = await uploadRandom(cluster.originUrl, cachedBytes);
  await pullWhole(agent, cached.digest);
  const pulled = await uploadRandom(cluster.originUrl, bytes);
  const hostile = await startHostile(stack, cluster, agent, { pulled, cached });
  const links: number[] = [];
  const after = (): Promise<void> => forget(agent, pulled.digest);
  const run = (): Promise<Sample> => timedPull(agent, pulled, hostile);
  const contestants: Contestant<'plain' | 'attacked'>[] = [
    { name: 'plain', touches: bytes, run, after },
    {
      name: 'attacked',
      touches: bytes,
      run: async () => {
        hostile.send({ kind: 'begin' });
        const sample = await run();
        const halted = hostile.message(ofKind<HostileReport>('halted'), heardMsMax);
        hostile.send({ kind: 'halt' });
        links.push(sum(Object.values((await halted).links)));
        return sample;
      },
      after,
    },
  ];
  await contest(dir, contestants, 1);
  links.length = 0;
  const results = await contest(dir, contestants, rounds);
  const mbps = (name: 'plain' | 'attacked'): number => rounded(bytes / 1e6 / results.seconds(name));
  return {
    hostileRatio: rounded(results.speedRatio('attacked', 'plain')),
    hostilePlainMBps: mbps('plain'),
    hostileAttackedMBps: mbps('attacked'),
    hostileAgentCpuSPlain: rounded(results.cpuS('plain', 'agent')),
    hostileAgentCpuSAttacked: rounded(results.cpuS('attacked', 'agent')),
    hostileCpuS: rounded(results.cpuS('attacked', 'hostile')),
    hostileLinks: median(links),
    hostileFaults: await agent.process.counter(agent.admin, 'shoal_peer_faults_total'),
    hostileSlow: await agent.process.counter(agent.admin, 'shoal_peer_slow_total'),
    hostileMib: bytes / 2 ** 20,
  };
}

async function timedPull(agent: AgentProcess, { digest }: Blob, hostile: Child): Promise<Sample> {
  const cpu = (): { agent: number; hostile: number } => ({
    agent: cpuSeconds(agent.process.pid),
    hostile: cpuSeconds(hostile.pid),
  });
  const before = cpu();
  const startedMs = performance.now();
  await pullWhole(agent, digest);
  const seconds = (performance.now() - startedMs) / 1000;
  const spent = cpu();
  return { seconds, cpuS: { agent: spent.agent - before.agent, hostile: spent.hostile - before.hostile } };
}

async function startHostile(
  stack: AsyncDisposableStack,
  cluster: Cluster,
  agent: AgentProcess,
  { pulled, cached }: { readonly pulled: Blob; readonly cached: Blob },
): Promise<Child> {
  const command = nodeCommand(new URL('./child.ts', import.meta.url), [], ['--disable-warning=ExperimentalWarning']);
  const child = Child.start({ name: 'hostile peers', command, output: 'ours', channel: true });
  stack.defer(async () => void (await child.end(endMs)));
  const ready = child.message(ofKind('ready'), heardMsMax);
  const preyOf = (blob: Blob) => ({ ...blob, file: fileOf(cluster.origin.data, blob) });
  child.send({
    kind: 'plan',
    tracker: cluster.trackerUrl,
    cluster: 'default',
    victim: { host: '127.0.0.1', port: agent.process.ports['peer'] as number },
    pulled: preyOf(pulled),
    cached: preyOf(cached),
    pauseMs,
  } satisfies HostilePlan);
  await ready;
  return child;
}
