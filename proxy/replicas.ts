/**
 * How many origins are to hold what is pushed into a repository: the rules that the index has, asked for now and then.
 *
 * Rule: while the index does not answer, what it said last holds; before it said anything, what this proxy is configured to.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicaRules } from '../core/rendezvous/replicas.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';

/** Rules change with a restart of the index. */
const askMs = 30_000;
const askAgainMs = 1_000;

export class ToldReplicas implements AsyncDisposable {
  rules: ReplicaRules | undefined;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  constructor(index: Pick<IndexClient, 'replicaRules'>) {
    this.#running = this.#run(index);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(index: Pick<IndexClient, 'replicaRules'>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      let waitMs = askMs;
      try {
        this.rules = await index.replicaRules(CallContext.begin({ signal }));
      } catch {
        waitMs = askAgainMs;
      }
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
