/**
 * A child process, from its start to its end: a role, or any program. Everything that starts one starts it here.
 *
 * Rule 1: it is ready when it says so: by a message (our own), or because something about it is true by now (others).
 *   One that ends before, or is late, is ended, and the error has the end of its log.
 * Rule 2: it is ended by its own pid: SIGTERM, and SIGKILL after a stated time.
 * Rule 3: none outlives this process, however that exits. After kill -9 of this one, roles end by themselves, since their
 *   channel is gone (role.ts).
 * Rule 4: what it says is bounded here: a log file is put aside when it is large, in memory there is only its end.
 */

import { type ChildProcess, type Serializable, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fileEnd, Tail } from './tail.ts';

export type ChildPlan = {
  /** What messages call it. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** All of its environment. Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where its output goes: a file that it is added to, whoever of the two lives longer; here, line by line; to ours. */
  readonly output: { readonly file: string } | 'lines' | 'ours';
  /** It can be sent messages, and sends some. Default: no. */
  readonly channel?: boolean;
  /** In a session of its own: Ctrl-C reaches this process alone. Default: no. */
  readonly ownSession?: boolean;
};

/** What a role tells its parent once it is ready. */
export type ReadyMessage = {
  readonly ready: true;
  readonly role: string;
  readonly ports: Readonly<Record<string, number>>;
};

export const isReady = (message: unknown): message is ReadyMessage =>
  (message as Partial<ReadyMessage> | null)?.ready === true;

/** A message of that `kind`. */
export const ofKind =
  <T extends { readonly kind: string }>(kind: T['kind']) =>
  (message: unknown): message is T =>
    (message as Partial<T> | null)?.kind === kind;

/** How it ended: `exit code 2`, `signal SIGKILL`, or why it never ran. */
export type ChildEnd = { readonly code: number | null; readonly how: string };

/** The command that runs `entry`, a file of ours, in this process's Node. */
export function nodeCommand(entry: URL, args: readonly string[], flags: readonly string[] = []): string[] {
  return [process.execPath, ...flags, fileURLToPath(entry), ...args];
}

/** What a program has by default to end after SIGTERM. */
export const endMsDefault = 20_000;
const logBytesMax = 16 * 1024 * 1024;
const lookEveryMs = 50;
/** After its end, output may still be on its way, or its own children may keep that open for ever. */
const outputMsMax = 500;

/** Those that run. */
const running = new Set<ChildProcess>();
let watchesExit = false;

export class Child implements AsyncDisposable {
  readonly name: string;
  /** When it is gone. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #child: ChildProcess;
  readonly #tail: Tail | undefined;
  readonly #file: string | undefined;
  #asked = false;

  private constructor(plan: ChildPlan) {
    this.name = plan.name;
    this.#file = typeof plan.output === 'object' ? plan.output.file : undefined;
    this.#child = spawned(plan);
    const { stdout, stderr } = this.#child;
    if (stdout !== null && stderr !== null) this.#tail = new Tail([stdout, stderr]);
    this.ended = this.#end();
  }

  static start(plan: ChildPlan): Child {
    return new Child(plan);
  }

  /** Starts it and waits for what says that it is ready; where that fails it is ended first. */
  static async ready<T>(plan: ChildPlan, ready: (child: Child) => Promise<T>): Promise<{ child: Child; said: T }> {
    const child = new Child(plan);
    try {
      return { child, said: await ready(child) };
    } catch (error) {
      await child.end(0);
      throw error;
    }
  }

  /** Of a process that was started; 0 where it could not be. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return running.has(this.#child);
  }

  /** Whether it was told to end from here: an end that nobody asked for is worth a word. */
  get asked(): boolean {
    return this.#asked;
  }

  /** The end of what it said. */
  tail(): string {
    return this.#tail?.text() ?? (this.#file === undefined ? '' : fileEnd(this.#file));
  }

  /** Each line that it says from now on, until the returned function is called. Its output has to come here. */
  onLine(listener: (line: string) => void): () => void {
    if (this.#tail === undefined) throw new Error(`${this.name}: its output does not come here`);
    return this.#tail.onLine(listener);
  }

  /** Each message from now on, until the returned function is called. */
  onMessage(listener: (message: unknown) => void): () => void {
    this.#child.on('message', listener);
    return () => this.#child.off('message', listener);
  }

  send(message: Serializable): void {
    if (this.#child.connected) this.#child.send(message);
  }

  /** No more messages, either way: our own programs end at that. */
  disconnect(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  /** What `listen` calls back with first. Rejects where it ends before, or after `withinMs`, with the end of its log. */
  async first<T>(listen: (found: (value: T) => void) => () => void, withinMs: number): Promise<T> {
    const found = Promise.withResolvers<T>();
    const stop = listen(found.resolve);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(this.#failed(`not within ${withinMs / 1000} s`)), withinMs);
    try {
      const gone = this.ended.then(({ how }) => Promise.reject(this.#failed(how)));
      return await Promise.race([found.promise, gone, late.promise]);
    } finally {
      clearTimeout(timer);
      stop();
    }
  }

  /** Its next message that `wanted` takes for one. */
  message<T>(wanted: (message: unknown) => message is T, withinMs: number): Promise<T> {
    return this.first((found) => this.onMessage((message) => wanted(message) && found(message)), withinMs);
  }

  /** Waits until `ready` says so. Rejects as `first` does. */
  async until(ready: () => Promise<boolean>, withinMs: number): Promise<void> {
    const done = new AbortController();
    const looking = (found: () => void): (() => void) => {
      void this.#look(ready, done.signal).then(() => done.signal.aborted || found());
      return () => done.abort();
    };
    await this.first<void>(looking, withinMs);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, and SIGKILL after `withinMs` (0: at once). Resolves when it is gone. */
  async end(withinMs: number = endMsDefault): Promise<ChildEnd> {
    this.#asked = true;
    if (!this.running) return await this.ended;
    this.#child.kill(withinMs === 0 ? 'SIGKILL' : 'SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), withinMs);
    const end = await this.ended;
    clearTimeout(late);
    return end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async #look(ready: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !(await ready().catch(() => false)))
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }

  async #end(): Promise<ChildEnd> {
    const child = this.#child;
    const gone = Promise.withResolvers<ChildEnd>();
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.once('error', (error) => {
      if (child.pid === undefined) gone.resolve({ code: null, how: `it did not start: ${error.message}` });
    });
    child.once('exit', (code, signal) =>
      gone.resolve({ code, how: signal === null ? `exit code ${code}` : `signal ${signal}` }),
    );
    const end = await gone.promise;
    running.delete(child);
    if (this.#tail !== undefined) await Promise.race([closed, sleep(outputMsMax)]);
    return end;
  }

  #failed(why: string): Error {
    const tail = this.tail();
    return new Error(`${this.name}: ${why}${tail === '' ? '' : `; the end of its log:\n${tail}`}`);
  }
}

function spawned(plan: ChildPlan): ChildProcess {
  const [program = '', ...args] = plan.command;
  const file = typeof plan.output === 'object' ? openLog(plan.output.file) : undefined;
  const output = file ?? (plan.output === 'lines' ? 'pipe' : 'inherit');
  const stdio: StdioOptions = ['ignore', output, output, ...(plan.channel === true ? (['ipc'] as const) : [])];
  const child = spawn(program, args, {
    stdio,
    detached: plan.ownSession === true,
    ...(plan.env === undefined ? {} : { env: { ...plan.env } }),
  });
  if (file !== undefined) closeSync(file);
  if (child.pid !== undefined) running.add(child);
  if (!watchesExit) process.on('exit', endAll);
  watchesExit = true;
  return child;
}

/** This process exits: nobody would end them any more. */
function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** The log, opened to append; one that has grown large is put aside first. */
function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > logBytesMax) renameSync(file, `${file}.1`);
  return openSync(file, 'a');
}
