/** A cached blob read from the agent, in turns with nginx with sendfile over the same bytes. */

import { basename, dirname, join } from 'node:path';
import { fileOf, uploadRandom } from '../../harness/blob.ts';
import { blobUrl, pullWhole } from '../../harness/cluster.ts';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import { Nginx, timed } from '../../harness/programs.ts';
import type { Figures } from '../../harness/report.ts';
import { type Contestant, contest } from './contest.ts';
import type { PullSetup } from './setup.ts';

export async function warmMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { sizes } = setup;
  const dir = setup.directory(stack, sizes.read * 2.1);
  const cluster = stack.use(await setup.cluster(dir, 'info'));
  const agent = await cluster.agent(setup.agentFlags);
  const blob = await uploadRandom(cluster.originUrl, sizes.read);
  const file = fileOf(cluster.origin.data, blob);
  const nginx = stack.use(await Nginx.start(join(dir, 'nginx'), dirname(file)));
  await pullWhole(agent, blob.digest);
  const timedRun = async (pid: number, url: string) => {
    const before = cpuSeconds(pid);
    const seconds = await timed('curl', ['-sf', url]);
    return { seconds, cpuS: { server: cpuSeconds(pid) - before } };
  };
  const contestants: Contestant<'nginx' | 'agent'>[] = [
    { name: 'nginx', touches: 0, run: () => timedRun(nginx.pid, `${nginx.url}/${basename(file)}`) },
    { name: 'agent', touches: 0, run: () => timedRun(agent.process.pid, blobUrl(agent, blob.digest)) },
  ];
  await contest(dir, contestants, 1);
  const results = await contest(dir, contestants, sizes.rounds);
  return {
    warmRatioToNginx: rounded(results.speedRatio('agent', 'nginx')),
    warmMBps: rounded(blob.bytes / 1e6 / results.seconds('agent')),
    warmCpuSPerGB: rounded(results.cpuS('agent', 'server') / (blob.bytes / 1e9)),
  };
}
