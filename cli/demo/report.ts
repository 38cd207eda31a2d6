/**
 * The demo's closing table: pure text from what was measured.
 *
 * The bound. On one machine there is no wire; what limits is the CPU. The demo's own client reads the image once
 * straight from the origin, hashing it, and measures the CPU seconds of both. Every agent's client needs at least
 * that work for its copy, so N copies cannot take less than N times it, spread over the cores (and the client's
 * part runs on one thread). What agents do beside (fetching, BLAKE3, writing) is not in it: it is a true bound, and
 * not one that can be reached.
 */

import { bytesText, percentText, rateText, secondsText, table } from '../ui/format.ts';

export type AgentResult = {
  readonly name: string;
  readonly bytes: number;
  readonly ms: number;
  readonly firstByteMs: number;
  /** As the agent counts; undefined where it was restarted and forgot. */
  readonly fromPeers?: number | undefined;
  readonly fromOrigins?: number | undefined;
};
/** One copy of the image, read straight from the origin by the demo's client. */
export type DirectRead = {
  readonly bytes: number;
  readonly ms: number;
  readonly clientCpuS: number;
  readonly originCpuS: number;
};
export type DemoResult = {
  readonly imageBytes: number;
  readonly layers: number;
  readonly push: { readonly bytes: number; readonly ms: number };
  readonly agents: readonly AgentResult[];
  /** What the origin's own counter says it sent to agents; undefined where it was restarted. */
  readonly originBytes?: number | undefined;
  readonly direct: DirectRead;
  readonly cores: number;
  readonly largest?: { readonly name: string; readonly bytes: number } | undefined;
  readonly restarts: number;
};

/** Seconds below which `copies` verified copies cannot reach clients of one process on this machine. */
export function boundSeconds(direct: DirectRead, copies: number, cores: number): number {
  const everything = (copies * (direct.clientCpuS + direct.originCpuS)) / cores;
  return Math.max(everything, copies * direct.clientCpuS);
}

export function report(result: DemoResult): string {
  const { agents, direct, cores, imageBytes } = result;
  const lastMs = Math.max(...agents.map((agent) => agent.ms));
  const bound = boundSeconds(direct, agents.length, cores);
  return [
    table([['', 'time', 'first byte', 'rate', 'from peers', 'from origin'], ...agents.map(agentRow)]),
    '',
    `every byte verified: ${countText(agents.length, 'agent')} x ${bytesText(imageBytes)} in ${result.layers} layers`,
    `push                 ${secondsText(result.push.ms)}, ${rateText((result.push.bytes / result.push.ms) * 1000)}`,
    `left the origin      ${originText(result)}`,
    `all agents           ${secondsText(lastMs)} to the last byte, ${rateText(((imageBytes * agents.length) / lastMs) * 1000)} together`,
    `bound                ${bound.toFixed(2)} s for this machine: ${boundText(direct, agents.length, cores)}`,
    `                     (measured: one copy straight from the origin, hashed, ${rateText((direct.bytes / direct.ms) * 1000)})`,
    `distance             ${(lastMs / 1000 / bound).toFixed(1)} x the bound; loopback is bound by CPU, a network by its links`,
    ...(result.largest === undefined
      ? []
      : [`largest process      ${result.largest.name}, ${memoryText(result.largest.bytes)} resident at its peak`]),
    ...(result.restarts === 0
      ? []
      : [`restarts             ${result.restarts}: the transfers went on where they stood`]),
  ].join('\n');
}

/** What the bound is the product of, so that a reader can do the sum. */
function boundText(direct: DirectRead, copies: number, cores: number): string {
  const cpu = direct.clientCpuS + direct.originCpuS;
  const oneThread = direct.clientCpuS > cpu / cores;
  const each = oneThread
    ? `${direct.clientCpuS.toFixed(2)} s each on the client's one thread`
    : `${cpu.toFixed(2)} CPU s each over ${cores} cores`;
  return `${copies === 1 ? '1 copy' : `${copies} copies`} at ${each}`;
}

function agentRow(agent: AgentResult): string[] {
  const known = agent.fromPeers !== undefined && agent.fromOrigins !== undefined;
  const sum = (agent.fromPeers ?? 0) + (agent.fromOrigins ?? 0);
  const share = (bytes: number | undefined) => (known && sum > 0 ? percentText((bytes ?? 0) / sum) : '?');
  return [
    agent.name,
    secondsText(agent.ms),
    secondsText(agent.firstByteMs),
    rateText((agent.bytes / agent.ms) * 1000),
    share(agent.fromPeers),
    share(agent.fromOrigins),
  ];
}

function originText(result: DemoResult): string {
  if (result.originBytes === undefined) return 'unknown: it was restarted';
  return `${bytesText(result.originBytes)}: ${(result.originBytes / result.imageBytes).toFixed(2)} copies for ${countText(result.agents.length, 'agent')}`;
}

function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function memoryText(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
