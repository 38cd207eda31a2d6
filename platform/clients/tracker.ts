/**
 * A node's session with its trackers: drives core/announce over HTTP. Where no tracker answers, the origins are
 * asked (finder.ts), and their answer is as a tracker's.
 *
 * Rule 1: all that is decided is decided in the Announcer; this file makes the calls.
 * Rule 2: a tracker that fails, answers nonsense or is silent for `announceMs` is down, whatever the cause.
 * Rule 3: a tracker that fails is told of when that begins and when it ends, not each time; one that does not keep all
 *   that it is told, now and then.
 */

import { randomInt } from 'node:crypto';
import { Announcer } from '../../core/announce/announcer.ts';
import { type AnnounceTiming, announceTiming } from '../../core/announce/timing.ts';
import type { AnnouncerInput, AnnouncerOutput, Waits } from '../../core/announce/types.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { ToldPlace } from '../../core/contracts/members.ts';
import {
  type AnnounceAnswer,
  type AnnounceReply,
  type AnnounceRequest,
  type Located,
  type LocatedGrowing,
  TRACKER,
} from '../../core/contracts/tracker.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { alarmOf, Driver } from '../drive/driver.ts';
import type { Members } from '../members/members.ts';
import { firstAnswer } from '../members/members.ts';
import { type Clock, realClock } from '../net/clock.ts';
import type { LineLog } from '../telemetry/log.ts';
import { CallContext } from './context.ts';
import type { OriginFinder } from './finder.ts';
import type { HttpClient } from './http.ts';
import type { Tracking } from './tracking.ts';

/** A tracker answers from memory, at most a short wait for origins later: no answer by then is a failure. */
const announceMs = 1_500;
/** A HEAD of a cold blob: the tracker asks the origins first, and answers by then that it does not know yet. */
const locateMs = 1_800;
const leaveMs = 1_000;
const noTracker = 'http://no-tracker.invalid';
/** Whoever is at a limit of a tracker's meets it at each announce. */
const limitToldMs = 600_000;

export type TrackerSessionOptions = {
  /** The same list, in any order, on every host. */
  readonly trackers: Members<HttpClient>;
  readonly log: Pick<LineLog, 'debug' | 'info' | 'warn'>;
  readonly timing?: AnnounceTiming;
  /** Default: this machine's. */
  readonly clock?: Clock | undefined;
  /** Who is asked where no tracker answers; absent: nobody. */
  readonly finder?: OriginFinder;
  /** A tracker told of the origins; every reply does. */
  readonly onOrigins?: (urls: readonly string[], places: readonly ToldPlace[]) => void;
};

/** Whoever can tell what a blob is: a tracker, or all origins together. */
const originsThemselves = Symbol('the origins');
type Locator = string | typeof originsThemselves;

export class TrackerSession implements Tracking {
  #answered: (answer: AnnounceAnswer) => void = () => undefined;
  readonly #options: TrackerSessionOptions;
  readonly #clock: Clock;
  /** What trackers call what one of them told last of the origins. */
  #toldAs: string | undefined = undefined;
  /** Announces that failed in a row, of each tracker that does not answer. */
  readonly #failures = new Map<string, number>();
  /** When it was told last that a tracker does not keep all of our leases. */
  readonly #limitedMs = new Map<string, number>();
  readonly #closing = new AbortController();
  /** What was said before `join`. */
  readonly #early: AnnouncerInput[] = [];
  #driver: Driver<Announcer> | undefined = undefined;
  #listening: Disposable | undefined = undefined;
  #leaving: Promise<unknown>[] = [];

  constructor(options: TrackerSessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
  }

  /** Blobs announced, leases that trackers acknowledged, trackers that are down. */
  get stats(): { blobs: number; held: number; down: number } {
    return this.#driver?.machine.stats ?? { blobs: 0, held: 0, down: 0 };
  }

  join(self: PeerAddress, answered: (answer: AnnounceAnswer) => void): void {
    if (this.#driver !== undefined) return;
    this.#answered = answered;
    const { trackers, timing = announceTiming } = this.#options;
    const machine = new Announcer({
      self,
      // While a list tells of nobody, nobody answers: the origins are asked.
      trackers: trackers.urls.length > 0 ? trackers.urls : [noTracker],
      prng: prng(randomInt(2 ** 32)),
      timing,
      growing: true,
    });
    this.#driver = new Driver({ machine, alarm: alarmOf(this.#clock), perform: (output) => this.#perform(output) });
    for (const input of this.#early.splice(0)) this.#tell(input);
    this.#listening = trackers.onChange(() => {
      if (trackers.urls.length > 0) this.#tell({ kind: 'trackers', trackers: trackers.urls });
    });
    // Whoever may have to do without trackers finds out who is there, and what they know, before it matters.
    if (this.#options.finder !== undefined) this.#tell({ kind: 'greet' });
  }

  set(digest: Digest, state: 'want' | 'have', meta?: Metainfo): void {
    this.#tell({ kind: 'set', digest, state, meta });
  }

  grows(digest: Digest, known: number, waits: Waits): void {
    this.#tell({ kind: 'grows', digest, known, waits });
  }

  unset(digest: Digest): void {
    this.#tell({ kind: 'unset', digest });
  }

  seek({ digest, repo }: BlobIn, count: number): void {
    this.#tell({ kind: 'seek', digest, count, repo });
  }

  async locate(blob: BlobIn, ctx: CallContext): Promise<Located | LocatedGrowing | undefined> {
    const hedged = await firstAnswer(
      this.#locators(blob),
      async (who, signal) => ({ located: await this.#locateAt(who, blob, ctx.withSignal(signal)) }),
      {
        hedgeMs: (this.#options.timing ?? announceTiming).aloneMs,
        signal: ctx.signal,
        onSilent: (who) => typeof who === 'string' && this.#options.trackers.of(who)?.pulse.doubt(),
      },
    );
    if (hedged.kind === 'answer') return hedged.answer.located;
    ctx.signal.throwIfAborted();
    const why = hedged.failures.map((error) => (error as Error).message).join('; ');
    throw new ApiError('UNAVAILABLE', `no tracker can tell of ${blob.digest}: ${why}`);
  }

  async leave(): Promise<void> {
    if (this.#driver !== undefined) this.#tell({ kind: 'leave' });
    this.#listening?.[Symbol.dispose]();
    this.#driver?.end();
    this.#closing.abort();
    await Promise.all(this.#leaving);
  }

  /** Whom to ask in turn: the first tracker that is there, the origins, then who else there is. */
  #locators({ digest }: BlobIn): Locator[] {
    const { trackers, finder } = this.#options;
    const order = this.#driver?.machine.order(digest) ?? trackers.owners(digest).map(({ id }) => id);
    if ((finder?.urls.length ?? 0) === 0) return order;
    const well = (tracker: string): boolean => trackers.of(tracker)?.pulse.well === true;
    const there = order.filter((tracker) => this.#driver?.machine.isUp(tracker) !== false && well(tracker));
    const absent = order.filter((tracker) => !there.includes(tracker));
    return [...there.slice(0, 1), originsThemselves, ...there.slice(1), ...absent];
  }

  async #locateAt(who: Locator, blob: BlobIn, call: CallContext): Promise<Located | LocatedGrowing | undefined> {
    if (typeof who !== 'string') {
      using soon = call.within(locateMs);
      return await (this.#options.finder as OriginFinder).locate(blob, soon);
    }
    try {
      const found = await this.#call(who, 'GET', TRACKER.locate.path({ ...blob, growing: 1 }), {
        limitMs: locateMs,
        call,
      });
      const located = TRACKER.locate.reply(found, who);
      if (located.digest !== blob.digest) throw new ApiError('UNAVAILABLE', `${who} answered for another blob`);
      return located;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return undefined;
      throw error;
    }
  }

  #tell(input: AnnouncerInput): void {
    if (this.#closing.signal.aborted) return;
    if (this.#driver === undefined) this.#early.push(input);
    else this.#driver.input(input);
  }

  #perform(output: AnnouncerOutput): void {
    switch (output.kind) {
      case 'send':
        void this.#announce(output.tracker, output.request, output.body);
        return;
      case 'answer':
        this.#answered(output.answer);
        return;
      case 'alone':
        return this.#alone(output);
      case 'leave':
        this.#leaving.push(this.#sayLeave(output.tracker, output.node));
        return;
    }
  }

  #alone({ digest, repo, known }: Extract<AnnouncerOutput, { kind: 'alone' }>): void {
    const { finder } = this.#options;
    if (finder === undefined) return this.#answered({ digest, peers: [], error: 'unavailable' });
    const tell = (answer: AnnounceAnswer): void => {
      if (!this.#closing.signal.aborted) this.#answered(answer);
    };
    void finder.find({ digest, repo }, tell, known !== undefined);
  }

  /** Every request ends in a `reply` or a `failed`. */
  async #announce(tracker: string, request: number, body: AnnounceRequest): Promise<void> {
    // What goes wrong while a reply is applied is a Bug of ours, and no failure of the tracker.
    this.#tell((await this.#replyOf(tracker, request, body)) ?? { kind: 'failed', request });
  }

  async #replyOf(tracker: string, request: number, body: AnnounceRequest): Promise<AnnouncerInput | undefined> {
    try {
      const toldAs = this.#toldAs;
      const reply = await this.#call(tracker, 'POST', TRACKER.announce.path({}), {
        limitMs: announceMs,
        body: toldAs === undefined ? body : { ...body, toldAs },
        call: CallContext.begin(),
      });
      const parsed = TRACKER.announce.reply(reply, tracker);
      this.#noteAnswer(tracker);
      if (parsed.limit !== undefined) this.#noteLimit(tracker, parsed.limit);
      if (parsed.origins !== undefined) this.#noteOrigins(parsed.origins, parsed);
      return { kind: 'reply', request, reply: parsed };
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#noteFailure(tracker, (error as Error).message);
      return undefined;
    }
  }

  #noteOrigins(origins: readonly string[], { places = [], toldAs }: AnnounceReply): void {
    this.#toldAs = toldAs;
    this.#options.onOrigins?.(origins, places);
  }

  #noteLimit(tracker: string, limit: string): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - (this.#limitedMs.get(tracker) ?? Number.NEGATIVE_INFINITY) < limitToldMs) return;
    this.#limitedMs.set(tracker, nowMs);
    this.#options.log.warn({ tracker, limit }, 'a tracker does not keep all that it is told of this host');
  }

  #noteFailure(tracker: string, why: string): void {
    const failures = (this.#failures.get(tracker) ?? 0) + 1;
    this.#failures.set(tracker, failures);
    const { log } = this.#options;
    if (failures === 1) log.warn({ tracker, why }, 'a tracker does not answer: it is tried again');
    else log.debug({ tracker, why, failures }, 'announce failed');
  }

  #noteAnswer(tracker: string): void {
    const failures = this.#failures.get(tracker);
    if (failures === undefined) return;
    this.#failures.delete(tracker);
    this.#options.log.info({ tracker, failures }, 'a tracker answers again');
  }

  async #sayLeave(tracker: string, node: string): Promise<void> {
    using ctx = CallContext.begin().within(leaveMs);
    await this.#options.trackers
      .of(tracker)
      ?.json('POST', TRACKER.leave.path({}), { body: { node }, ctx, tries: 1 })
      .catch((error: unknown) => this.#options.log.debug({ tracker, why: (error as Error).message }, 'leave failed'));
  }

  async #call(
    tracker: string,
    method: 'GET' | 'POST',
    path: string,
    how: { limitMs: number; body?: unknown; call: CallContext },
  ): Promise<unknown> {
    using limited = how.call.within(how.limitMs);
    const ctx = limited.withSignal(this.#closing.signal);
    const http = this.#options.trackers.of(tracker);
    if (http === undefined) throw new ApiError('UNAVAILABLE', `${tracker} is no tracker any more`);
    try {
      return await http.json<unknown>(method, path, { body: how.body, ctx, tries: 1 });
    } catch (error) {
      if (!limited.signal.aborted || how.call.signal.aborted) throw error;
      http.pulse.missed();
      throw new ApiError('UNAVAILABLE', `${tracker} did not answer within ${how.limitMs} ms`);
    }
  }
}
