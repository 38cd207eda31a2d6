/**
 * Roles as real processes, each started by its main.ts as `shoal ROLE` does, with a configuration file of
 * its own. A process is ready when it says so over IPC.
 *
 * Rule 1: what a bench starts it ends, by its pid, with the stack.
 * Rule 2: a role that ends by itself is an error with the end of its log.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { PROBES } from '../core/contracts/probes.ts';
import type { Role } from '../platform/config/common.ts';
import { Child, isReady, nodeCommand } from '../platform/lifecycle/child.ts';
import { launchEnv, launchFlags, nurseryOf } from '../platform/lifecycle/launch.ts';

const readyMsMax = 60_000;

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
  readonly #child: Child;

  private constructor(plan: RolePlan, child: Child, ports: Readonly<Record<string, number>>) {
    this.name = plan.name;
    this.pid = child.pid;
    this.ports = ports;
    this.data = dataOf(plan);
    this.#child = child;
  }

  static async start(plan: RolePlan): Promise<RoleProcess> {
    const { name } = plan;
    mkdirSync(plan.dir, { recursive: true });
    const file = join(plan.dir, `${name}.yaml`);
    const stored = plan.role === 'tracker' || plan.role === 'proxy' ? {} : { data: dataOf(plan) };
    writeFileSync(file, stringify({ role: plan.role, name, ...stored, ...plan.config }));
    const entry = new URL(`../${plan.role}/main.ts`, import.meta.url);
    const flags = [...launchFlags(nurseryOf(plan.role)), ...(plan.nodeFlags ?? [])];
    const variables = Object.entries(launchEnv()).map(([variable, value]) => `${variable}=${value}`);
    const command = [...(plan.on ?? []), 'env', ...variables, ...nodeCommand(entry, ['--config', file], flags)];
    const { child, said } = await Child.ready({ name, command, output: 'lines', channel: true }, (starting) =>
      starting.message(isReady, readyMsMax),
    );
    void child.ended.then(({ how }) => {
      if (!child.asked) process.stderr.write(`${name} ended (${how}):\n${child.tail()}\n`);
    });
    return new RoleProcess(plan, child, said.ports);
  }

  /** The first line of its log from now on that `wanted` takes. Rejects where the process ends, or after `withinMs`. */
  line(wanted: (line: LogLine) => boolean, withinMs: number): Promise<LogLine> {
    return this.#child.first((found) => this.#child.onLine((text) => tell(text, wanted, found)), withinMs);
  }

  /** The sum over all labels of a counter of its /metrics, at `base`. */
  async counter(base: string, name: string): Promise<number> {
    const text = await (await fetch(base + PROBES.metrics.pattern)).text();
    let total = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        total += Number(line.slice(line.lastIndexOf(' ')));
    }
    return total;
  }

  /** SIGKILL, as an operator's machine may do it. Resolves when it is gone. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.#child.end();
  }

  /** SIGTERM, then SIGKILL. Resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}

function dataOf(plan: RolePlan): string {
  return join(plan.dir, 'data', plan.name);
}

function tell(text: string, wanted: (line: LogLine) => boolean, found: (line: LogLine) => void): void {
  if (!text.startsWith('{')) return;
  const line = JSON.parse(text) as LogLine;
  if (wanted(line)) found(line);
}
