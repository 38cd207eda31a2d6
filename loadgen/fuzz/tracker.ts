/** A tracker of the run: the tracker's own announce, locate and lookups over core/handout, without HTTP. */

import type { AnnounceReply, AnnounceRequest, Located } from '../../core/contracts/tracker.ts';
import type { BlobIn } from '../../core/digest.ts';
import { handoutLimits, intervalMsDefault, leaseMsDefault } from '../../core/handout/limits.ts';
import { prng } from '../../core/prng.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { answerAnnounce, locate, type TrackerApi } from '../../tracker/api.ts';
import { Lookups } from '../../tracker/lookups.ts';
import { TrackerState } from '../../tracker/state.ts';
import { askedOrigins } from './asking.ts';
import type { OriginSite } from './origin.ts';
import { clockOf, type Process, type World } from './world.ts';

const waitMs = 1_000;
const lookupBytes = 4 * 1024 * 1024;
const metrics = new Metrics();

export class TrackerSite {
  readonly name: string;
  readonly host: number;
  readonly #world: World;
  readonly #origins: ReadonlyMap<string, OriginSite>;
  readonly #clock: () => number;
  #process: Process | undefined;
  #api: TrackerApi | undefined;
  /** While it hangs: what waits for it to go on. */
  #hung: PromiseWithResolvers<void> | undefined;

  constructor(
    world: World,
    name: string,
    o: { host: number; origins: ReadonlyMap<string, OriginSite>; clock: () => number },
  ) {
    this.#world = world;
    this.name = name;
    this.host = o.host;
    this.#origins = o.origins;
    this.#clock = o.clock;
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  process = (): Process | undefined => this.#process;

  start(): void {
    const process = { host: this.host, alive: true };
    this.#process = process;
    const state = new TrackerState(
      {
        prng: prng(this.#world.prng.below(2 ** 31)),
        leaseMs: leaseMsDefault,
        intervalMs: intervalMsDefault,
        limits: handoutLimits,
      },
      this.#time(),
    );
    const lookups = new Lookups({
      origins: askedOrigins(this.#world, process, this.#origins),
      memoryBytes: lookupBytes,
      nowMs: this.#clock,
      // As tracker/main.ts does.
      onLookup: ({ digest }, found) => {
        if (found.kind === 'known') state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
      },
    });
    this.#api = { state, lookups, waitMs, metrics };
  }

  /** Takes what is sent to it, and answers nothing. */
  hang(): void {
    this.#hung ??= Promise.withResolvers();
  }

  /** Goes on: what was sent meanwhile is handled now, late as it is. */
  wake(): void {
    this.#hung?.resolve();
    this.#hung = undefined;
  }

  get hangs(): boolean {
    return this.#hung !== undefined;
  }

  crash(): void {
    this.#hung = undefined;
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
    this.#api?.state[Symbol.dispose]();
    this.#api = undefined;
  }

  async announce(request: AnnounceRequest): Promise<AnnounceReply> {
    return await answerAnnounce(await this.#awake(), request, CallContext.begin());
  }

  async locate(blob: BlobIn): Promise<Located> {
    return await locate(await this.#awake(), blob, CallContext.begin());
  }

  async leave(node: string): Promise<void> {
    (await this.#awake()).state.tell({ kind: 'leave', node });
  }

  /** What rings while it hangs rings when it goes on. */
  #time(): Clock {
    const { nowMs, after, soon } = clockOf(this.#world, this.#clock);
    return {
      nowMs,
      soon,
      after: (ms, call) => {
        let off = false;
        const ring = async (): Promise<void> => {
          await this.#hung?.promise;
          if (!off) call();
        };
        const timer = after(ms, () => (this.#hung === undefined ? call() : void ring()));
        return {
          [Symbol.dispose]: () => {
            off = true;
            timer[Symbol.dispose]();
          },
        };
      },
    };
  }

  /** This process's parts, as soon as it does not hang; never where it is killed before. */
  async #awake(): Promise<TrackerApi> {
    const api = this.#api as TrackerApi;
    while (this.#hung !== undefined) await this.#hung.promise;
    return this.#api === api ? api : await new Promise<never>(() => undefined);
  }
}
