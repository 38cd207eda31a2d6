/**
 * Roles as real processes, each started by its main.ts as `shoal ROLE` does, with a configuration file of
 * its own. A process is ready when it says so over IPC.
 *
 * Rule 1: what a bench starts it ends, by its pid, with the stack.
 * Rule 2: a role that ends by itself is an error with the end of its log.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Role } from '../platform/config/common.ts';
import { launchEnv, launchFlags, nurseryOf } from '../platform/lifecycle/launch.ts';
import type { ReadyMessage } from '../platform/lifecycle/role.ts';

const readyMsMax = 60_000;
const stopMsMax = 10_000;
const tailLines = 20;

export type RolePlan = {
  readonly role: Role;
  readonly name: string;
  /** For its configuration file and its data. */
  readonly dir: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Put before node's own command line: `ip netns exec NAME`. */
  readonly on?: readonly string[];
  /** Options of node. */
  readonly nodeFlags?: readonly string[];
};

/** A line of a role's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string; readonly time?: string };

export class RoleProcess implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
  /** Where its blobs are. */
  readonly data: string;
  readonly #child: ChildProcess;
  readonly #listeners: Set<(line: LogLine) => void>;
  #ending = false;

  private constructor(plan: RolePlan, child: ChildProcess, ports: Readonly<Record<string, number>>) {
    this.name = plan.name;
    this.pid = child.pid ?? 0;
    this.ports = ports;
    this.data = dataOf(plan);
    this.#child = child;
    this.#listeners = new Set();
  }

  static async start(plan: RolePlan): Promise<RoleProcess> {
    mkdirSync(plan.dir, { recursive: true });
    const file = join(plan.dir, `${plan.name}.yaml`);
    const stored = plan.role === 'tracker' || plan.role === 'proxy' ? {} : { data: dataOf(plan) };
    writeFileSync(file, stringify({ role: plan.role, name: plan.name, ...stored, ...plan.config }));
    const entry = fileURLToPath(new URL(`../${plan.role}/main.ts`, import.meta.url));
    const variables = Object.entries(launchEnv()).map(([name, value]) => `${name}=${value}`);
    const flags = [...launchFlags(nurseryOf(plan.role)), ...(plan.nodeFlags ?? [])];
    const node = ['env', ...variables, process.execPath, ...flags];
    const [program = '', ...args] = [...(plan.on ?? []), ...node, entry, '--config', file];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const tail: string[] = [];
    const heard: { listeners?: Set<(line: LogLine) => void> } = {};
    for (const output of [child.stdout, child.stderr]) {
      if (output === null) continue;
      createInterface({ input: output }).on('line', (line) => {
        tail.push(line);
        if (tail.length > tailLines) tail.shift();
        if (heard.listeners !== undefined && heard.listeners.size > 0) tell(heard.listeners, line);
      });
    }
    const ports = await ready(plan.name, child, tail);
    const made = new RoleProcess(plan, child, ports);
    heard.listeners = made.#listeners;
    child.once('exit', (code, signal) => {
      if (!made.#ending) process.stderr.write(`${plan.name} ended (${code ?? signal}):\n${tail.join('\n')}\n`);
    });
    return made;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The first line from now on that `wanted` takes. Rejects where the process ends, or after `withinMs`. */
  async line(wanted: (line: LogLine) => boolean, withinMs: number): Promise<LogLine> {
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>();
    const listen = (line: LogLine): void => {
      if (wanted(line)) resolve(line);
    };
    const ended = (): void => reject(new Error(`${this.name} ended`));
    const late = setTimeout(() => reject(new Error(`${this.name}: not within ${withinMs / 1000} s`)), withinMs);
    this.#listeners.add(listen);
    this.#child.once('exit', ended);
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      this.#listeners.delete(listen);
      this.#child.off('exit', ended);
    }
  }

  /** The sum over all labels of a counter of its /metrics, at `base`. */
  async counter(base: string, name: string): Promise<number> {
    const text = await (await fetch(`${base}/metrics`)).text();
    let total = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        total += Number(line.slice(line.lastIndexOf(' ')));
    }
    return total;
  }

  /** SIGTERM, then SIGKILL. Resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    if (!this.running) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    await gone;
    clearTimeout(late);
  }
}

function dataOf(plan: RolePlan): string {
  return join(plan.dir, 'data', plan.name);
}

function tell(listeners: ReadonlySet<(line: LogLine) => void>, text: string): void {
  if (!text.startsWith('{')) return;
  const line = JSON.parse(text) as LogLine;
  for (const listener of listeners) listener(line);
}

function ready(name: string, child: ChildProcess, tail: readonly string[]): Promise<ReadyMessage['ports']> {
  return new Promise((resolve, reject) => {
    const failed = (why: string): void => reject(new Error(`${name} ${why}\n${tail.join('\n')}`));
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      failed(`was not ready within ${readyMsMax / 1000} s`);
    }, readyMsMax);
    child.once('error', (error) => failed(`did not start: ${error.message}`));
    child.once('exit', (code, signal) => failed(`ended (${code ?? signal}) before it was ready`));
    child.once('message', (message) => {
      clearTimeout(late);
      resolve((message as ReadyMessage).ports);
    });
  });
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  return ports;
}
