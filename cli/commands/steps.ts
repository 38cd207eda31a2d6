/**
 * The index at work for a command, a step at a time (reconcile, import): this asks for one after the other.
 *
 * Rule: a step that fails is made again; where that does not help, where it stood is said, and it may be gone on with.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { ApiError } from '../../core/contracts/errors.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { listenAt } from '../../platform/config/listen.ts';
import { loadConfig } from '../../platform/config/load.ts';
import type { Env } from '../../platform/config/yaml.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { Failure } from '../failure.ts';
import { foreignText } from '../ui/format.ts';
import type { Screen } from '../ui/progress.ts';

/** Where `shoal up` puts it. */
export const indexDefault = 'http://127.0.0.1:15004';
/**
 * A step that failed is made again after a second, two, four and eight; not where that took so long already: the index has
 * waited for a backend that hangs.
 */
const again = { delayMs: 1_000, delayMsMax: 8_000, attemptsMax: 5, withinMs: 25_000 };
/** On a terminal, between two updates of the line that says how far it is. */
const drawEveryMs = 100;
const plainEveryMs = 5_000;
/** What a step may take at a backend that answers slowly. The index is pinged meanwhile. */
const stepStallMs = 300_000;
/** A step that has not come back for so long is worth a word, and again each time. */
const quietMs = 10_000;

export type SteppedOptions = {
  readonly index: string;
  readonly signal: AbortSignal;
  readonly screen: Screen;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};
/** What each step is asked, but for where it begins. */
export type StepsAsked = Omit<ReconcileStep, 'from'> & { readonly after?: string | undefined };

/** Where the index of a configuration answers, as seen from its own host. */
export function indexOfConfig(file: string, env: Env): string {
  const port = Number(new URL(indexDefault).port);
  const { config } = loadConfig({ file, env, schema: z.looseObject({ listen: listenAt(port) }) });
  const { host, port: at } = config.listen;
  const here = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${here.includes(':') ? `[${here}]` : here}:${at}`;
}

/** Replies, one after the other, until there is no next. */
export async function* steps(options: SteppedOptions, asked: StepsAsked): AsyncGenerator<ReconcileReply> {
  const { after, ...each } = asked;
  await using http = new HttpClient({ base: options.index, transport: options.transport });
  for (let from = after, more = true; more; ) {
    const reply = await stepped(http, options, { ...each, from });
    from = reply.next;
    more = from !== undefined;
    yield reply;
  }
}

async function stepped(
  http: HttpClient,
  { signal, index, screen }: SteppedOptions,
  body: ReconcileStep,
): Promise<ReconcileReply> {
  const ctx = CallContext.begin({ signal });
  const begunMs = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      const { method } = INDEX.reconcile;
      const path = INDEX.reconcile.path({});
      using _word = wordWhile(screen, index);
      const answer = await http.json<unknown>(method, path, { ctx, body, watched: true, stallMs: stepStallMs });
      return INDEX.reconcile.reply(answer, index);
    } catch (error) {
      signal.throwIfAborted();
      const spent = attempt === again.attemptsMax || performance.now() - begunMs > again.withinMs;
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE' || spent) throw standing(error, body.from);
      screen.write(`${error.message}: trying again (${attempt + 1} of ${again.attemptsMax})\n`);
      await sleep(backoffMs(again, attempt), undefined, { signal });
    }
  }
}

/** A backend that hangs takes its `stall` to say so, a large one its time. */
function wordWhile(screen: Screen, index: string): Disposable {
  const beganMs = performance.now();
  const timer = setInterval(() => {
    const waited = Math.round((performance.now() - beganMs) / 1000);
    screen.write(`${screen.isTTY === true ? '\r\x1b[K' : ''}${index} waits for a backend: ${waited} s\n`);
  }, quietMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function standing(error: unknown, after: string | undefined): unknown {
  if (!(error instanceof ApiError) || after === undefined) return error;
  return new Failure(`${error.message} (${error.code}); go on later with --after '${after}'`);
}

/** What was done, or would be, and what is broken. */
export function linesOf({ changes, broken }: ReconcileReply, json: boolean): string[] {
  if (json) return [...changes, ...broken].map((one) => JSON.stringify(one));
  return [
    ...changes.map(
      (one) => `${one.how.padEnd(8)}${nameOf(one)}${one.kind === 'tag' && one.digest ? `  ${one.digest}` : ''}`,
    ),
    ...broken.map((one) => `broken  ${nameOf(one)}  ${foreignText(one.why)}`),
  ];
}

function nameOf({ kind, repo, name }: ReconcileReply['broken'][number] | ReconcileReply['changes'][number]): string {
  return `${kind.padEnd(9)}${repo}${kind === 'tag' ? ':' : '@'}${name}`;
}

/** The line that says how far it is: in place on a terminal, now and then elsewhere. */
export class StepsLine {
  readonly #screen: Screen;
  #lastMs: number;
  #drawn = false;

  constructor(screen: Screen) {
    this.#screen = screen;
    this.#lastMs = screen.isTTY === true ? Number.NEGATIVE_INFINITY : performance.now();
  }

  /** `plain`: what is worth a line of its own, where lines stay. */
  draw(line: string, plain = line): void {
    const terminal = this.#screen.isTTY === true;
    if (performance.now() - this.#lastMs < (terminal ? drawEveryMs : plainEveryMs)) return;
    this.#lastMs = performance.now();
    this.#screen.write(terminal ? `\r\x1b[K${line}` : `${plain}\n`);
    this.#drawn = terminal;
  }

  clear(): void {
    if (this.#drawn) this.#screen.write('\r\x1b[K');
    this.#drawn = false;
  }
}
