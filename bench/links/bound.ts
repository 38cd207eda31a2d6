/** What the links themselves give: one TCP stream, and every host sending to the next at once. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Child, isReady } from '../../platform/lifecycle/child.ts';
import type { Host } from './network.ts';

const program = fileURLToPath(new URL('./stream.ts', import.meta.url));
const node = [process.execPath, '--disable-warning=ExperimentalWarning', program];
const port = 15_900;
const readyMsMax = 20_000;
const exec = promisify(execFile);

/** Seconds that one TCP stream takes to carry `bytes` from `from` to `to`, both idle otherwise. */
export async function streamSeconds(from: Host, to: Host, bytes: number): Promise<number> {
  await using stack = new AsyncDisposableStack();
  await serve(stack, from);
  return await fetchSeconds(to, from, bytes);
}

/** Every host sends to the next, all at once: the slowest, in seconds. Far above one stream, the cores are the limit. */
export async function ringSeconds(hosts: readonly Host[], bytes: number): Promise<number> {
  await using stack = new AsyncDisposableStack();
  for (const host of hosts) await serve(stack, host);
  const next = (i: number): Host => hosts[(i + 1) % hosts.length] as Host;
  return Math.max(...(await Promise.all(hosts.map((host, i) => fetchSeconds(host, next(i), bytes)))));
}

async function fetchSeconds(at: Host, from: Host, bytes: number): Promise<number> {
  const [command = '', ...args] = [...at.on, ...node, 'fetch', from.address, String(port), String(bytes)];
  const { stdout } = await exec(command, args);
  return Number(stdout);
}

async function serve(stack: AsyncDisposableStack, host: Host): Promise<void> {
  const command = [...host.on, ...node, 'serve', String(port)];
  const plan = { name: 'stream', command, output: 'lines', channel: true } as const;
  const { child } = await Child.ready(plan, (starting) => starting.message(isReady, readyMsMax));
  stack.use(child);
}
