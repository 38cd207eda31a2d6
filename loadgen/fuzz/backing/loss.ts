/**
 * The index's database is lost for good, now and then, once the backend has what was acknowledged; an operator starts it
 * anew and reconciles it, again and again until nothing is broken: then it has every tag that was acknowledged before.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { INDEX } from '../../../core/contracts/index-api.ts';
import { type ReconcileReply, type ReconcileStep, reconcileKeysMax } from '../../../core/contracts/reconcile.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { HttpClient } from '../../../platform/clients/http.ts';
import { indexBase } from '../http/calls.ts';
import { wiresOf } from '../http/wires.ts';
import type { IndexSite } from '../index-site.ts';
import { repo } from '../push.ts';
import type { TagHistory } from '../tags.ts';
import type { World } from '../world.ts';
import type { SharedBackend } from './backend.ts';

/** Small, so that a reconcile has many steps, and faults come in between. */
const keysEach = 7;
const stallMs = 20_000;

export class IndexLoss {
  readonly #world: World;
  readonly #index: IndexSite;
  readonly #backend: SharedBackend;
  readonly #history: TagHistory;
  readonly #http: HttpClient;
  /** Times that it was lost. */
  #losses = 0;
  #reconciled = 0;

  constructor(o: { world: World; index: IndexSite; backend: SharedBackend; history: TagHistory }) {
    this.#world = o.world;
    this.#index = o.index;
    this.#backend = o.backend;
    this.#history = o.history;
    const transport = wiresOf(o.world).transport({ host: o.index.host, alive: true });
    this.#http = new HttpClient({ base: indexBase, transport });
  }

  /** Whether an operator has still to bring something back. */
  get waits(): boolean {
    return this.#reconciled < this.#losses;
  }

  /** What only the index has is not lost: with `durability: backend` that is nothing that was acknowledged. */
  async lose(): Promise<void> {
    const { durability } = this.#backend.nature;
    const waiting = await this.#index.waiting();
    if (waiting === undefined || (waiting > 0 && durability !== 'backend')) return;
    this.#world.fault('disk of the index lost');
    this.#index.loseDisk();
    this.#history.lost(this.#world.nowMs);
    this.#losses += 1;
    const known = this.#history.acknowledged();
    this.#world.after(this.#world.between(100, 3_000), () => {
      if (!this.#index.up) this.#index.start();
      if (!this.#backend.nature.can.list) this.#reconciled += 1;
      else void this.#bring(this.#losses, known).catch((error: unknown) => this.#world.threw(error));
    });
  }

  async #bring(loss: number, known: readonly string[]): Promise<void> {
    await this.#world.sleep(this.#backend.nature.listLagMs);
    while (loss === this.#losses) {
      try {
        if (!(await this.#all())) continue;
        await this.#judge(known, loss);
        this.#reconciled += 1;
        return;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        this.#world.note(`reconciled in vain: ${error.message.slice(0, 160)}`);
      } finally {
        await this.#world.sleep(this.#world.between(100, 1_000));
      }
    }
    // It was lost again: who brings it back then brings back all.
    this.#reconciled += 1;
  }

  /** False: something was broken, as the backend said. */
  async #all(): Promise<boolean> {
    let broken = 0;
    let from: string | undefined;
    do {
      const reply: ReconcileReply = await this.#step({ apply: true, from, keys: Math.min(keysEach, reconcileKeysMax) });
      for (const { why } of reply.broken) this.#world.note(`broken: ${why.slice(0, 160)}`);
      broken += reply.broken.length;
      from = reply.next;
    } while (from !== undefined);
    return broken === 0;
  }

  async #step(body: ReconcileStep): Promise<ReconcileReply> {
    const { method } = INDEX.reconcile;
    const path = INDEX.reconcile.path({});
    const ctx = CallContext.begin();
    return INDEX.reconcile.reply(await this.#http.json<unknown>(method, path, { ctx, body, stallMs }), indexBase);
  }

  /** Lists are of what the index itself has. */
  async #judge(known: readonly string[], loss: number): Promise<void> {
    const { method } = INDEX.tags;
    const path = INDEX.tags.path({ name: repo, n: 100 });
    const answer = await this.#http.json<unknown>(method, path, { ctx: CallContext.begin(), stallMs });
    const { tags } = INDEX.tags.reply(answer, indexBase);
    const lacking = known.find((tag) => !tags.includes(tag));
    if (lacking !== undefined && loss === this.#losses)
      this.#world.violate(
        'reconcile',
        `tag ${lacking} was acknowledged, and a reconciled index has only ${tags.join()}`,
      );
  }
}
