/**
 * A blob that only the bucket has, pulled by agents at once: its first byte, beside that of a range by curl; and the whole,
 * beside the slower of the bucket alone and the swarm alone.
 */

import { join } from 'node:path';
import { request } from 'undici';
import { ORIGIN } from '../../core/contracts/origin.ts';
import type { Digest } from '../../core/digest.ts';
import { type AgentProcess, blobUrl, Cluster, forget, pullWhole } from '../../harness/cluster.ts';
import { memoryDirectory, onWarmMemory } from '../../harness/memory.ts';
import { median, percentile, rounded, sum } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import { readBody } from '../../harness/read.ts';
import type { Figures } from '../../harness/report.ts';
import { type BlobFile, Bucket, makeBlob } from './bucket.ts';
import type { StorageSizes } from './sizes.ts';
import { Throttle } from './throttle.ts';

const agentCount = 3;
/** No limit at all, in a relay all the same: it counts. */
const unlimited = 1e12;

type Setup = {
  readonly dir: string;
  readonly bucket: Bucket;
  readonly relay: Throttle;
  readonly cluster: Cluster;
  readonly agents: readonly AgentProcess[];
  readonly bytes: number;
};

export async function coldMeasures(sizes: StorageSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, sizes.blob * (agentCount * 2 + 4.2));
  const bucket = stack.use(await Bucket.start(dir));
  let figures: Figures = {};
  for (const rate of [unlimited, ...sizes.rates]) {
    await using inner = new AsyncDisposableStack();
    const relay = inner.use(await Throttle.start(bucket.url, rate));
    const place = join(dir, `at-${rate}`);
    const backends = [{ name: 'bucket', s3: bucket.settings(relay.url) }];
    const cluster = inner.use(await Cluster.start({ dir: place, logLevel: 'info', backends }));
    const agents: AgentProcess[] = [];
    for (let i = 0; i < agentCount; i++) agents.push(await cluster.agent());
    const setup = { dir, bucket, relay, cluster, agents, bytes: sizes.blob };
    figures = { ...figures, ...(await wholeMeasures(setup, sizes, nameOf(rate))) };
    if (rate === unlimited) figures = { ...(await firstByteMeasures(setup, sizes)), ...figures };
  }
  return figures;
}

const nameOf = (rate: number): string => (rate === unlimited ? 'Unthrottled' : `${rate / 1e6}MBps`);

/** Of a blob that nobody has heard of, each time. */
async function firstByteMeasures(setup: Setup, { firstBytes }: StorageSizes): Promise<Figures> {
  const { dir, bucket, relay, agents } = setup;
  const [agent] = agents as [AgentProcess];
  const cold: number[] = [];
  const curl: number[] = [];
  for (let i = 0; i < firstBytes; i++) {
    const fresh = makeBlob(join(dir, 'fresh'), setup.bytes);
    await bucket.copyIn(fresh);
    curl.push(await bucket.curlFirstByteMs(relay.url, fresh));
    const startedMs = performance.now();
    await readBody(blobUrl(agent, fresh.digest), 'first');
    cold.push(performance.now() - startedMs);
    // Nothing of it goes on while the next one is timed, nor takes memory.
    await pullWhole(agent, fresh.digest);
    await forgetAll(setup, fresh);
    await bucket.remove(fresh);
  }
  return {
    coldFirstByteMs: rounded(percentile(cold, 0.5)),
    coldFirstByteCurlMs: rounded(percentile(curl, 0.5)),
    coldFirstByteMoreMs: rounded(percentile(cold, 0.5) - percentile(curl, 0.5)),
    coldFirstByteP99Ms: rounded(percentile(cold, 0.99)),
    coldFirstByteSamples: cold.length,
  };
}

async function wholeMeasures(setup: Setup, { rounds }: StorageSizes, name: string): Promise<Figures> {
  const { dir, bucket, relay, agents, cluster } = setup;
  const processes = [bucket, cluster.origin, cluster.tracker, ...agents.map(({ process }) => process)];
  const cpu = (): number => sum(processes.map(({ pid }) => cpuSeconds(pid)));
  const samples: { cold: number; backend: number; swarm: number; cpuS: number; copies: number }[] = [];
  // The first is of processes that have just begun, and compile their code: apart, as in `links`.
  for (let round = 0; round <= rounds; round++) {
    const blob = makeBlob(join(dir, 'fresh'), setup.bytes);
    await bucket.copyIn(blob);
    const all = (): Promise<unknown> => Promise.all(agents.map((agent) => pullWhole(agent, blob.digest)));
    const backend = await bucket.curlSeconds(relay.url, blob);
    const before = { cpuS: cpu(), bytes: relay.bytes };
    const cold = await onWarmMemory(dir, blob.bytes * (agentCount + 1), () => secondsOf(all));
    const cpuS = cpu() - before.cpuS;
    const copies = (relay.bytes - before.bytes) / blob.bytes;
    // The origin holds it now: the swarm alone.
    await Promise.all(agents.map((agent) => forget(agent, blob.digest)));
    const swarm = await onWarmMemory(dir, blob.bytes * agentCount, () => secondsOf(all));
    samples.push({ cold, backend, swarm, cpuS, copies });
    await forgetAll(setup, blob);
    await bucket.remove(blob);
  }
  const [fresh, ...running] = samples as [(typeof samples)[number], ...typeof samples];
  const overMax = ({ cold, backend, swarm }: typeof fresh): number => cold / Math.max(backend, swarm);
  const of = (value: (sample: typeof fresh) => number): number => rounded(median(running.map(value)));
  return {
    [`coldOverMax${name}`]: of(overMax),
    [`coldFreshOverMax${name}`]: rounded(overMax(fresh)),
    [`coldOverBackend${name}`]: of(({ cold, backend }) => cold / backend),
    [`coldSeconds${name}`]: of(({ cold }) => cold),
    [`coldBackendSeconds${name}`]: of(({ backend }) => backend),
    [`coldSwarmSeconds${name}`]: of(({ swarm }) => swarm),
    [`coldOverCpu${name}`]: of(({ cold, cpuS }) => cold / cpuS),
    [`coldCopies${name}`]: of(({ copies }) => copies),
  };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1000;
}

/** Only the bucket has it then. */
async function forgetAll({ cluster, agents }: Setup, { digest }: BlobFile): Promise<void> {
  for (const agent of agents) await forget(agent, digest).catch(() => undefined);
  await forgetAtOrigin(cluster, digest);
}

async function forgetAtOrigin({ originUrl }: Cluster, digest: Digest): Promise<void> {
  const reply = await request(originUrl + ORIGIN.remove.path({ digest }), { method: 'DELETE' });
  await reply.body.dump();
  if (reply.statusCode !== 204 && reply.statusCode !== 404)
    throw new Error(`DELETE ${digest} at ${originUrl}: status ${reply.statusCode}`);
}
