/**
 * Everybody else: who pushes, pulls, and asks, one after the other, from an address of his own, all the while.
 *
 * Rule: each request has to be answered, and rightly; one that is not is a failure, whoever is attacked. Who is told to come
 *   again (429, 503) does so, as clients do, until it is late.
 */

import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { AGENT } from '../../core/contracts/agent.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { digestOf } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { rounded } from '../../harness/numbers.ts';
import type { Site } from './site.ts';

/** An answer that is later than this has not come: on a machine that is attacked by itself, with all it has. */
const lateMs = 30_000;
/** Above what a tracker tells with its answer: the pieces come from peers. */
const blobBytes = 100_000;
const failuresMax = 20;
const againMs = 500;

export type HonestCounts = {
  readonly asked: number;
  readonly failed: number;
  /** Some of them, in words. */
  readonly failures: readonly string[];
  readonly perS: number;
  readonly worstMs: number;
};

type Asked = { readonly method: 'GET' | 'POST'; readonly body?: Buffer };
type Caller = { readonly name: string; readonly ask: () => Promise<void> };

export class Honest {
  readonly #callers: readonly Caller[];
  readonly #agent = new Agent({ pipelining: 1, connections: 4 });

  constructor({ at }: Site) {
    const gets = {
      'tracker is asked whether it lives': at.tracker + PROBES.health.path({}),
      'index is asked what there is': at.index + INDEX.catalog.path({ n: 10 }),
      'origin is asked who it is': at.origin + ORIGIN.identity.path({}),
      'agent is asked how it is': at.admin + AGENT.status.path({}),
      'proxy is asked what it is': at.proxy + OCI_PATHS.base,
    };
    this.#callers = [
      ...Object.entries(gets).map(([name, url]) => ({ name, ask: async () => void (await this.#get(url)) })),
      { name: 'a blob is pushed, and pulled by the agent', ask: () => this.#pushAndPull(at) },
    ];
  }

  /** Until `done`. */
  async during(done: Promise<unknown>): Promise<HonestCounts> {
    const counts = { asked: 0, failed: 0, failures: [] as string[], worstMs: 0 };
    let over = false;
    const end = (): void => {
      over = true;
    };
    done.then(end, end);
    const beganMs = performance.now();
    await Promise.all(
      this.#callers.map(async ({ name, ask }) => {
        while (!over) {
          const askedMs = performance.now();
          try {
            await ask();
          } catch (error) {
            counts.failed += 1;
            if (counts.failures.length < failuresMax) counts.failures.push(`${name}: ${(error as Error).message}`);
          }
          counts.asked += 1;
          counts.worstMs = Math.max(counts.worstMs, Math.round(performance.now() - askedMs));
        }
      }),
    );
    return { ...counts, perS: rounded((counts.asked / (performance.now() - beganMs)) * 1_000) };
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #get(url: string): Promise<Buffer> {
    const { status, bytes } = await this.#answered(url, { method: 'GET' });
    if (status !== 200) throw new Error(`${url}: ${status} ${String(bytes).slice(0, 200)}`);
    return bytes;
  }

  async #answered(url: string, asked: Asked): Promise<{ readonly status: number; readonly bytes: Buffer }> {
    const signal = AbortSignal.timeout(lateMs);
    for (;;) {
      const { statusCode: status, body } = await request(url, { ...asked, dispatcher: this.#agent, signal });
      const bytes = Buffer.from(await body.arrayBuffer());
      if ((status !== 429 && status !== 503) || signal.aborted) return { status, bytes };
      await sleep(againMs, undefined, { signal });
    }
  }

  async #pushAndPull(at: Site['at']): Promise<void> {
    const bytes = randomBytes(blobBytes);
    const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
    const to = OCI_PATHS.commit(at.proxy + OCI_PATHS.uploads('honest'), digest);
    const pushed = await this.#answered(to, { method: 'POST', body: bytes });
    if (pushed.status !== 201)
      throw new Error(`the push was answered ${pushed.status} ${String(pushed.bytes).slice(0, 200)}`);
    const pulled = await this.#get(at.agent + OCI_PATHS.blob('honest', digest));
    if (!pulled.equals(bytes)) throw new Error(`${digest}: other bytes than were pushed`);
  }
}
