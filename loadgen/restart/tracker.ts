/**
 * A tracker in virtual time: the product's own state behind one core that spends so long on each request, one after the
 * other, whether anybody still waits for the answer or not. It knows of every blob that one origin holds it.
 */

import { assert } from '../../core/assert.ts';
import type { AnnounceReply, AnnounceRequest } from '../../core/contracts/tracker.ts';
import { handoutLimits, intervalMsDefault, leaseMsDefault } from '../../core/handout/limits.ts';
import { prng } from '../../core/prng.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { TrackerState } from '../../tracker/state.ts';
import { clockOf } from '../sim/alarm.ts';
import type { Events } from '../sim/events.ts';
import { CallEvent } from '../sim/network/network.ts';
import type { RestartOptions } from './options.ts';

/** One way. */
const latencyMs = 0.5;
/** A port that nobody listens at. */
const refusedMs = 1;
/** As a session waits for an answer (platform/clients/tracker.ts). */
const patienceMs = 1_500;

const origin: PeerAddress = { node: 'f'.repeat(32), host: '10.255.0.1', port: 15_001, role: 'origin', zone: '' };
const meta = { length: 64 * 1024 * 1024, pieceLength: 256 * 1024, root: 'a'.repeat(64) };

type Answered = (reply: AnnounceReply | undefined) => void;

export class ModelTracker {
  readonly #events: Events;
  readonly #options: RestartOptions;
  #state: TrackerState | undefined = undefined;
  /** While it hangs: what came. */
  #hung: (() => void)[] | undefined = undefined;
  #busyUntilMs = 0;
  /** When each request came, how many blobs were in it, and how long it waited for its turn. */
  readonly requests: { readonly atMs: number; readonly entries: number; readonly queuedMs: number }[] = [];
  /** Requests that were given up. */
  lost = 0;

  constructor(events: Events, options: RestartOptions) {
    this.#events = events;
    this.#options = options;
  }

  get leases(): number {
    return this.#state?.handout.stats.leases ?? 0;
  }

  start(): void {
    const config = { leaseMs: leaseMsDefault, intervalMs: intervalMsDefault, limits: handoutLimits };
    this.#state = new TrackerState({ prng: prng(this.#options.seed), ...config }, clockOf(this.#events));
    this.#busyUntilMs = this.#events.nowMs;
  }

  kill(): void {
    this.#state?.[Symbol.dispose]();
    this.#state = undefined;
  }

  hang(): void {
    this.#hung = [];
  }

  wake(): void {
    const came = this.#hung ?? [];
    this.#hung = undefined;
    for (const go of came) go();
  }

  /** Answers once: undefined where nothing came in time. */
  ask(request: AnnounceRequest, answered: Answered): void {
    let open = true;
    const once: Answered = (reply) => {
      if (!open) return;
      open = false;
      if (reply === undefined) this.lost++;
      answered(reply);
    };
    if (this.#state === undefined) return this.#after(refusedMs, () => once(undefined));
    this.#after(patienceMs, () => once(undefined));
    this.#after(latencyMs, () => this.#arrive(request, once));
  }

  #arrive(request: AnnounceRequest, answered: Answered): void {
    if (this.#hung !== undefined) return void this.#hung.push(() => this.#arrive(request, answered));
    const state = this.#state;
    if (state === undefined) return answered(undefined);
    const { requestUs, entryUs } = this.#options;
    const { nowMs } = this.#events;
    const entries = request.entries.length;
    const startMs = Math.max(nowMs, this.#busyUntilMs);
    this.#busyUntilMs = startMs + (requestUs + entryUs * entries) / 1000;
    this.requests.push({ atMs: nowMs, entries, queuedMs: startMs - nowMs });
    this.#after(this.#busyUntilMs - nowMs, () => {
      if (state !== this.#state) return answered(undefined);
      const reply = replyOf(state, request);
      this.#after(latencyMs, () => answered(reply));
    });
  }

  #after(ms: number, call: () => void): void {
    this.#events.schedule(new CallEvent(call), this.#events.nowMs + ms);
  }
}

function replyOf(state: TrackerState, request: AnnounceRequest): AnnounceReply {
  const out = state.tell({ kind: 'announce', request });
  assert(out?.kind === 'reply', 'an announce without a reply');
  const answers = [...out.reply.answers];
  for (const { digest, seek } of out.cold) {
    state.tell({ kind: 'located', digest, meta, origins: [origin] });
    const asked = state.tell({ kind: 'ask', digest, node: request.self.node, seek });
    if (asked?.kind === 'answer') answers.push(asked.answer);
  }
  return { ...out.reply, answers };
}
