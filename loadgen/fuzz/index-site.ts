/**
 * The index of a run: its own routes over a tag store that loses what was not synced; where the run has a backend, the
 * product's own write-back and read-through between the two.
 */

import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';
import type { IndexStore } from '../../index/api.ts';
import { openBacking } from '../../index/backing/open.ts';
import { OutboxHeard } from '../../index/outbox/heard.ts';
import { openOutbox } from '../../index/outbox/open.ts';
import { backendTargets } from '../../index/outbox/targets.ts';
import { FaultyDisk } from '../../platform/tags/memory/faulty.fixtures.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { SharedBackend } from './backing/backend.ts';
import { indexBase } from './http/calls.ts';
import { serveIndex } from './http/servers.ts';
import { wiresOf } from './http/wires.ts';
import { log } from './peers/peer.ts';
import type { Process, World } from './world.ts';

/** Short, so that a run sees it; longer than a push that goes well takes. */
const keepUnlinkedMs = 3_000;
/** In the middle of 2026: versions of tags are of the clock on the wall. */
const epochMs = 1_780_000_000_000;

type IndexOptions = { readonly failPercent: number; readonly backend: SharedBackend | undefined };
type Served = {
  readonly store: IndexStore;
  readonly reconcile?: (step: ReconcileStep, signal: AbortSignal) => Promise<ReconcileReply>;
};

export class IndexSite {
  readonly host: number;
  readonly #world: World;
  readonly #o: IndexOptions;
  #disk: FaultyDisk;
  #running: { readonly process: Process; readonly store: TagStore } | undefined;

  constructor(world: World, host: number, options: IndexOptions) {
    this.#world = world;
    this.host = host;
    this.#o = options;
    this.#disk = this.#newDisk();
  }

  get up(): boolean {
    return this.#running !== undefined;
  }

  process = (): Process | undefined => this.#running?.process;

  start(): void {
    const process: Process = { host: this.host, alive: true };
    const store = ofProcess(process, this.#disk.open(), () => {
      if (process.alive) this.#restart();
    });
    this.#running = { process, store };
    this.#world.dirty = true;
    this.#serve(process, store).catch((error: unknown) => {
      // Its disk failed while it started.
      if (process.alive && !(error as Error).message.includes('start anew')) this.#world.threw(error);
    });
  }

  crash(): void {
    const running = this.#running;
    if (running === undefined) return;
    running.process.alive = false;
    this.#running = undefined;
    wiresOf(this.#world).ended(running.process, false);
  }

  /** Rows that wait to be written back; undefined: nobody knows now. */
  async waiting(): Promise<number | undefined> {
    const states = await this.#running?.store.outbox();
    return states?.reduce((sum, { rows }) => sum + rows, 0);
  }

  /** Its database is gone for good. */
  loseDisk(): void {
    this.crash();
    this.#disk = this.#newDisk();
  }

  async #serve(process: Process, store: TagStore): Promise<void> {
    const world = this.#world;
    const { store: answering, reconcile } = await this.#backed(process, store);
    const settings = { allowMissingChildren: [], keepUnlinkedMs, nowMs: this.#nowMs, reconcile };
    await serveIndex({ world, base: indexBase, process }, answering, settings);
  }

  /** As index/main.ts does. */
  async #backed(process: Process, store: TagStore): Promise<Served> {
    const { backend } = this.#o;
    if (backend === undefined) return { store };
    const backends = backend.open(process, this.#world.seed + this.host);
    const metrics = new Metrics();
    const heard = new OutboxHeard({ log, metrics });
    await openOutbox({ store, targets: backendTargets(backends), heard, log });
    const parts = { store, doomed: undefined, backends, lanes: heard.lanes, log, metrics, nowMs: this.#nowMs };
    // Ends with the process, which then hears of nothing any more.
    const { answering, reconcile } = await openBacking(parts, new AsyncDisposableStack());
    return { store: answering, reconcile };
  }

  #newDisk(): FaultyDisk {
    const { failPercent, backend } = this.#o;
    const owed = backend?.nature.can.writes === true ? backend.bucket.name : undefined;
    const kinds = ['blob', 'manifest', 'tag'] as const;
    const targets = owed === undefined ? [] : [{ name: owed, kinds }];
    const outbox = backend && { targetsOf: () => targets, nowMs: this.#nowMs };
    return new FaultyDisk(this.#world.prng, failPercent, outbox);
  }

  #nowMs = (): number => epochMs + Math.floor(this.#world.nowMs);

  /** As the real one: where the disk fails it ends, and is started anew. */
  #restart(): void {
    this.#world.fault('disk of the index fails');
    this.crash();
    this.#world.after(this.#world.between(50, 1_000), () => {
      if (!this.up) this.start();
    });
  }
}

/** `store`, which tells of a failure that it does not outlive, and nothing any more once its process is dead. */
function ofProcess<S extends object>(process: Process, store: S, broken: () => void): S {
  return new Proxy(store, {
    get(of, name) {
      const method: unknown = Reflect.get(of, name);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]): unknown => {
        if (!process.alive) return new Promise<never>(() => undefined);
        const done: unknown = Reflect.apply(method, of, args);
        // Writes that have a name (`named`).
        if (!(done instanceof Promise))
          return typeof done === 'object' && done !== null ? ofProcess(process, done, broken) : done;
        return done.catch((error: unknown) => {
          if ((error as Error).message.includes('start anew')) setImmediate(broken);
          throw error;
        });
      };
    },
  });
}
