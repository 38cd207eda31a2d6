/**
 * One origin, one agent, one large blob: verified and stored, with and without a reader, in turns with curl from
 * nginx with sendfile, and with the floor (bench/floor). Also the CPU and the memory that it takes.
 */

import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileOf, uploadRandom } from '../../harness/blob.ts';
import { type AgentProcess, blobUrl, type Cluster, forget, pullWhole } from '../../harness/cluster.ts';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds, ResidentPeak, residentMiB } from '../../harness/proc.ts';
import { hasProgram, Nginx, run, timed } from '../../harness/programs.ts';
import type { Figures } from '../../harness/report.ts';
import { type FloorName, floorContestants, floorFigures } from '../floor/floor.ts';
import { type Contestant, contest, type Sample } from './contest.ts';
import type { PullSetup } from './setup.ts';

type Name = 'curl' | 'curlSha256' | 'pull' | 'curlNull' | 'pullReader' | FloorName;
const idleMs = 2_000;
/** Before the first run: two small runs warm up caches and compilers of whoever has them. */
const warmUpRounds = 1;

export async function singleMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { sizes } = setup;
  // The origin's copy, one of the agent's or curl's, and the ballast.
  const dir = setup.directory(stack, sizes.blob * 3.1);
  const cluster = stack.use(await setup.cluster(dir, 'info'));
  const agent = await cluster.agent(setup.agentFlags);
  await sleep(idleMs);
  const idleMiB = residentMiB(agent.process.pid);
  const blob = await uploadRandom(cluster.originUrl, sizes.blob);
  const file = fileOf(cluster.origin.data, blob);
  const nginx = hasProgram('nginx') ? stack.use(await Nginx.start(join(dir, 'nginx'), dirname(file))) : undefined;
  const out = join(dir, 'out');
  const contestants: Contestant<Name>[] = [
    ...(nginx === undefined ? [] : yardsticks(`${nginx.url}/${basename(file)}`, out, blob.bytes)),
    ...pulls(cluster, agent, blob),
    ...(await floorContestants(stack, { file, out: join(dir, 'floor'), bytes: blob.bytes })),
  ];
  await contest(dir, contestants, warmUpRounds);
  const peak = new ResidentPeak(agent.process.pid);
  const results = await contest(dir, contestants, sizes.rounds);
  const gb = blob.bytes / 1e9;
  const perGb = (name: Name, of: string): number => rounded(results.cpuS(name, of) / gb);
  const against = (ours: Name, theirs: Name): number | string =>
    nginx === undefined
      ? 'skipped: needs nginx (apt-get install nginx-light)'
      : rounded(results.speedRatio(ours, theirs));
  const rate = (name: Name): number => rounded(blob.bytes / 1e6 / results.seconds(name));
  return {
    ratioToCurl: against('pull', 'curl'),
    ratioToCurlSha256: against('pull', 'curlSha256'),
    ratioToCurlReader: against('pullReader', 'curlNull'),
    agentCpuSPerGB: perGb('pull', 'agent'),
    agentReaderCpuSPerGB: perGb('pullReader', 'agent'),
    seederCpuSPerGB: perGb('pull', 'origin'),
    agentRssMiB: rounded(peak.stop()),
    agentIdleRssMiB: rounded(idleMiB),
    ...floorFigures(results, blob.bytes),
    pullMBps: rate('pull'),
    pullReaderMBps: rate('pullReader'),
    ...(nginx === undefined
      ? {}
      : { curlMBps: rate('curl'), curlSha256MBps: rate('curlSha256'), curlNullMBps: rate('curlNull') }),
  };
}

function yardsticks(url: string, out: string, bytes: number): Contestant<Name>[] {
  const remove = async (): Promise<void> => rmSync(out, { force: true });
  return [
    {
      name: 'curl',
      touches: bytes,
      run: async () => ({ seconds: await timed('curl', ['-sfo', out, url]) }),
      after: remove,
    },
    { name: 'curlSha256', touches: bytes, run: () => fetchAndHash(url, out), after: remove },
    { name: 'curlNull', touches: 0, run: async () => ({ seconds: await timed('curl', ['-sf', url]) }) },
  ];
}

async function fetchAndHash(url: string, out: string): Promise<Sample> {
  const startedMs = performance.now();
  await run('curl', ['-sfo', out, url]);
  await run('openssl', ['dgst', '-sha256', out]);
  return { seconds: (performance.now() - startedMs) / 1000 };
}

function pulls(
  cluster: Cluster,
  agent: AgentProcess,
  { digest, bytes }: { digest: `sha256:${string}` | string; bytes: number },
): Contestant<Name>[] {
  const blob = digest as Parameters<typeof forget>[1];
  const after = (): Promise<void> => forget(agent, blob);
  return [
    { name: 'pull', touches: bytes, run: () => measured(cluster, agent, () => pullWhole(agent, blob)), after },
    {
      name: 'pullReader',
      touches: bytes,
      run: () => measured(cluster, agent, async () => void (await run('curl', ['-sf', blobUrl(agent, blob)]))),
      after,
    },
  ];
}

/** With the CPU of both ends. */
export async function measured(cluster: Cluster, agent: AgentProcess, work: () => Promise<void>): Promise<Sample> {
  const cpu = (): { agent: number; origin: number } => ({
    agent: cpuSeconds(agent.process.pid),
    origin: cpuSeconds(cluster.origin.pid),
  });
  const before = cpu();
  const startedMs = performance.now();
  await work();
  const seconds = (performance.now() - startedMs) / 1000;
  const after = cpu();
  return { seconds, cpuS: { agent: after.agent - before.agent, origin: after.origin - before.origin } };
}
