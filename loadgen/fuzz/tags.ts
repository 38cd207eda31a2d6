/**
 * The index of a run: its own routes over a tag store that loses what was not synced. And the history
 * of every tag: who wrote and read what, when, judged for linearizability.
 */

import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import {
  type BlobLinkPut,
  type CondemnReply,
  INDEX,
  type ManifestPut,
  type ManifestRecord,
} from '../../core/contracts/index-api.ts';
import type { Route } from '../../core/contracts/route.ts';
import type { Digest } from '../../core/digest.ts';
import { indexRoutes } from '../../index/api.ts';
import { createHttp } from '../../platform/http/server.ts';
import { FaultyDisk } from '../../platform/tags/faulty.fixtures.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { log } from './peer.ts';
import type { Process, World } from './world.ts';

/** One application serves every run of this process: whichever store is current answers. */
const current: { store: TagStore | undefined; nowMs: number } = { store: undefined, nowMs: 0 };
/** Short, so that a run sees it; longer than a push that goes well takes. */
const keepUnlinkedMs = 3_000;
const forward = new Proxy({} as TagStore, {
  get: (_, name) => {
    const store = current.store;
    if (store === undefined) return undefined;
    return Reflect.get(store, name);
  },
});
const app = createHttp({ role: 'index', log, metrics: new Metrics(), readiness: () => Promise.resolve([]) });
indexRoutes(app, forward, { allowMissingChildren: [], keepUnlinkedMs, nowMs: () => current.nowMs });
await app.ready();

export class IndexSite {
  readonly host: number;
  readonly #world: World;
  readonly #disk: FaultyDisk;
  #process: Process | undefined;
  #store: TagStore | undefined;

  constructor(world: World, host: number, failPercent: number) {
    this.#world = world;
    this.host = host;
    this.#disk = new FaultyDisk(world.prng, failPercent);
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  process = (): Process | undefined => this.#process;

  start(): void {
    this.#process = { host: this.host, alive: true };
    this.#store = this.#disk.open();
  }

  crash(): void {
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
    this.#store = undefined;
  }

  #restart(): void {
    this.#world.fault('disk of the index fails');
    this.crash();
    this.#world.after(this.#world.between(50, 1_000), () => {
      if (!this.up) this.start();
    });
  }

  async tag(repo: string, tag: string): Promise<ManifestRecord | undefined> {
    return await this.#ask(INDEX.tag, { name: repo, tag });
  }

  async linkBlob(repo: string, digest: Digest, put: BlobLinkPut): Promise<void> {
    await this.#ask(INDEX.linkBlob, { name: repo, digest }, put);
  }

  async unlinkBlob(repo: string, digest: Digest): Promise<void> {
    await this.#ask(INDEX.unlinkBlob, { name: repo, digest });
  }

  async condemn(digests: readonly Digest[]): Promise<CondemnReply> {
    return (await this.#ask(INDEX.condemn, {}, { digests: [...digests] })) as CondemnReply;
  }

  async putManifest(repo: string, digest: Digest, put: ManifestPut): Promise<void> {
    await this.#ask(INDEX.putManifest, { name: repo, digest }, put);
  }

  /** undefined: 404. */
  async #ask<A, B, R>(route: Route<A, B, R>, at: A, body?: B): Promise<R | undefined> {
    current.store = this.#store;
    current.nowMs = this.#world.nowMs;
    this.#world.outstanding++;
    try {
      const { method } = route;
      const url = route.path(at);
      const reply = await app.inject({ method, url, ...(body === undefined ? {} : { payload: body as object }) });
      if (reply.statusCode === 404 && method !== 'PUT') return undefined;
      if (reply.statusCode >= 400) {
        const [error] = reply.json<{ errors: { code: ErrorCode; message: string; detail?: unknown }[] }>().errors;
        const { code, message, detail } = error as { code: ErrorCode; message: string; detail?: unknown };
        // As the real one: it ends, and is started anew.
        if (message.includes('start anew')) this.#restart();
        throw new ApiError(code, message, detail);
      }
      return reply.statusCode === 204 ? undefined : route.reply(reply.json(), 'the index');
    } finally {
      this.#world.outstanding--;
    }
  }
}

// ---- histories ---------------------------------------------------------------------------------

/** An operation on one tag, from its call to its answer. A write without an answer may take effect at any time after, or never. */
type Op = { readonly kind: 'read' | 'write'; readonly value: string; readonly startMs: number; endMs: number };

/** The value of a tag that nobody has written. */
const unset = 'unset';

export class TagHistory {
  readonly #ops = new Map<string, Op[]>();
  reads = 0;
  writes = 0;

  /** A write begins; the returned function says that it was acknowledged. */
  write(key: string, value: string, nowMs: number): (nowMs: number) => void {
    const op: Op = { kind: 'write', value, startMs: nowMs, endMs: Number.POSITIVE_INFINITY };
    this.#of(key).push(op);
    return (atMs) => {
      op.endMs = atMs;
      this.writes++;
    };
  }

  read(key: string, value: string | undefined, startMs: number, endMs: number): void {
    this.#of(key).push({ kind: 'read', value: value ?? unset, startMs, endMs });
    this.reads++;
  }

  /** What is wrong with the history of that tag, or undefined. */
  check(key: string): string | undefined {
    const wrong = linearizable(this.#of(key));
    return wrong === undefined ? undefined : `${key}: ${wrong}`;
  }

  #of(key: string): Op[] {
    const known = this.#ops.get(key) ?? [{ kind: 'write', value: unset, startMs: -2, endMs: -1 }];
    this.#ops.set(key, known);
    return known;
  }
}

type Zone = { readonly value: string; readonly from: number; readonly to: number; readonly forward: boolean };

/**
 * Gibbons and Korach (1997), for registers whose writes differ: each value's operations form a zone from
 * their earliest end to their latest start; the history is linearizable where no read comes before its
 * write, no two forward zones overlap, and no backward zone lies within a forward one.
 */
export function linearizable(ops: readonly Op[]): string | undefined {
  const zones: Zone[] = [];
  for (const write of ops) {
    if (write.kind !== 'write') continue;
    const reads = ops.filter((op) => op.kind === 'read' && op.value === write.value);
    if (reads.length === 0 && write.endMs === Number.POSITIVE_INFINITY) continue;
    const early = reads.find((read) => read.endMs < write.startMs);
    if (early !== undefined)
      return `${write.value} was read at ${early.endMs} before it was written at ${write.startMs}`;
    const from = Math.min(write.endMs, ...reads.map((read) => read.endMs));
    const to = Math.max(write.startMs, ...reads.map((read) => read.startMs));
    zones.push(
      from < to
        ? { value: write.value, from, to, forward: true }
        : { value: write.value, from: to, to: from, forward: false },
    );
  }
  const unknown = ops.find(
    (op) => op.kind === 'read' && !ops.some((other) => other.kind === 'write' && other.value === op.value),
  );
  if (unknown !== undefined) return `${unknown.value} was read and never written`;
  for (const zone of zones) {
    if (!zone.forward) continue;
    const other = zones.find(
      (one) =>
        one !== zone &&
        (one.forward ? one.from < zone.to && zone.from < one.to : one.from > zone.from && one.to < zone.to),
    );
    if (other !== undefined)
      return `${zone.value} was current from ${zone.from} to ${zone.to} at least, yet ${other.value} was too, within ${other.from} to ${other.to}`;
  }
  return undefined;
}
