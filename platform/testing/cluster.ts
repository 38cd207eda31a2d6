/**
 * For tests: components as real processes, each with a configuration file and data directory of its own
 * under one temporary directory, on ports that the system chose.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ReadyMessage } from '../lifecycle/role.ts';

const host = '127.0.0.1';
const startMsMax = 15_000;
const exitCrash = 1;
/** Of its log, what an unexpected end is told with. */
const crashBytesMax = 4_000;

export class Process {
  readonly name: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly #child: ChildProcess;

  constructor(name: string, child: ChildProcess, ports: Readonly<Record<string, number>>) {
    this.name = name;
    this.#child = child;
    this.ports = ports;
  }

  /** Base URL of one of its ports. */
  url(port: string): string {
    return `http://${host}:${this.ports[port]}`;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** It hangs: nothing is answered, while connections to it are still taken. */
  hang(): void {
    this.#child.kill('SIGSTOP');
  }

  /** It goes on. */
  wake(): void {
    this.#child.kill('SIGCONT');
  }

  /** Ends it by `signal`; resolves with its exit code. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    if (!this.running) return this.#child.exitCode;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill(signal);
    await ended;
    return this.#child.exitCode;
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
    const log = join(this.dir, `${name}.log`);
    await writeFile(file, stringify({ name, log: { level: 'debug' }, ...settings }));
    const child = fork(entry, ['--config', file], { silent: true, execArgv: [...process.execArgv, ...flags] });
    const lines: Buffer[] = [];
    for (const output of [child.stdout, child.stderr]) output?.on('data', (chunk: Buffer) => lines.push(chunk));
    child.once('exit', (code) => {
      void writeFile(log, Buffer.concat(lines)).catch(() => undefined);
      if (code === exitCrash)
        process.stderr.write(`${name} crashed:\n${Buffer.concat(lines).subarray(-crashBytesMax)}\n`);
    });
    const ports = await new Promise<ReadyMessage['ports']>((resolve, reject) => {
      const failed = (why: string): void => reject(new Error(`${name} ${why}:\n${Buffer.concat(lines)}`));
      const late = setTimeout(() => failed('was not ready in time'), startMsMax);
      child.once('exit', (code) => failed(`ended with code ${code}`));
      child.once('message', (message) => {
        clearTimeout(late);
        resolve((message as ReadyMessage).ports);
      });
    });
    const started = new Process(name, child, ports);
    this.#processes.push(started);
    return started;
  }

  /** What an ended process printed. */
  async log(name: string): Promise<string> {
    return await readFile(join(this.dir, `${name}.log`), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.stop('SIGKILL')));
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A port that was free a moment ago, for those that must know each other before they start. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
