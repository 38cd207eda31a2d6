/**
 * What certificates cost: the same pull over TLS and without it, in turns, with the CPU of both ends and the agent's memory;
 * the first byte of a blob that sixteen neighbours hold, for an agent that knows none of them; and handshakes a second.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { uploadRandom } from '../../harness/blob.ts';
import { type AgentProcess, blobUrl, type Cluster, forget, pullWhole } from '../../harness/cluster.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { ResidentPeak } from '../../harness/proc.ts';
import { run } from '../../harness/programs.ts';
import { readBody } from '../../harness/read.ts';
import type { Figures } from '../../harness/report.ts';
import { type Contestant, contest } from './contest.ts';
import { handshakeMeasures } from './handshakes.ts';
import type { PullSetup } from './setup.ts';
import { measured } from './single.ts';

const WAYS = ['plain', 'tls'] as const;
type Way = (typeof WAYS)[number];
type Name = Way | `${Way}Reader`;

const neighbours = 16;
/** Sixteen pieces: each neighbour may give one. */
const neighbourBlobBytes = 8 * 2 ** 20;
/** A host's part of the sixteen: they only hold a small blob. */
const neighbourArena = { memory: { arena: '16MiB' }, workers: 1 };
/** Until an agent that was started has done what a start does. */
const settleMs = 500;

/** Those of the usual measures that have a counterpart here, where any are named; handshakes always. */
export async function tlsMeasures(setup: PullSetup, only: readonly string[]): Promise<Figures> {
  const asked = (name: string): boolean => only.length === 0 || only.includes(name);
  return {
    ...(await handshakeMeasures(setup.sizes.handshakes)),
    ...(asked('single') ? await rates(setup) : {}),
    ...(asked('firstByte') ? await firstBytes(setup) : {}),
  };
}

async function rates(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { sizes } = setup;
  const dir = setup.directory(stack, sizes.blob * 4.2);
  const contestants: Contestant<Name>[] = [];
  const peaks: Partial<Record<Way, ResidentPeak>> = {};
  const agents: Partial<Record<Way, AgentProcess>> = {};
  let bytes = 0;
  for (const way of WAYS) {
    const cluster = stack.use(await setup.cluster(`${dir}/${way}`, 'info', { tls: way === 'tls' }));
    const agent = await cluster.agent(way === 'tls' ? setup.agentFlags : []);
    const blob = await uploadRandom(cluster.originUrl, sizes.blob, cluster.pushing);
    agents[way] = agent;
    bytes = blob.bytes;
    const reading = async (): Promise<void> => void (await run('curl', ['-sf', blobUrl(agent, blob.digest)]));
    const whole = (): Promise<void> => pullWhole(agent, blob.digest);
    const more = { touches: bytes, after: () => forget(agent, blob.digest) };
    contestants.push({ name: way, ...more, run: () => measured(cluster, agent, whole) });
    contestants.push({ name: `${way}Reader`, ...more, run: () => measured(cluster, agent, reading) });
  }
  contestants.sort((a, b) => Number(a.name.endsWith('Reader')) - Number(b.name.endsWith('Reader')));
  await contest(dir, contestants, 1);
  for (const way of WAYS) peaks[way] = new ResidentPeak((agents[way] as AgentProcess).process.pid);
  const results = await contest(dir, contestants, sizes.rounds);
  const perGb = (name: Name, of: string): number => rounded(results.cpuS(name, of) / (bytes / 1e9));
  const rate = (name: Name): number => rounded(bytes / 1e6 / results.seconds(name));
  return {
    tlsRatio: rounded(results.speedRatio('tls', 'plain')),
    tlsReaderRatio: rounded(results.speedRatio('tlsReader', 'plainReader')),
    tlsMBps: rate('tls'),
    plainMBps: rate('plain'),
    tlsAgentCpuSPerGB: perGb('tls', 'agent'),
    plainAgentCpuSPerGB: perGb('plain', 'agent'),
    tlsSeederCpuSPerGB: perGb('tls', 'origin'),
    plainSeederCpuSPerGB: perGb('plain', 'origin'),
    tlsAgentRssMiB: rounded(peaks.tls?.stop() ?? Number.NaN),
    plainAgentRssMiB: rounded(peaks.plain?.stop() ?? Number.NaN),
  };
}

/** An agent is started for each sample: it has no link, no session and nothing of the blob. */
async function firstBytes(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, (neighbours + 4) * neighbourBlobBytes * 2 * WAYS.length);
  const samples: Record<Way, number[]> = { plain: [], tls: [] };
  const fields: { way: Way; cluster: Cluster; url: (agent: AgentProcess) => string }[] = [];
  for (const way of WAYS) {
    const cluster = stack.use(await setup.cluster(`${dir}/${way}`, 'info', { tls: way === 'tls' }));
    const { digest } = await uploadRandom(cluster.originUrl, neighbourBlobBytes, cluster.pushing);
    const holders: AgentProcess[] = [];
    for (let i = 0; i < neighbours; i++) holders.push(await cluster.agent([], neighbourArena));
    await Promise.all(holders.map((agent) => pullWhole(agent, digest)));
    fields.push({ way, cluster, url: (agent) => blobUrl(agent, digest) });
  }
  for (let round = 0; round < setup.sizes.firstBytes; round++) {
    for (const { way, cluster, url } of fields) {
      await using one = new AsyncDisposableStack();
      const agent = await cluster.agent([], neighbourArena);
      one.use(agent.process);
      await sleep(settleMs);
      const startedMs = performance.now();
      await readBody(url(agent), 'first');
      samples[way].push(performance.now() - startedMs);
    }
  }
  const [plain, tls] = [percentile(samples.plain, 0.5), percentile(samples.tls, 0.5)];
  return {
    tlsFirstByteP50Ms: rounded(tls),
    plainFirstByteP50Ms: rounded(plain),
    tlsFirstByteMoreMs: rounded(tls - plain),
    tlsFirstByteSamples: samples.tls.length,
  };
}
