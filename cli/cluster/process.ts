/**
 * One supervised part: a child process, started again with back-off when it dies.
 *
 * Rule 1: a part is ready once it said so over IPC and its /readiness answers 200.
 * Rule 2: a child runs in a session of its own, so that Ctrl-C reaches the supervisor alone; it ends by itself
 *         when the supervisor is gone (platform/lifecycle/role.ts).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { PROBES } from '../../core/contracts/probes.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { type ClientOptions, HttpClient } from '../../platform/clients/http.ts';
import { Child, isReady, nodeCommand } from '../../platform/lifecycle/child.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
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
  /** How it is asked there. Default: TCP. */
  readonly transport?: HttpTransport | undefined;
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

/** Why a part could not be brought up: the reason, and the end of its log. */
export class PartFailed extends Error {
  override readonly name = 'PartFailed';
}

export class SupervisedPart {
  readonly spec: PartSpec;
  readonly #onEvent: (event: PartEvent) => void;
  #child: Child | undefined;
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
    const child = this.#spawn();
    const tooLate = AbortSignal.timeout(limitMs);
    const ready = this.#becomesReady(child, AbortSignal.any([tooLate, this.#stopping.signal]));
    const why = await Promise.race([ready, child.ended.then(({ how }) => `it ended: ${how}`)]);
    if (why !== undefined) throw new PartFailed(`${this.spec.name} did not start: ${why}${logTail(this.spec.logFile)}`);
    this.#announceReady(begun, false);
    void this.#keepUp(child);
  }

  /** Resolves once the part is ready (again). */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** kill -9: the supervisor starts it again. */
  kill(): void {
    this.#child?.signal('SIGKILL');
  }

  /** SIGTERM, then SIGKILL after `limitMs`. Resolves when the process is gone. */
  async stop(limitMs: number): Promise<void> {
    this.#wanted = false;
    this.#stopping.abort();
    if (this.#child?.running !== true) return;
    const { how } = await this.#child.end(limitMs);
    this.#onEvent({ kind: 'stopped', part: this.spec.name, why: how });
  }

  /** Ends it at once; for a second Ctrl-C, and for exits that cannot wait. */
  end(): void {
    this.#wanted = false;
    this.#stopping.abort();
    this.#child?.signal('SIGKILL');
  }

  #spawn(): Child {
    const { spec } = this;
    this.#child = Child.start({
      name: spec.name,
      command: nodeCommand(spec.entry, spec.args, spec.execArgv),
      env: spec.env,
      output: { file: spec.logFile },
      channel: true,
      ownSession: true,
    });
    return this.#child;
  }

  /** Undefined once ready, or why not. */
  async #becomesReady(child: Child, signal: AbortSignal): Promise<string | undefined> {
    const said = Promise.withResolvers<void>();
    child.onMessage((message) => isReady(message) && said.resolve());
    const aborted = new Promise<string>((resolve) => {
      if (signal.aborted) resolve('stopped');
      signal.addEventListener('abort', () => resolve('not ready in time'), { once: true });
    });
    const late = await Promise.race([said.promise.then(() => undefined), aborted]);
    if (late !== undefined || this.spec.probe === undefined) return late;
    return probeUntilReady({ base: this.spec.probe, transport: this.spec.transport }, signal);
  }

  #announceReady(begun: number, again: boolean): void {
    const ms = Math.round(performance.now() - begun);
    this.#ready.resolve();
    this.#onEvent({ kind: 'ready', part: this.spec.name, pid: this.pid ?? 0, ms, again });
  }

  /** Starts it again whenever it has ended, until it is stopped. */
  async #keepUp(first: Child): Promise<void> {
    let child = first;
    for (let upSince = performance.now(); ; ) {
      const { how } = await child.ended;
      if (!this.#wanted) return;
      this.#ready = Promise.withResolvers<void>();
      this.#failures = performance.now() - upSince > steadyMs ? 1 : this.#failures + 1;
      const retryMs = backoffMs(restartBackoff, this.#failures);
      this.#onEvent({ kind: 'died', part: this.spec.name, why: how, retryMs });
      await sleep(retryMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (!this.#wanted) return;
      upSince = performance.now();
      child = this.#spawn();
      void this.#comeBack(child, upSince);
    }
  }

  async #comeBack(child: Child, begun: number): Promise<void> {
    const gone = child.ended.then(() => 'gone');
    const why = await Promise.race([this.#becomesReady(child, this.#stopping.signal), gone]);
    if (why === undefined && child === this.#child) this.#announceReady(begun, true);
  }
}

async function probeUntilReady(to: ClientOptions, signal: AbortSignal): Promise<string | undefined> {
  const client = new HttpClient(to);
  let problems = 'it does not answer';
  try {
    while (!signal.aborted) {
      const reply = await client
        .stream('GET', PROBES.readiness.pattern, {
          expect: [503],
          tries: 1,
          ctx: CallContext.begin({ requestId: 'supervisor', signal }),
        })
        .catch(() => undefined);
      if (reply?.status === 200) return undefined;
      const body = await reply
        ?.json()
        .then((said) => PROBES.readiness.reply(said, to.base))
        .catch(() => undefined);
      if (body?.problems !== undefined) problems = body.problems.join('; ');
      await sleep(probeEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return `not ready in time: ${problems}`;
  } finally {
    await client[Symbol.asyncDispose]();
  }
}
