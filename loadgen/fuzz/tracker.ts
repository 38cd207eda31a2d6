/** A tracker of the run: the tracker's own announce, locate and lookups over core/handout, without HTTP. */

import type { AnnounceReply, AnnounceRequest, Located } from '../../core/contracts/tracker.ts';
import type { Digest } from '../../core/digest.ts';
import { Handout, type HandoutInput, type HandoutOutput } from '../../core/handout/handout.ts';
import { handoutLimits, intervalMsDefault, leaseMsDefault } from '../../core/handout/limits.ts';
import { prng } from '../../core/prng.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { announce, locate, type TrackerApi } from '../../tracker/api.ts';
import { Lookups } from '../../tracker/lookups.ts';
import type { TrackerState } from '../../tracker/state.ts';
import { askedOrigins } from './asking.ts';
import type { OriginSite } from './origin.ts';
import type { Process, World } from './world.ts';

const waitMs = 1_000;
const lookupBytes = 4 * 1024 * 1024;
const metrics = new Metrics();

/** TrackerState by this tracker's own clock. */
class SkewedState {
  readonly handout: Handout;
  readonly #world: World;
  readonly #nowMs: () => number;

  constructor(world: World, nowMs: () => number) {
    this.#world = world;
    this.#nowMs = nowMs;
    this.handout = new Handout({
      prng: prng(world.prng.below(2 ** 31)),
      leaseMs: leaseMsDefault,
      intervalMs: intervalMsDefault,
      limits: handoutLimits,
    });
  }

  tell(input: HandoutInput): HandoutOutput | undefined {
    this.handout.handle(input, this.#nowMs());
    this.#world.inputs++;
    const [out] = this.handout.drain();
    return out;
  }
}

export class TrackerSite {
  readonly name: string;
  readonly host: number;
  readonly #world: World;
  readonly #origins: ReadonlyMap<string, OriginSite>;
  readonly #clock: () => number;
  #process: Process | undefined;
  #api: TrackerApi | undefined;

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
    const state = new SkewedState(this.#world, this.#clock) as unknown as TrackerState;
    const lookups = new Lookups({
      origins: askedOrigins(this.#world, process, this.#origins),
      memoryBytes: lookupBytes,
      nowMs: this.#clock,
      // As tracker/main.ts does.
      onLookup: (digest, found) => {
        if (found.kind === 'known') state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
      },
    });
    this.#api = { state, lookups, waitMs, metrics };
  }

  crash(): void {
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
    this.#api = undefined;
  }

  announce(request: AnnounceRequest): Promise<AnnounceReply> {
    return announce(this.#api as TrackerApi, request, 'fuzz');
  }

  locate(digest: Digest): Promise<Located> {
    return locate(this.#api as TrackerApi, digest, 'fuzz');
  }

  leave(node: string): void {
    this.#api?.state.tell({ kind: 'leave', node });
  }

  tick(): void {
    this.#api?.state.tell({ kind: 'tick' });
  }
}
