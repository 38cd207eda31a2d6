/** A tracker of the run: the product's own routes, lookups and state, by a clock of its own. */

import {
  handoutLimits,
  intervalMsDefault as intervalMs,
  leaseMsDefault as leaseMs,
} from '../../core/handout/limits.ts';
import { prng } from '../../core/prng.ts';
import { trustedOf } from '../../platform/http/call.ts';
import type { Clock } from '../../platform/net/clock.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { LookupAllowance, lookupsAtOnce } from '../../tracker/allowance.ts';
import { Lookups } from '../../tracker/lookups.ts';
import { TrackerState } from '../../tracker/state.ts';
import type { MixedCompany } from './components/mixed.ts';
import { Calls } from './http/calls.ts';
import { serveTracker } from './http/servers.ts';
import { wiresOf } from './http/wires.ts';
import type { Roster } from './roster/roster.ts';
import { clockOf, type Process, type World } from './world.ts';

const waitMs = 1_000;
const lookupBytes = 4 * 1024 * 1024;

export class TrackerSite {
  readonly name: string;
  readonly host: number;
  readonly #world: World;
  readonly #roster: Roster;
  readonly #clock: () => number;
  readonly #mixed: MixedCompany | undefined;
  #calls: Calls | undefined;
  /** While it hangs: what waits for it to go on. */
  #hung: PromiseWithResolvers<void> | undefined;

  constructor(
    world: World,
    name: string,
    o: { host: number; roster: Roster; clock: () => number; mixed?: MixedCompany | undefined },
  ) {
    this.#world = world;
    this.name = name;
    this.host = o.host;
    this.#roster = o.roster;
    this.#clock = o.clock;
    this.#mixed = o.mixed;
  }

  get up(): boolean {
    return this.#calls !== undefined;
  }

  process = (): Process | undefined => this.#calls?.process;

  start(): void {
    const world = this.#world;
    const calls = new Calls(world, this.host);
    this.#calls = calls;
    const { process } = calls;
    const state = new TrackerState(
      { prng: prng(world.prng.below(2 ** 31)), leaseMs, intervalMs, limits: handoutLimits },
      this.#time(process),
    );
    const origins = this.#roster.members(calls);
    const lookups = new Lookups({
      allowance: new LookupAllowance(lookupsAtOnce),
      origins,
      memoryBytes: lookupBytes,
      clock: this.#time(process),
      // As tracker/main.ts does.
      onLookup: ({ digest }, found) => {
        if (found.kind === 'known') state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
      },
    });
    world.dirty = true;
    void serveTracker(
      { world, base: this.name, process },
      {
        state,
        lookups,
        origins: () => ({ origins: origins.urls }),
        waitMs,
        metrics: new Metrics(),
        trusted: trustedOf([]),
        notOwn: this.#mixed?.certificates.notOwn,
      },
      this.#mixed && {
        around: (app) => this.#mixed?.around(app, this.name),
        caller: (address) => this.#mixed?.certificates.of(address),
      },
    );
  }

  /** Takes what is sent to it, and answers nothing. */
  hang(): void {
    const process = this.#calls?.process;
    if (process === undefined || this.#hung !== undefined) return;
    this.#hung = Promise.withResolvers();
    process.hangs = true;
  }

  /** Goes on: what was sent meanwhile is handled now, late as it is. */
  wake(): void {
    this.#hung?.resolve();
    this.#hung = undefined;
    const process = this.#calls?.process;
    if (process === undefined) return;
    process.hangs = false;
    wiresOf(this.#world).woke(process);
  }

  get hangs(): boolean {
    return this.#hung !== undefined;
  }

  crash(): void {
    this.#hung = undefined;
    // What goes on in it goes on unheard; its state's clock stands still.
    this.#calls?.end(false);
    this.#calls = undefined;
  }

  /** What rings while it hangs rings when it goes on. */
  #time(process: Process): Clock {
    const { nowMs, after, soon } = clockOf(this.#world, this.#clock, process);
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
}
