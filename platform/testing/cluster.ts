/**
 * For tests: components as real processes, each with a configuration file and data directory of its own
 * under one temporary directory, on ports that the system chose.
 */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Child, isReady, nodeCommand } from '../lifecycle/child.ts';

const host = '127.0.0.1';
const startMsMax = 60_000;
/** More than any role has to let transfers finish. */
const stopMsMax = 60_000;

export class Process {
  readonly name: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly #child: Child;

  constructor(child: Child, ports: Readonly<Record<string, number>>) {
    this.name = child.name;
    this.#child = child;
    this.ports = ports;
  }

  /** Base URL of one of its ports. */
  url(port: string): string {
    return `http://${host}:${this.ports[port]}`;
  }

  get running(): boolean {
    return this.#child.running;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** It hangs: nothing is answered, while connections to it are still taken. */
  hang(): void {
    this.#child.signal('SIGSTOP');
  }

  /** It goes on. */
  wake(): void {
    this.#child.signal('SIGCONT');
  }

  /** Ends it by `signal`; resolves with its exit code. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    return (await this.#child.end(signal === 'SIGKILL' ? 0 : stopMsMax)).code;
  }
}

/** A place for processes; closing it ends them and removes what they stored. */
export class Cluster implements AsyncDisposable {
  readonly dir: string;
  readonly #processes: Process[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(): Promise<Cluster> {
    return new Cluster(await mkdtemp(join(tmpdir(), 'shoal-test-')));
  }

  dataOf(name: string): string {
    return join(this.dir, name);
  }

  /** Starts `entry`, a role's main.ts, under `name`; `settings` are its configuration, `flags` are for Node. */
  async start(entry: URL, name: string, settings: object, flags: readonly string[] = []): Promise<Process> {
    const file = join(this.dir, `${name}.yaml`);
    await writeFile(file, stringify({ name, log: { level: 'debug' }, ...settings }));
    const command = nodeCommand(entry, ['--config', file], flags);
    const { child, said } = await Child.ready(
      { name, command, output: { file: this.#logOf(name) }, channel: true },
      (starting) => starting.message(isReady, startMsMax),
    );
    void child.ended.then(({ how }) => {
      if (!child.asked) process.stderr.write(`${name} ended (${how}):\n${child.tail()}\n`);
    });
    const started = new Process(child, said.ports);
    this.#processes.push(started);
    return started;
  }

  /** What a process printed, and those of its name before it. */
  async log(name: string): Promise<string> {
    return await readFile(this.#logOf(name), 'utf8');
  }

  #logOf(name: string): string {
    return join(this.dir, `${name}.log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.stop('SIGKILL')));
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}
