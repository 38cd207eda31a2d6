/** One origin, ten agents, one blob to all at once, no limits: delivered bytes a second, and what the machine spent. */

import { uploadRandom } from '../../harness/blob.ts';
import { type AgentProcess, pullWhole } from '../../harness/cluster.ts';
import { onWarmMemory } from '../../harness/memory.ts';
import { rounded, sum } from '../../harness/numbers.ts';
import { cpuSeconds, machineBusySeconds } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import type { PullSetup } from './setup.ts';

const agentCount = 10;

export async function tenMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { sizes } = setup;
  const dir = setup.directory(stack, sizes.ten * (2 * agentCount + 1) * 1.05);
  const cluster = stack.use(await setup.cluster(dir, 'info'));
  const agents: AgentProcess[] = [];
  for (let i = 0; i < agentCount; i++) agents.push(await cluster.agent(i === 0 ? setup.agentFlags : undefined));
  const warmUp = await uploadRandom(cluster.originUrl, 16 * 2 ** 20);
  await Promise.all(agents.map((agent) => pullWhole(agent, warmUp.digest)));
  const blob = await uploadRandom(cluster.originUrl, sizes.ten);
  const processes = [cluster.tracker, cluster.origin, ...agents.map((agent) => agent.process)];
  const processCpu = (): number => sum(processes.map(({ pid }) => cpuSeconds(pid)));
  const gb = (blob.bytes * agentCount) / 1e9;
  return await onWarmMemory(dir, sizes.ten * agentCount, async () => {
    const before = { machine: machineBusySeconds(), processes: processCpu(), ms: performance.now() };
    await Promise.all(agents.map((agent) => pullWhole(agent, blob.digest)));
    const seconds = (performance.now() - before.ms) / 1000;
    return {
      tenAgentsMBps: rounded((gb * 1000) / seconds),
      tenAgentsCpuSPerGB: rounded((machineBusySeconds() - before.machine) / gb),
      tenAgentsProcessCpuSPerGB: rounded((processCpu() - before.processes) / gb),
    };
  });
}
