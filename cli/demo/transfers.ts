/**
 * The demo's transfers: a push through the proxy, pulls through every agent at once, one read straight from the
 * origin. The clients behave as good clients do: a cut transfer goes on by Range, a push is tried again.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { Persistence } from '../../platform/clients/registry/persistence.ts';
import { pullBlob, pullManifest } from '../../platform/clients/registry/pull.ts';
import { pushBlob } from '../../platform/clients/registry/push.ts';
import { type BlobSource, openFrom, Registry } from '../../platform/clients/registry/registry.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { url } from '../cluster/cluster.ts';
import { agentName } from '../cluster/names.ts';
import type { ClusterPorts } from '../cluster/ports.ts';
import type { Bar, Progress } from '../ui/progress.ts';
import type { DemoImage } from './image.ts';
import type { Kill } from './kill.ts';
import { metricsOf, sample } from './measure.ts';
import type { AgentResult, DirectRead } from './report.ts';

const repo = 'library/demo';
const tag = 'latest';
/** Layers that a client fetches at once, as containerd and Docker do. */
const parallel = 3;
/** A transfer that nothing came of for so long is given up. */
const silenceMs = 30_000;

export type Stage = {
  readonly image: DemoImage;
  readonly ports: ClusterPorts;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** How parts are asked for more than images. Default: TCP. */
  readonly transport?: HttpTransport | undefined;
  readonly reached: (stage: Kill['stage'], share: number) => void;
};

/** A transfer that failed, and the part that it went through. */
export class PartTrouble extends Error {
  override readonly name = 'PartTrouble';
  readonly part: string;
  constructor(part: string, cause: ApiError) {
    super(`${part}: ${cause.message} (${cause.code})`);
    this.part = part;
  }
}

async function blame<T>(part: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof ApiError ? new PartTrouble(part, error) : error;
  }
}

function persistent(stage: Stage, what: string): Persistence {
  const onRetry = (error: Error) => stage.progress.say(`${what}: ${error.message}: trying again`);
  return new Persistence({ silenceMs, signal: stage.signal, onRetry });
}

/** Through the proxy, blob by blob. */
export function pushImage(stage: Stage): Promise<{ bytes: number; ms: number }> {
  return blame('proxy', push(stage));
}

async function push(stage: Stage): Promise<{ bytes: number; ms: number }> {
  const { image, progress, signal } = stage;
  await using registry = new Registry(url(stage.ports.proxy));
  const begun = performance.now();
  const [bar] = progress.begin([{ label: 'push', total: image.size }]) as [Bar];
  const onBytes = (bytes: number) => {
    progress.advance(bar, bytes);
    stage.reached('push', bar.done / bar.total);
  };
  const { config } = image;
  const blobs = [
    ...image.layers,
    { digest: config.digest, size: config.bytes.length, read: (from: number) => once(config.bytes.subarray(from)) },
  ];
  for (const { digest, size, read } of blobs) {
    await pushBlob(registry, { repo, digest, size, read, onBytes }, persistent(stage, 'push'));
  }
  const { bytes } = image.manifest;
  await persistent(stage, 'push').run(() =>
    registry.putManifest(repo, tag, { mediaType: MEDIA.ociManifest, bytes }, signal),
  );
  onBytes(bytes.length);
  progress.finish();
  return { bytes: bar.done, ms: performance.now() - begun };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Through every agent at once. A failure names the agent (PartTrouble). */
export async function pullEverywhere(stage: Stage): Promise<AgentResult[]> {
  const { image, ports, progress } = stage;
  const bars = progress.begin(ports.agents.map((_, i) => ({ label: agentName(i), total: image.size })));
  const sum = () => bars.reduce((bytes, bar) => bytes + bar.done, 0) / (image.size * bars.length);
  const pulls = bars.map((bar, i) => {
    const onBytes = (bytes: number) => {
      progress.advance(bar, bytes);
      stage.reached('pull', sum());
    };
    return blame(agentName(i), pullImage(stage, i, onBytes));
  });
  const results = await Promise.all(pulls);
  progress.finish();
  return results;
}

/** As a container runtime does: the manifest, then config and layers, some side by side. */
async function pullImage(stage: Stage, agent: number, onBytes: (bytes: number) => void): Promise<AgentResult> {
  const { image } = stage;
  const name = agentName(agent);
  await using registry = new Registry(url(stage.ports.agents[agent]?.registry ?? 0));
  const begun = performance.now();
  let firstByteMs = 0;
  const manifest = await pullManifest(registry, { repo, reference: tag }, persistent(stage, name));
  if (manifest.digest !== image.manifest.digest) {
    throw new ApiError(
      'DIGEST_INVALID',
      `${name} gave the manifest ${manifest.digest}, pushed was ${image.manifest.digest}`,
    );
  }
  onBytes(manifest.bytes.length);
  const counted = (bytes: number) => {
    if (firstByteMs === 0) firstByteMs = performance.now() - begun;
    onBytes(bytes);
  };
  const blobs = [{ digest: image.config.digest, size: image.config.bytes.length }, ...image.layers];
  const queue = [...blobs];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { digest, size } = next;
      await pullBlob(registry, { repo, digest, size, onBytes: counted }, persistent(stage, name));
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return { name, bytes: image.size, ms: performance.now() - begun, firstByteMs };
}

/** One copy straight from the origin, for the bound. */
export function readDirect(stage: Stage): Promise<DirectRead> {
  return blame('origin', direct(stage));
}

async function direct(stage: Stage): Promise<DirectRead> {
  const origin = url(stage.ports.origin);
  await using client = new HttpClient({ base: origin, transport: stage.transport });
  const straight: BlobSource = {
    base: origin,
    blob: (_repo, digest, from, signal) =>
      openFrom(client, ORIGIN.read.path({ digest }), from, CallContext.begin({ requestId: 'demo-direct', signal })),
  };
  const cpuBefore = process.cpuUsage();
  const originBefore = sample(await metricsOf(origin, stage.transport), 'process_cpu_seconds_total');
  const begun = performance.now();
  let bytes = 0;
  for (const { digest, size } of stage.image.layers) {
    bytes += await pullBlob(straight, { repo, digest, size }, persistent(stage, 'origin'));
  }
  const ms = performance.now() - begun;
  const cpu = process.cpuUsage(cpuBefore);
  const originCpuS = sample(await metricsOf(origin, stage.transport), 'process_cpu_seconds_total') - originBefore;
  return { bytes, ms, clientCpuS: (cpu.user + cpu.system) / 1e6, originCpuS };
}
