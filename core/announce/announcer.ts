/**
 * What a node tells its trackers, and when: the client side of the handout.
 *
 * Contract: `handle(input, nowMs)`, then `drain()`; `deadlineMs` is when a `tick` is due. Each `send` is
 * answered by exactly one `reply` or `failed` with its request number.
 * Rule 1: each blob is announced to one tracker, the first by rendezvous hash of its digest that is up;
 *   it moves on when that one fails, or lets a seek wait, and back when it recovers. All hosts agree on the order.
 * Rule 2: one request in flight per tracker; what comes up meanwhile goes into the next batch, seeks first.
 * Rule 3: what is announced stays announced by an empty request each interval, whatever the number of blobs.
 *   A tracker that lost leases says `resync`; then everything is announced again, from a `reset` on.
 * Rule 4: a blob that grows is asked for again and again (refreshes.ts), without a seek, until its metainfo is told.
 * Rule 5: a seek that no tracker will answer, or that none answered in time, is told as `alone`, once; it goes
 *   to a tracker all the same, as soon as one is there.
 */

import { assert } from '../assert.ts';
import type { AnnounceAnswer, AnnounceEntry, AnnounceReply, AnnounceRequest } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import type { Machine } from '../machine.ts';
import { sameMetainfo } from '../piece.ts';
import { backoffMs } from '../retry/retry.ts';
import { Patience } from './patience.ts';
import { Refreshes } from './refreshes.ts';
import { type AnnouncedBlob, type AnnounceFlight, entryOf, type Target } from './target.ts';
import { Targets } from './targets.ts';
import type { AnnouncerConfig, AnnouncerDue, AnnouncerInput, AnnouncerOutput } from './types.ts';

export class Announcer implements Machine<AnnouncerInput, AnnouncerOutput, AnnouncerDue> {
  readonly #config: AnnouncerConfig;
  readonly #targets: Targets;
  readonly #blobs = new Map<Digest, AnnouncedBlob>();
  /** Seeks to repeat, and when. */
  readonly #again = new Map<Digest, number>();
  /** Seeks that no tracker has answered yet. */
  readonly #patience: Patience;
  readonly #refreshes = new Refreshes();
  #out: AnnouncerOutput[] = [];
  #requests = 0;
  #nowMs = Number.NEGATIVE_INFINITY;
  #left = false;

  constructor(config: AnnouncerConfig) {
    this.#config = config;
    this.#patience = new Patience(config.timing.aloneMs);
    this.#targets = new Targets(config.trackers, config.timing.intervalMs);
  }

  get deadlineMs(): number {
    if (this.#left) return Number.POSITIVE_INFINITY;
    const targetsMs = this.#targets.deadlineMs(this.#blobs.size > 0);
    let deadlineMs = Math.min(this.#patience.deadlineMs, targetsMs, this.#refreshes.deadlineMs);
    for (const atMs of this.#again.values()) deadlineMs = Math.min(deadlineMs, atMs);
    return deadlineMs;
  }

  get due(): AnnouncerDue | undefined {
    const { deadlineMs } = this;
    if (deadlineMs === Number.POSITIVE_INFINITY) return undefined;
    if (deadlineMs === this.#patience.deadlineMs) return 'alone';
    if (this.#targets.deadlineMs(this.#blobs.size > 0) === deadlineMs) return 'announce';
    return deadlineMs === this.#refreshes.deadlineMs ? 'growth' : 'again';
  }

  /** `held`: leases that trackers acknowledged; `down`: trackers that did not answer last time. */
  get stats(): { blobs: number; held: number; down: number } {
    return { blobs: this.#blobs.size, ...this.#targets.stats };
  }

  /** The trackers to ask about a digest, best first, those that are up before those that are not. */
  order(digest: Digest): string[] {
    const order = this.#targets.order(digest);
    return [...order.filter((target) => target.up), ...order.filter((target) => !target.up)].map((target) => target.id);
  }

  /** Whether the tracker answered last time, as far as it was asked. */
  isUp(tracker: string): boolean {
    return this.#targets.of(tracker)?.up === true;
  }

  handle(input: AnnouncerInput, nowMs: number): void {
    assert(nowMs >= this.#nowMs, 'announcer: time ran backwards');
    this.#nowMs = nowMs;
    if (this.#left) return;
    this.#apply(input);
    if (!this.#left) this.#advance();
  }

  drain(): AnnouncerOutput[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #apply(input: AnnouncerInput): void {
    switch (input.kind) {
      case 'set':
        return this.#set(input);
      case 'grows':
        return this.#grow(input);
      case 'unset':
        return this.#unset(input.digest);
      case 'seek':
        return this.#seek(input, input.count);
      case 'reply':
        return this.#onReply(this.#targets.landed(input.request), input.reply);
      case 'failed':
        return this.#onFailed(this.#targets.landed(input.request));
      case 'trackers':
        return this.#retarget(input.trackers);
      case 'greet':
        for (const target of this.#targets.all) target.greet(this.#soon(this.#config.timing.newsMs));
        return;
      case 'leave':
        return this.#leave();
      case 'tick':
        return;
    }
  }

  // ---- what the node says ----------------------------------------------------------------------

  #set({ digest, state, meta }: Extract<AnnouncerInput, { kind: 'set' }>): void {
    const known = this.#blobs.get(digest);
    if (known !== undefined) {
      if (state === 'have' || meta !== undefined) this.#refreshes.end(digest);
      if (known.state === state && (meta === undefined || (known.meta !== undefined && sameMetainfo(known.meta, meta))))
        return;
      known.state = state;
      known.meta = meta ?? known.meta;
      if (state === 'have') this.#forgetSeek(known);
      return this.#news(known);
    }
    const order = this.#targets.order(digest);
    const at = order.find((target) => target.up) ?? (order[0] as Target);
    const hashes = this.#config.growing === true ? 0 : undefined;
    const blob = { ...{ digest, order, state, meta, at }, repo: undefined, known: hashes, seek: 0, unavailable: 0 };
    this.#blobs.set(digest, blob);
    this.#news(blob);
  }

  /** Told with what is asked next; by itself it is no news. */
  #grow({ digest, known, waits }: Extract<AnnouncerInput, { kind: 'grows' }>): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined || blob.state !== 'want' || blob.meta !== undefined) return;
    blob.known = known;
    this.#refreshes.begin(digest, this.#nowMs);
    if (waits === 'whole') this.#refreshes.whole(digest, this.#nowMs);
    else if (waits) this.#refreshes.hurry(digest, this.#nowMs);
  }

  #unset(digest: Digest): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined) return;
    this.#forgetSeek(blob);
    this.#refreshes.end(digest);
    this.#blobs.delete(digest);
    blob.at.mark(digest, this.#soon(this.#config.timing.newsMs));
  }

  #seek({ digest, repo }: { digest: Digest; repo?: string | undefined }, count: number): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined || blob.state !== 'want' || count <= 0) return;
    this.#again.delete(digest);
    blob.seek = Math.max(blob.seek, count);
    blob.repo = repo;
    this.#evade(blob);
    // What a client waits for goes at once; while a request is out, others gather for the next one by themselves.
    blob.at.markFirst(digest, this.#nowMs + this.#config.timing.seekMs);
    this.#expect(blob);
  }

  /** An answer is waited for, where anybody may be there to give it. */
  #expect(blob: AnnouncedBlob): void {
    if (!blob.at.silent && this.#targets.anyUp) this.#patience.begin(blob.digest, this.#nowMs);
    else this.#alone(blob);
  }

  #lostPatience(digest: Digest): void {
    const blob = this.#blobs.get(digest) as AnnouncedBlob;
    // What is sought from it next need not wait as long to find out.
    blob.at.silent = blob.at.flight !== undefined;
    blob.seek = Math.max(blob.seek, blob.at.flight?.sent.find((one) => one.digest === digest)?.seek ?? 0);
    this.#evade(blob);
    this.#alone(blob);
  }

  /** What is sought of one that keeps others waiting is sought of the next one beside it; it comes home as it answers. */
  #evade(blob: AnnouncedBlob): void {
    const next = blob.at.silent ? blob.order.find((target) => target.up && !target.silent) : undefined;
    if (next !== undefined) this.#move(blob, next, this.#soon(this.#config.timing.newsMs));
  }

  #alone({ digest, repo, known }: AnnouncedBlob): void {
    this.#out.push({ kind: 'alone', digest, repo, known });
  }

  /** It may have grown. Where no answer is to be had from a tracker, whoever knows the origins asks them. */
  #refresh(blob: AnnouncedBlob): void {
    this.#evade(blob);
    if (blob.at.silent || !this.#targets.anyUp) this.#alone(blob);
    else blob.at.markFirst(blob.digest, this.#nowMs);
  }

  #news(blob: AnnouncedBlob): void {
    const { batchMs, newsMs } = this.#config.timing;
    blob.at.mark(blob.digest, this.#soon(this.#config.self.role === 'origin' ? batchMs : newsMs));
  }

  #leave(): void {
    const { node } = this.#config.self;
    for (const target of this.#targets.all) {
      if (target.held.size > 0 || target.flight !== undefined)
        this.#out.push({ kind: 'leave', tracker: target.id, node });
    }
    this.#blobs.clear();
    this.#again.clear();
    this.#patience.clear();
    this.#refreshes.clear();
    this.#left = true;
  }

  // ---- what goes out ---------------------------------------------------------------------------

  #advance(): void {
    for (const [digest, atMs] of this.#again) {
      if (atMs > this.#nowMs) continue;
      this.#again.delete(digest);
      const blob = this.#blobs.get(digest);
      if (blob === undefined) continue;
      blob.at.markFirst(digest, this.#nowMs);
      this.#expect(blob);
    }
    for (const digest of this.#patience.take(this.#nowMs)) this.#lostPatience(digest);
    for (const digest of this.#refreshes.take(this.#nowMs)) this.#refresh(this.#blobs.get(digest) as AnnouncedBlob);
    for (const target of this.#targets.all) {
      if (target.flight === undefined && target.deadlineMs(this.#blobs.size > 0) <= this.#nowMs) this.#send(target);
    }
  }

  #send(target: Target): void {
    const entries: AnnounceEntry[] = [];
    const sent: AnnounceFlight['sent'] = [];
    for (const digest of target.take(this.#nowMs)) {
      const blob = this.#blobs.get(digest);
      if (blob !== undefined && blob.at === target) {
        entries.push(entryOf(blob, this.#config.self.role));
        sent.push({ digest, put: true, seek: blob.seek });
        if (blob.seek > 0) this.#again.delete(digest);
        blob.seek = 0;
      } else if (target.held.has(digest)) {
        entries.push({ digest, state: 'gone', seek: 0 });
        sent.push({ digest, put: false, seek: 0 });
      }
    }
    // An empty request renews, or tries a tracker that was down; neither is due without a reason for it.
    if (entries.length === 0 && !target.worthAsking(this.#nowMs)) return target.rest();
    const request = ++this.#requests;
    const known = target.fly({ request, sent });
    // To one that may be in the same trouble with all of its hosts, what is to come is told as had: it says when.
    const held = target.reset && !target.up ? Math.max(known, this.#countAt(target)) : known;
    const self = this.#config.self;
    const body: AnnounceRequest = target.reset ? { self, entries, held, reset: true } : { self, entries, held };
    this.#out.push({ kind: 'send', tracker: target.id, request, body });
  }

  // ---- what comes back -------------------------------------------------------------------------

  #onReply(target: Target | undefined, reply: AnnounceReply): void {
    if (target === undefined) return;
    const { sent } = target.flight as AnnounceFlight;
    const wasAway = !target.up || target.silent;
    const seeks = new Map(sent.filter((one) => one.seek > 0).map((one) => [one.digest, one.seek]));
    target.landed(reply, this.#nowMs, this.#config.prng.unit());
    if (reply.resync === true && target.mayResync(this.#nowMs)) this.#resync(target, reply.resyncAfterMs ?? 0);
    if (wasAway) this.#comeHome(target);
    for (const answer of reply.answers) {
      const count = seeks.get(answer.digest);
      seeks.delete(answer.digest);
      if (count !== undefined) this.#onAnswer(answer, count);
      else if (this.#refreshes.has(answer.digest)) this.#grows(answer);
    }
    for (const [digest, count] of seeks) this.#onAnswer({ digest, peers: [], error: 'unavailable' }, count);
  }

  #onAnswer(answer: AnnounceAnswer, count: number): void {
    const blob = this.#blobs.get(answer.digest);
    if (blob === undefined || blob.state !== 'want') return;
    this.#grows(answer);
    this.#patience.end(blob.digest);
    if (blob.seek > 0) this.#patience.begin(blob.digest, this.#nowMs);
    if (answer.error !== 'unavailable') {
      blob.unavailable = 0;
      return;
    }
    blob.unavailable++;
    // A seek that was made meanwhile goes out anyway.
    if (blob.seek > 0) return;
    blob.seek = count;
    this.#again.set(blob.digest, this.#nowMs + this.#jittered(backoffMs(this.#config.timing.again, blob.unavailable)));
  }

  /** What a tracker, or an origin, says of a blob that is wanted: it may go on growing. */
  #grows(answer: AnnounceAnswer): void {
    this.#out.push({ kind: 'answer', answer });
    if (answer.meta !== undefined) this.#refreshes.end(answer.digest);
    else if (answer.growth !== undefined) {
      const at = { nowMs: this.#nowMs, unit: this.#config.prng.unit() };
      this.#refreshes.told(answer.digest, answer.growth, at);
    }
  }

  #onFailed(target: Target | undefined): void {
    if (target === undefined) return;
    this.#unsaid(target);
    target.failed(this.#nowMs + this.#jittered(backoffMs(this.#config.timing.down, target.failures + 1)));
    const byMs = this.#soon(this.#config.timing.newsMs);
    for (const blob of this.#blobs.values()) {
      if (blob.at !== target) continue;
      const next = blob.order.find((other) => other.up);
      if (next !== undefined) this.#move(blob, next, byMs);
      else this.#stranded(blob);
    }
  }

  /** Each blob goes to who is first for it now. */
  #retarget(ids: readonly string[]): void {
    const byMs = this.#soon(this.#config.timing.newsMs);
    for (const target of this.#targets.change(ids)) this.#unsaid(target);
    for (const blob of this.#blobs.values()) {
      blob.order = this.#targets.order(blob.digest);
      const first = blob.order.find((target) => target.up) ?? (blob.order[0] as Target);
      if (first !== blob.at) this.#move(blob, first, byMs);
    }
  }

  /** What was sought with the request that is under way there is still sought. */
  #unsaid(target: Target): void {
    for (const { digest, seek } of target.flight?.sent ?? []) {
      const blob = this.#blobs.get(digest);
      if (blob !== undefined && blob.at === target && blob.state === 'want') blob.seek = Math.max(blob.seek, seek);
    }
  }

  /** No tracker is up: the blob stays where it is, to be announced when that one is tried again. */
  #stranded(blob: AnnouncedBlob): void {
    if (blob.seek === 0) return;
    blob.at.markFirst(blob.digest, Number.POSITIVE_INFINITY);
    // A seek is told of once: the swarm seeks again by itself, less and less often.
    if (this.#patience.end(blob.digest)) this.#alone(blob);
  }

  /** Blobs that prefer this tracker to the one they are at come back to it; what it has and should not is told as gone. */
  #comeHome(target: Target): void {
    const byMs = this.#soon(this.#config.timing.homeMs);
    for (const blob of this.#blobs.values()) {
      if (blob.at === target) continue;
      const first = blob.order.find((other) => other.up);
      if (first === target) this.#move(blob, target, byMs);
    }
    for (const digest of target.held) if (this.#blobs.get(digest)?.at !== target) target.mark(digest, byMs);
  }

  /** One that is down is told when it is back. */
  #move(blob: AnnouncedBlob, to: Target, byMs: number): void {
    if (blob.at.up) blob.at.mark(blob.digest, byMs);
    blob.at = to;
    to.mark(blob.digest, byMs);
    if (blob.seek > 0 && !this.#again.has(blob.digest))
      to.markFirst(blob.digest, this.#soon(this.#config.timing.batchMs));
  }

  #resync(target: Target, afterMs: number): void {
    target.forget(this.#nowMs + afterMs);
    const byMs = this.#soon(this.#config.timing.newsMs);
    for (const blob of this.#blobs.values()) if (blob.at === target) target.mark(blob.digest, byMs);
  }

  // ---- small things ----------------------------------------------------------------------------

  #countAt(target: Target): number {
    return this.#blobs.values().reduce((sum, { at }) => sum + (at === target ? 1 : 0), 0);
  }

  #forgetSeek(blob: AnnouncedBlob): void {
    blob.seek = 0;
    blob.unavailable = 0;
    this.#again.delete(blob.digest);
    this.#patience.end(blob.digest);
  }

  #soon(withinMs: number): number {
    return this.#nowMs + this.#config.prng.unit() * withinMs;
  }

  /** Between a half and the whole of `ms`. */
  #jittered(ms: number): number {
    return ms * (0.5 + this.#config.prng.unit() / 2);
  }
}
