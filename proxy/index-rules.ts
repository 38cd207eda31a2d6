/**
 * Rules that the index has and a proxy goes by, asked for now and then: how many origins hold what is pushed into a repository,
 * and what repositories may hold.
 *
 * Rule: while the index does not answer, what it said last holds; before it said anything, what this proxy is configured to.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { CallContext } from '../platform/clients/context.ts';

/** Rules change with a restart of the index. */
const askMs = 30_000;
const askAgainMs = 1_000;

type Ask<R> = (ctx: CallContext) => Promise<R | undefined>;

export class IndexRules<R> implements AsyncDisposable {
  rules: R | undefined;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  constructor(ask: Ask<R>) {
    this.#running = this.#run(ask);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(ask: Ask<R>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      let waitMs = askMs;
      try {
        this.rules = await ask(CallContext.begin({ signal }));
      } catch {
        waitMs = askAgainMs;
      }
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
