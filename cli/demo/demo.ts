/**
 * `shoal demo`: a cluster in a temporary directory, one image pushed once and pulled through every agent at
 * once, every byte verified, a table, nothing left behind.
 *
 * Rule: whatever happens, the processes end and the directory goes; after kill -9 with the next demo.
 */

import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Env } from '../../platform/config/yaml.ts';
import { clusterCertificates } from '../cluster/certificates.ts';
import { clusterParts, url } from '../cluster/cluster.ts';
import { logTail } from '../cluster/log-tail.ts';
import { agentName, localCluster } from '../cluster/names.ts';
import { freeBase, portsOf } from '../cluster/ports.ts';
import type { PartEvent } from '../cluster/process.ts';
import { onStop, Stopped } from '../cluster/stop-signal.ts';
import { Supervisor } from '../cluster/supervisor.ts';
import { eventLine } from '../commands/up.ts';
import { Failure } from '../failure.ts';
import { bytesText, secondsText } from '../ui/format.ts';
import { Progress, type Screen } from '../ui/progress.ts';
import { demoDirectory, removeDirectory } from './directory.ts';
import { demoImage } from './image.ts';
import { killer, parseKill } from './kill.ts';
import { agentPulls, metricsOf, peakResident, sample } from './measure.ts';
import { type AgentResult, type DemoResult, report } from './report.ts';
import { PartTrouble, pullEverywhere, pushImage, readDirect, type Stage } from './transfers.ts';

/** Beyond this the demo has failed: a minute, and what a slow machine needs for the size. */
const limitMsMin = 60_000;
const limitBytesPerS = 5e6;

export type DemoOptions = {
  readonly agents: number;
  readonly size: number;
  readonly env: Env;
  readonly kill?: string | undefined;
  readonly seed?: string | undefined;
  readonly secure?: boolean | undefined;
  readonly screen: Screen;
};

/** Resolves when all went well and everything is cleared away; rejects Failure or Stopped, as clean. */
export async function demo(options: DemoOptions): Promise<void> {
  const names = [
    'proxy',
    'origin',
    'tracker',
    'index',
    ...Array.from({ length: options.agents }, (_, i) => agentName(i)),
  ];
  const kill = options.kill === undefined ? undefined : parseKill(options.kill, names);
  const ports = portsOf(await freeBase(options.agents, Math.random), options.agents);
  const dir = demoDirectory();
  const progress = new Progress(options.screen);
  const died: string[] = [];
  const secure =
    options.secure === true
      ? await clusterCertificates(dir, localCluster, { agents: options.agents, indexes: 1 })
      : undefined;
  const waves = clusterParts({ dir, ports, env: options.env, secure });
  const supervisor = new Supervisor({ waves, onEvent: (event) => tell(event, progress, died) });
  const clear = () => {
    supervisor.end();
    removeDirectory(dir);
  };
  using stop = onStop(() => {
    clear();
    process.exit(130);
  });
  const limitMs = limitMsMin + (options.size / limitBytesPerS) * 1000;
  const limit = AbortSignal.timeout(limitMs);
  const signal = AbortSignal.any([stop.first, limit]);
  try {
    const reached = killer(kill, (part) => {
      progress.say(`kill -9 of ${part}`);
      supervisor.part(part).kill();
    });
    const result = await show({
      options,
      ports,
      progress,
      supervisor,
      signal,
      reached,
      died,
      transport: secure?.transport,
    });
    progress.say(`\n${report(result)}`);
  } catch (error) {
    progress.finish();
    if (stop.first.aborted) throw new Stopped('stopped: nothing is left behind');
    if (limit.aborted) throw new Failure(`the demo was not done within its limit of ${secondsText(limitMs)}`);
    if (error instanceof PartTrouble)
      throw new Failure(error.message + logTail(supervisor.part(error.part).spec.logFile));
    throw error;
  } finally {
    await supervisor.stop();
    clear();
  }
}

function tell(event: PartEvent, progress: Progress, died: string[]): void {
  if (event.kind === 'died') died.push(event.part);
  if (event.kind === 'died' || (event.kind === 'ready' && event.again)) progress.say(eventLine(event));
}

type Show = Omit<Stage, 'image'> & {
  readonly options: DemoOptions;
  readonly supervisor: Supervisor;
  readonly died: readonly string[];
};

async function show(demo: Show): Promise<DemoResult> {
  const { options, progress, supervisor, signal, died } = demo;
  const begun = performance.now();
  const seed = options.seed ?? randomBytes(4).toString('hex');
  const [image] = await Promise.all([demoImage(options.size, seed), orStopped(supervisor.start(), signal)]);
  signal.throwIfAborted();
  progress.say(
    `cluster up in ${secondsText(performance.now() - begun)}: proxy, origin, tracker, index and ${options.agents} agent${options.agents === 1 ? '' : 's'}, a process each`,
  );
  progress.say(`image: ${image.layers.length} layers, ${bytesText(image.size)}, seed ${seed}`);
  const stage: Stage = { ...demo, image };
  const push = await pushImage(stage);
  const agents = await pullEverywhere(stage);
  await Promise.all(died.map((part) => orStopped(supervisor.part(part).ready(), signal)));
  const originBytes = died.includes('origin') ? undefined : await bytesFromOrigin(demo);
  const direct = await readDirect(stage);
  return {
    imageBytes: image.size,
    layers: image.layers.length,
    push,
    agents: await Promise.all(
      agents.map((agent, i) => (died.includes(agent.name) ? agent : withSources(agent, demo, i))),
    ),
    originBytes,
    direct,
    cores: availableParallelism(),
    largest: largestProcess(supervisor),
    restarts: died.length,
  };
}

/** `work`, or the reason of the signal: what goes on then is ended by the supervisor's stop. */
async function orStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function bytesFromOrigin({ ports, transport }: Show): Promise<number> {
  return sample(await metricsOf(url(ports.origin), transport), 'shoal_peer_sent_bytes_total', ['role="agent"']);
}

async function withSources(agent: AgentResult, { ports, transport }: Show, i: number): Promise<AgentResult> {
  const pulls = await agentPulls(url(ports.agents[i]?.admin ?? 0), transport);
  const sum = (of: 'bytesFromPeers' | 'bytesFromOrigins') => pulls.reduce((bytes, pull) => bytes + pull[of], 0);
  return { ...agent, fromPeers: sum('bytesFromPeers'), fromOrigins: sum('bytesFromOrigins') };
}

function largestProcess(supervisor: Supervisor): DemoResult['largest'] {
  const sizes = supervisor.parts.map((part) => ({ name: part.spec.name, bytes: peakResident(part.pid) ?? 0 }));
  sizes.push({ name: 'demo', bytes: peakResident(process.pid) ?? 0 });
  const largest = sizes.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  return largest.bytes === 0 ? undefined : largest;
}
