/**
 * Outside processes of a real test: run one to its end, or keep one running and stop it by its own pid. Their output
 * goes to a file, whose tail every error carries.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { need } from './programs.ts';

const exec = promisify(execFile);
const tailChars = 4_000;
const stopMsMax = 20_000;

/** Runs a program to its end; its standard output. Throws with what it printed where it fails. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await exec(need(program), args, { env: { ...process.env, ...env }, maxBuffer: 64 << 20 });
    return stdout.trim();
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(`${message.split('\n')[0]}\n${stdout.slice(-tailChars)}\n${stderr.slice(-tailChars)}`);
  }
}

/** A process that runs until the test is done with it. */
export class Service implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #closed: Promise<void>;
  constructor(child: ChildProcess, log: string) {
    this.#child = child;
    this.#log = log;
    this.#closed = new Promise((resolve) => child.once('close', () => resolve()));
  }

  /** Starts `command` with its output in the file `log`. */
  static start(command: readonly string[], log: string, env: NodeJS.ProcessEnv = {}): Service {
    const [program = '', ...args] = command;
    const out = openSync(log, 'a');
    const child = spawn(program, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
    closeSync(out);
    return new Service(child, log);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`did not start: ${this.tail()}`);
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  tail(): string {
    return readFileSync(this.#log, 'utf8').slice(-tailChars);
  }

  /** Waits until `ready` says so; throws with the log's tail if the process ends or `withinMs` pass before. */
  async until(ready: () => Promise<boolean>, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!(await ready().catch(() => false))) {
      if (!this.running) throw new Error(`ended before it was ready:\n${this.tail()}`);
      if (Date.now() > deadline) throw new Error(`not ready within ${withinMs} ms:\n${this.tail()}`);
      await sleep(100);
    }
  }

  /** SIGTERM, then SIGKILL after 20 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    await this.#closed;
    clearTimeout(late);
  }
}

/** A temporary directory that goes with the stack. */
export async function temporary(stack: AsyncDisposableStack, prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `shoal-${prefix}-`));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Is the path answered with a 2xx? */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.ok;
}

/** A base port for `shoal up`, below the ephemeral ports, whose ports were free a moment ago. */
export async function freeBasePort(agents: number): Promise<number> {
  for (let base = 20_000 + 10 * Math.floor(Math.random() * 900); base < 31_000; base += 10) {
    const ports = [0, 1, 2, 3, 4, 5].map((n) => base + n);
    for (let agent = 0; agent < agents; agent++) ports.push(...[0, 1, 2].map((n) => base + 1_000 + 10 * agent + n));
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no free ports between 20000 and 32000');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
