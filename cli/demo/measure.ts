/** What the demo asks of the running parts: where bytes came from, CPU and memory. */

import { readFileSync } from 'node:fs';
import { AGENT, type FinishedPull } from '../../core/contracts/agent.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { type ClientOptions, HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';

/** The finished pulls of an agent, from its admin interface. */
export function agentPulls(adminUrl: string, transport?: HttpTransport | undefined): Promise<readonly FinishedPull[]> {
  return withClient({ base: adminUrl, transport }, async (client) => {
    const status = await client.json('GET', AGENT.status.pattern);
    return AGENT.status.reply(status, adminUrl).finished;
  });
}

/** Samples of a Prometheus text: the sum over the lines of `name` whose labels include all of `labels`. */
export function sample(text: string, name: string, labels: readonly string[] = []): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
    if (match === null || match[1] !== name) continue;
    if (labels.every((label) => match[2]?.includes(label) === true)) sum += Number(match[3]);
  }
  return sum;
}

export function metricsOf(base: string, transport?: HttpTransport | undefined): Promise<string> {
  return withClient({ base, transport }, async (client) =>
    Buffer.from(await (await client.stream('GET', PROBES.metrics.pattern)).bytes()).toString('utf8'),
  );
}

async function withClient<T>(to: ClientOptions, use: (client: HttpClient) => Promise<T>): Promise<T> {
  const client = new HttpClient(to);
  try {
    return await use(client);
  } finally {
    await client[Symbol.asyncDispose]();
  }
}

/** The most memory that the process ever had resident, bytes; undefined where the system does not say. */
export function peakResident(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}
