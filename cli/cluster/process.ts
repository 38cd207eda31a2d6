/**
 * One supervised part: a child process, started again with back-off when it dies.
 *
 * Rule 1: a part is ready once it said so over IPC and its /readiness answers 200.
 * Rule 2: a child runs in a session of its own, so that Ctrl-C reaches the supervisor alone; it ends by itself
 *         when the supervisor is gone (platform/lifecycle/role.ts).
 */

import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { backoffMs } from '../../core/retry/retry.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { logTail } from './log-tail.ts';

export type PartSpec = {
  readonly name: string;
  readonly entry: URL;
  readonly args: readonly string[];
  readonly execArgv?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly logFile: string;
  /** Where /readiness answers; undefined: the IPC message is enough. */
  readonly probe?: string | undefined;
};

export type PartEvent =
  | {
      readonly kind: 'ready';
      readonly part: string;
      readonly pid: number;
      readonly ms: number;
      readonly again: boolean;
    }
  | { readonly kind: 'died'; readonly part: string; readonly why: string; readonly retryMs: number }
  | { readonly kind: 'stopped'; readonly part: string; readonly why: string };

/** First delay, doubled up to the second; a part that ran for `steadyMs` starts from the first again. */
export const restartBackoff = { delayMs: 200, delayMsMax: 10_000 } as const;
const steadyMs = 30_000;
const probeEveryMs = 50;
const logBytesMax = 16 * 1024 * 1024;

/** Why a part could not be brought up: the reason, and the end of its log. */
export class PartFailed extends Error {
  override readonly name = 'PartFailed';
}

export class Part {
  readonly spec: PartSpec;
  readonly #onEvent: (event: PartEvent) => void;
  #child: ChildProcess | undefined;
  #exited: Promise<string> = Promise.resolve('never started');
  #wanted = true;
  #failures = 0;
  readonly #stopping = new AbortController();
  #ready = Promise.withResolvers<void>();

  constructor(spec: PartSpec, onEvent: (event: PartEvent) => void) {
    this.spec = spec;
    this.#onEvent = onEvent;
    this.#ready.promise.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process; resolves when it is ready, rejects PartFailed if it ends before, or is not ready in time. */
  async start(limitMs: number): Promise<void> {
    const begun = performance.now();
    this.#spawn();
    const exited = this.#exited;
    const tooLate = AbortSignal.timeout(limitMs);
    const ready = this.#becomesReady(AbortSignal.any([tooLate, this.#stopping.signal]));
    const why = await Promise.race([ready, exited.then((how) => `it ended: ${how}`)]);
    if (why !== undefined) throw new PartFailed(`${this.spec.name} did not start: ${why}${logTail(this.spec.logFile)}`);
    this.#announceReady(begun, false);
    void this.#keepUp(performance.now());
  }

  /** Resolves once the part is ready (again). */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** kill -9: the supervisor starts it again. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** SIGTERM, then SIGKILL after `limitMs`. Resolves when the process is gone. */
  async stop(limitMs: number): Promise<void> {
    this.#wanted = false;
    this.#stopping.abort();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), limitMs);
    const how = await this.#exited;
    clearTimeout(late);
    this.#onEvent({ kind: 'stopped', part: this.spec.name, why: how });
  }

  /** Ends it at once; for a second Ctrl-C, and for exits that cannot wait. */
  end(): void {
    this.#wanted = false;
    this.#stopping.abort();
    this.#child?.kill('SIGKILL');
  }

  #spawn(): void {
    const { spec } = this;
    const log = openLog(spec.logFile);
    const child = fork(fileURLToPath(spec.entry), [...spec.args], {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
      ...(spec.execArgv === undefined ? {} : { execArgv: [...spec.execArgv] }),
      ...(spec.env === undefined ? {} : { env: { ...spec.env } }),
    });
    closeSync(log);
    this.#child = child;
    const { promise, resolve } = Promise.withResolvers<string>();
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
    this.#exited = promise;
  }

  /** Undefined once ready, or why not. */
  async #becomesReady(signal: AbortSignal): Promise<string | undefined> {
    const child = this.#child as ChildProcess;
    const said = Promise.withResolvers<void>();
    child.on('message', (message: { ready?: unknown }) => {
      if (message.ready === true) said.resolve();
    });
    const aborted = new Promise<string>((resolve) => {
      if (signal.aborted) resolve('stopped');
      signal.addEventListener('abort', () => resolve('not ready in time'), { once: true });
    });
    const late = await Promise.race([said.promise.then(() => undefined), aborted]);
    if (late !== undefined || this.spec.probe === undefined) return late;
    return probeUntilReady(this.spec.probe, signal);
  }

  #announceReady(begun: number, again: boolean): void {
    const ms = Math.round(performance.now() - begun);
    this.#ready.resolve();
    this.#onEvent({ kind: 'ready', part: this.spec.name, pid: this.pid ?? 0, ms, again });
  }

  async #keepUp(since: number): Promise<void> {
    let upSince = since;
    for (;;) {
      const why = await this.#exited;
      if (!this.#wanted) return;
      this.#ready = Promise.withResolvers<void>();
      this.#failures = performance.now() - upSince > steadyMs ? 1 : this.#failures + 1;
      const retryMs = backoffMs(restartBackoff, this.#failures);
      this.#onEvent({ kind: 'died', part: this.spec.name, why, retryMs });
      await sleep(retryMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (!this.#wanted) return;
      upSince = performance.now();
      this.#spawn();
      void this.#comeBack(upSince);
    }
  }

  async #comeBack(begun: number): Promise<void> {
    const child = this.#child;
    const gone = this.#exited.then(() => 'gone');
    const why = await Promise.race([this.#becomesReady(this.#stopping.signal), gone]);
    if (why === undefined && child === this.#child) this.#announceReady(begun, true);
  }
}

async function probeUntilReady(url: string, signal: AbortSignal): Promise<string | undefined> {
  const client = new HttpClient({ base: url });
  let problems = 'it does not answer';
  try {
    while (!signal.aborted) {
      const reply = await client
        .stream('GET', '/readiness', { expect: [503], tries: 1, ctx: { requestId: 'supervisor', signal } })
        .catch(() => undefined);
      if (reply?.status === 200) return undefined;
      const body = await reply?.json<{ problems?: string[] }>().catch(() => undefined);
      if (body?.problems !== undefined) problems = body.problems.join('; ');
      await sleep(probeEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return `not ready in time: ${problems}`;
  } finally {
    await client[Symbol.asyncDispose]();
  }
}

/** The log, opened to append; one that has grown large is put aside first. */
function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > logBytesMax) renameSync(file, `${file}.1`);
  return openSync(file, 'a');
}
