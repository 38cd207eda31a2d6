/**
 * The end of a process that others still get something from: no new work, what is under way may finish.
 *
 * Rule 1: from `start` on `draining` is true: doors refuse new work and say why, readiness first of all.
 * Rule 2: `finished` resolves as soon as nothing is under way, at the latest after its limit, and tells what was left
 *         by kind; `cut` ends that.
 * Rule 3: a transfer of several requests (an upload) is not over between two of them: `expect` says that another one
 *         is about to come.
 * Rule 4: an HTTP server that takes part (`drainable`) says no and why at /readiness while draining; /health and
 *         /metrics answer, a transfer that has begun goes on, and anything else is 503 with Retry-After. The listener
 *         stays open until the end, so that a client reads that, and not a reset.
 * Rule 5: every answer of a drain closes its connection: behind a load balancer the next request goes elsewhere.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { finishExchange } from '../http/exchange.ts';
import { errorBody } from '../http/server.ts';

/** What is under way, as a log line names it. */
export type WorkKind = 'downloads' | 'uploads' | 'requests' | 'peers fed' | 'write-backs';
export type Left = Readonly<Partial<Record<WorkKind, number>>>;

/** A client's next request of the same upload comes within so long, or not to us. */
export const followUpMs = 2_000;
/** How often that is looked at which tells nobody when it ends. */
const pollMs = 100;

type Work = { readonly kind: WorkKind; readonly cut: () => void };

export class Drain {
  readonly #work = new Set<Work>();
  readonly #starters: (() => void)[] = [];
  readonly #sources: { readonly kind: WorkKind; readonly count: () => number }[] = [];
  readonly #nowMs: () => number;
  #draining = false;
  #expectedUntilMs = Number.NEGATIVE_INFINITY;
  #changed: (() => void) | undefined;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Something is under way until the returned function is called; `cut` breaks it off. */
  begin(kind: WorkKind, cut: () => void): () => void {
    const work: Work = { kind, cut };
    this.#work.add(work);
    return () => {
      if (this.#work.delete(work)) this.#changed?.();
    };
  }

  /** What begins and ends without telling. */
  watch(kind: WorkKind, count: () => number): void {
    this.#sources.push({ kind, count });
  }

  /** Another request of a transfer is about to come. */
  expect(): void {
    this.#expectedUntilMs = this.#nowMs() + followUpMs;
  }

  /** `then` is called when the drain starts. */
  onStart(then: () => void): void {
    this.#starters.push(then);
  }

  start(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (const then of this.#starters) then();
  }

  /** What is still under way when it resolves; empty where all has finished. */
  async finished(limitMs: number): Promise<Left> {
    const untilMs = this.#nowMs() + limitMs;
    while (this.#busy()) {
      const leftMs = untilMs - this.#nowMs();
      if (leftMs <= 0) break;
      await this.#wait(Math.min(leftMs, pollMs));
    }
    return this.#left();
  }

  /** Breaks off what is under way. */
  cut(): void {
    for (const { cut } of [...this.#work]) cut();
  }

  #busy(): boolean {
    if (this.#work.size > 0 || this.#nowMs() < this.#expectedUntilMs) return true;
    return this.#sources.some(({ count }) => count() > 0);
  }

  #left(): Left {
    const left: Partial<Record<WorkKind, number>> = {};
    for (const { kind } of this.#work) left[kind] = (left[kind] ?? 0) + 1;
    for (const { kind, count } of this.#sources) {
      const now = count();
      if (now > 0) left[kind] = (left[kind] ?? 0) + now;
    }
    return left;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What a request is to a drain. */
export type RequestWork = {
  readonly kind: WorkKind;
  /** Part of what was begun by an earlier request: taken while draining. */
  readonly continues: boolean;
};

const PROBED: ReadonlySet<string> = new Set(Object.values(PROBES).map(({ pattern }) => pattern));
const REQUEST: RequestWork = { kind: 'requests', continues: false };
/** How long a client may go on sending after it was refused. */
const lingerMs = 5_000;

/** `role` is how refusals call this process. `workOf` tells what a request is; default: nothing special. */
export function drainable(
  app: FastifyInstance,
  drain: Drain,
  about: { readonly role: string; readonly workOf?: (method: string, path: string) => RequestWork | undefined },
): void {
  const open = new Set<FastifyReply>();
  drain.onStart(() => {
    for (const reply of open) closing(reply);
  });
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?', 1)[0] as string;
    if (drain.draining) closing(reply);
    if (PROBED.has(path))
      return drain.draining && path === PROBES.readiness.pattern ? notReady(reply, about.role) : undefined;
    const work = about.workOf?.(request.method, path) ?? REQUEST;
    if (drain.draining && !work.continues) return await refuseNew(request, reply, about.role);
    const end = drain.begin(work.kind, () => reply.raw.destroy());
    open.add(reply);
    reply.raw.once('close', () => {
      open.delete(reply);
      // An upload that is neither committed nor given up goes on.
      if (work.kind === 'uploads' && request.method !== 'DELETE' && request.method !== 'PUT') drain.expect();
      end();
    });
    return undefined;
  });
}

function closing(reply: FastifyReply): void {
  if (!reply.raw.headersSent) reply.header('connection', 'close');
}

function notReady(reply: FastifyReply, role: string): FastifyReply {
  return reply
    .code(503)
    .header('retry-after', '1')
    .send({ status: 'not ready', role, problems: ['it is stopping'] });
}

async function refuseNew(request: FastifyRequest, reply: FastifyReply, role: string): Promise<FastifyReply> {
  const error = new ApiError('UNAVAILABLE', `this ${role} is stopping: ask another one, or try again`);
  const headers = { 'content-type': 'application/json; charset=utf-8', 'retry-after': '1' };
  reply.hijack();
  await finishExchange(
    {
      request: request.raw,
      response: reply.raw,
      headers: reply.getHeaders() as Record<string, string>,
      lingerMs,
    },
    { status: error.status, headers, body: Buffer.from(JSON.stringify(errorBody(error))) },
  );
  return reply;
}
