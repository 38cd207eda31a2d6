/** A node's session with the trackers: platform/clients/tracker.ts, over the run's network, with its finder. */

import { Announcer, type AnnouncerInput, type AnnouncerOutput } from '../../core/announce/announcer.ts';
import { announceTiming } from '../../core/announce/timing.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { AnnounceAnswer, Located } from '../../core/contracts/tracker.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { OriginFinder } from '../../platform/clients/finder.ts';
import type { Tracking } from '../../platform/clients/tracking.ts';
import { alarmOf, Driver } from '../../platform/drive/driver.ts';
import type { Clock } from '../../platform/net/clock.ts';
import { askedOrigins } from './asking.ts';
import type { OriginSite } from './origin.ts';
import type { TrackerSite } from './tracker.ts';
import { clockOf, type Process, type World } from './world.ts';

const announceMs = 1_500;
const locateMs = 4_000;

export class Announcing implements Tracking {
  #answered: (answer: AnnounceAnswer) => void = () => undefined;
  readonly #world: World;
  readonly #process: Process;
  readonly #trackers: ReadonlyMap<string, TrackerSite>;
  readonly #clock: Clock;
  #driver: Driver<Announcer> | undefined;
  #over = false;
  readonly #finder: OriginFinder;

  /** `origins`: whom to ask where no tracker answers. */
  constructor(
    world: World,
    process: Process,
    o: {
      trackers: ReadonlyMap<string, TrackerSite>;
      origins: ReadonlyMap<string, OriginSite>;
      clock: () => number;
    },
  ) {
    this.#world = world;
    this.#process = process;
    this.#trackers = o.trackers;
    this.#clock = clockOf(world, o.clock);
    this.#finder = new OriginFinder({ nowMs: o.clock, origins: askedOrigins(world, process, o.origins) });
  }

  get stats(): Announcer['stats'] {
    return (this.#driver as Driver<Announcer>).machine.stats;
  }

  join(self: PeerAddress, answered: (answer: AnnounceAnswer) => void): void {
    this.#answered = answered;
    const trackers = [...this.#trackers.keys()];
    const machine = new Announcer({
      self,
      trackers,
      prng: prng(this.#world.prng.below(2 ** 31)),
      timing: announceTiming,
    });
    this.#driver = new Driver({ machine, alarm: alarmOf(this.#clock), perform: (output) => this.#perform(output) });
  }

  set(digest: Digest, state: 'want' | 'have', meta?: Metainfo): void {
    this.#tell({ kind: 'set', digest, state, meta });
  }

  unset(digest: Digest): void {
    this.#tell({ kind: 'unset', digest });
  }

  seek({ digest, repo }: BlobIn, count: number): void {
    this.#tell({ kind: 'seek', digest, count, repo });
  }

  async locate(blob: BlobIn): Promise<Located | undefined> {
    const { digest } = blob;
    const order = this.#driver?.machine.order(digest) ?? [];
    for (const name of order.filter((tracker) => this.#driver?.machine.isUp(tracker))) {
      const tracker = this.#trackers.get(name) as TrackerSite;
      try {
        return await this.#world.call(this.#process, tracker, {
          bytes: 100,
          limitMs: locateMs,
          handle: () => tracker.locate(blob),
        });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.code === 'BLOB_UNKNOWN') return undefined;
      }
    }
    return await this.#finder.locate(blob, CallContext.begin({ requestId: 'fuzz' }));
  }

  async leave(): Promise<void> {
    this.#tell({ kind: 'leave' });
    this.end();
  }

  end(): void {
    this.#over = true;
    this.#driver?.end();
  }

  #tell(input: AnnouncerInput): void {
    if (this.#over || !this.#process.alive) return;
    this.#world.inputs++;
    this.#driver?.input(input);
  }

  #perform(output: AnnouncerOutput): void {
    if (this.#world.trace !== undefined)
      this.#world.debug(`h${this.#process.host} announcer ${JSON.stringify(output).slice(0, 700)}`);
    switch (output.kind) {
      case 'send':
        void this.#announce(output);
        return;
      case 'answer':
        this.#world.dirty = true;
        return this.#answered(output.answer);
      case 'alone':
        this.#world.dirty = true;
        void this.#finder.find(output, (answer) => {
          this.#world.dirty = true;
          if (this.#process.alive && !this.#over) this.#answered(answer);
        });
        return;
      case 'leave': {
        const tracker = this.#trackers.get(output.tracker) as TrackerSite;
        void this.#world
          .call(this.#process, tracker, { bytes: 100, limitMs: announceMs, handle: () => tracker.leave(output.node) })
          .catch(() => undefined);
      }
    }
  }

  async #announce({ tracker: name, request, body }: Extract<AnnouncerOutput, { kind: 'send' }>): Promise<void> {
    const tracker = this.#trackers.get(name) as TrackerSite;
    const bytes = 200 + 120 * body.entries.length;
    try {
      const reply = await this.#world.call(this.#process, tracker, {
        bytes,
        limitMs: announceMs,
        handle: () => tracker.announce(body),
      });
      this.#tell({ kind: 'reply', request, reply });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#tell({ kind: 'failed', request });
    }
  }
}
