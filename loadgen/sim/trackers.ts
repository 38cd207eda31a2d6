/** Trackers on the simulated network: the tracker's own state behind a link and a bounded number of messages a second. */

import { assert } from '../../core/assert.ts';
import type { AnnounceReply, AnnounceRequest } from '../../core/contracts/tracker.ts';
import type { Digest } from '../../core/digest.ts';
import { handoutLimits, intervalMsDefault, leaseMsDefault } from '../../core/handout/limits.ts';
import type { Cold } from '../../core/handout/types.ts';
import type { Growth, Metainfo } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { TrackerState } from '../../tracker/state.ts';
import { clockOf } from './alarm.ts';
import type { FleetContext } from './fleet.ts';
import { CallEvent } from './network/network.ts';

type Located = { readonly what: Metainfo | Growth; readonly ageMs: number; readonly origins: PeerAddress[] };
type Locate = (digest: Digest) => Located | undefined;

/** A tracker that never was refuses connections, which is noticed at once; one that dies is a dead host. */
const failedAfterMs = 2000;
const refusedAfterMs = 1;
/** As a tracker asks the origin of a blob that grows: so often at most, more often while it is young. */
const growthMs = 50;
const growthMsMin = 20;

export class SimTracker {
  alive = true;
  /** Announces, by second. */
  readonly announces: number[] = [];
  /** Blobs that grow: when their origin was asked last. */
  readonly #askedMs = new Map<Digest, number>();
  readonly #context: FleetContext;
  readonly #host: number;
  readonly #locate: Locate;
  readonly #state: TrackerState;

  constructor(context: FleetContext, host: number, locate: Locate) {
    this.#context = context;
    this.#host = host;
    this.#locate = locate;
    this.#state = new TrackerState(
      {
        prng: prng(context.prng.below(2 ** 31)),
        leaseMs: leaseMsDefault,
        intervalMs: intervalMsDefault,
        limits: handoutLimits,
      },
      clockOf(context.events),
    );
  }

  /** One announce from `host`; `answered` with undefined where no answer comes. */
  ask(host: number, request: AnnounceRequest, answered: (reply: AnnounceReply | undefined) => void): void {
    const { events, network } = this.#context;
    if (!this.alive || !network.connected(host, this.#host)) {
      const afterMs = this.#context.options.trackers === 0 ? refusedAfterMs : failedAfterMs;
      events.schedule(new CallEvent(() => answered(undefined)), events.nowMs + afterMs);
      return;
    }
    const bytes = 200 + 120 * request.entries.length;
    network.send(host, this.#host, bytes, new CallEvent(() => this.#announce(host, request, answered)));
  }

  #announce(host: number, request: AnnounceRequest, answered: (reply: AnnounceReply | undefined) => void): void {
    if (!this.alive) return answered(undefined);
    const second = Math.floor(this.#context.events.nowMs / 1000);
    this.announces[second] = (this.announces[second] ?? 0) + 1;
    if (request.self.role === 'origin')
      for (const { digest, state } of request.entries) if (state === 'have') this.#askedMs.delete(digest);
    const output = this.#state.tell({ kind: 'announce', request });
    assert(output?.kind === 'reply', 'an announce without a reply');
    const { reply, cold, growing } = output;
    // What the origin says is waited for, where that is asked now.
    const asked = growing.filter((digest) => this.#refresh(digest));
    const old = asked.map((digest): Cold => {
      const known = request.entries.find((entry) => entry.digest === digest)?.known;
      return { digest, seek: 0, known };
    });
    if (cold.length + old.length === 0) this.#reply(host, reply, answered);
    else this.#lookUp(host, { request, reply, cold: [...cold, ...old] }, answered);
  }

  /** The origins are asked, a round trip, and the whole is answered at once. */
  #lookUp(
    host: number,
    asked: { request: AnnounceRequest; reply: AnnounceReply; cold: readonly Cold[] },
    answered: (reply: AnnounceReply | undefined) => void,
  ): void {
    const { events, options } = this.#context;
    events.schedule(
      new CallEvent(() => {
        const answers = [...asked.reply.answers];
        for (const { digest, seek, known } of asked.cold) {
          const located = this.#locate(digest);
          if (located === undefined) {
            answers.push({ digest, peers: [], error: 'unknown' });
            continue;
          }
          this.#learn(digest, located);
          const output = this.#state.tell({ kind: 'ask', digest, node: asked.request.self.node, seek, known });
          if (output?.kind === 'answer') answers.push(output.answer);
        }
        this.#reply(host, { ...asked.reply, answers }, answered);
      }),
      events.nowMs + 2 * options.latencyMs + 1,
    );
  }

  /** Somebody asks of a blob that grows: its origin is asked in the background, now and then. */
  #refresh(digest: Digest): boolean {
    const { events, options } = this.#context;
    const located = this.#locate(digest);
    if (located === undefined) return false;
    const everyMs = Math.min(growthMs, Math.max(growthMsMin, located.ageMs / 4));
    if (events.nowMs - (this.#askedMs.get(digest) ?? 0) < everyMs) return false;
    this.#askedMs.set(digest, events.nowMs);
    const answer = new CallEvent(() => {
      const now = this.#locate(digest);
      if (now !== undefined) this.#learn(digest, now);
    });
    events.schedule(answer, events.nowMs + 2 * options.latencyMs + 1);
    return true;
  }

  #learn(digest: Digest, { what, origins }: Located): void {
    if ('known' in what) this.#state.tell({ kind: 'grows', digest, growth: what, origins });
    else this.#state.tell({ kind: 'located', digest, meta: what, origins });
  }

  #reply(host: number, reply: AnnounceReply, answered: (reply: AnnounceReply | undefined) => void): void {
    const peers = reply.answers.reduce((sum, answer) => sum + answer.peers.length, 0);
    const bytes = 100 + 150 * reply.answers.length + 110 * peers;
    this.#context.network.send(this.#host, host, bytes, new CallEvent(() => answered(reply)));
  }
}

/** One per `--trackers`; their network hosts come after agents and origins. Without any, one that never answers. */
export function trackersOf(context: FleetContext, firstHost: number, locate: Locate): SimTracker[] {
  const { trackers } = context.options;
  const made = Array.from({ length: Math.max(1, trackers) }, (_, i) => new SimTracker(context, firstHost + i, locate));
  if (trackers === 0) for (const tracker of made) tracker.alive = false;
  return made;
}
