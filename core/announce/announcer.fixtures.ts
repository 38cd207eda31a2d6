import { expect } from 'vitest';
import type { AnnounceAnswer, AnnounceEntry, AnnounceRequest } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import { testDigest, testPeer } from '../handout/fixtures.ts';
import { Handout } from '../handout/handout.ts';
import { handoutLimits } from '../handout/limits.ts';
import { type Prng, prng } from '../prng.ts';
import { Announcer } from './announcer.ts';
import { announceTiming } from './timing.ts';

export const self = testPeer(1);
export const [one, two, three] = ['http://t1', 'http://t2', 'http://t3'] as const;

/** Trackers in memory, on a clock of our own; any of them can be cut off, or lose its state. */
export class World {
  nowMs = 0;
  readonly trackers = new Map<string, Handout>();
  readonly cut = new Set<string>();
  /** Requests arrive, their answers do not. */
  readonly deaf = new Set<string>();
  readonly sent: { tracker: string; body: AnnounceRequest; atMs: number }[] = [];
  readonly answers: AnnounceAnswer[] = [];
  readonly alone: { digest: Digest; atMs: number }[] = [];
  /** Requests arrive, and nothing comes back until somebody gives up on them. */
  readonly hung = new Set<string>();
  readonly waiting: number[] = [];
  readonly announcer: Announcer;
  readonly random: Prng;

  constructor(options: { trackers?: readonly string[]; seed?: number; self?: typeof self; growing?: boolean } = {}) {
    this.random = prng(options.seed ?? 1);
    const trackers = options.trackers ?? [one];
    for (const id of trackers) this.restart(id);
    const { growing } = options;
    const of = { self: options.self ?? self, trackers, prng: this.random, timing: announceTiming };
    this.announcer = new Announcer({ ...of, growing });
  }

  restart(id: string): void {
    this.trackers.set(
      id,
      new Handout({ prng: this.random, leaseMs: 30_000, intervalMs: 10_000, limits: handoutLimits }),
    );
  }

  tell(input: Parameters<Announcer['handle']>[0]): void {
    this.announcer.handle(input, this.nowMs);
    this.#perform();
  }

  /** Lets time pass until `untilMs`, with every tick at its deadline. */
  run(untilMs: number): void {
    while (this.announcer.deadlineMs <= untilMs) {
      const before = this.nowMs;
      this.nowMs = Math.max(this.nowMs, this.announcer.deadlineMs);
      this.tell({ kind: 'tick' });
      expect(this.nowMs > before || this.announcer.deadlineMs > this.nowMs).toBe(true);
    }
    this.nowMs = untilMs;
  }

  #perform(): void {
    for (let out = this.announcer.drain(); out.length > 0; out = this.announcer.drain()) {
      for (const output of out) {
        if (output.kind === 'answer') this.answers.push(output.answer);
        else if (output.kind === 'alone') this.alone.push({ digest: output.digest, atMs: this.nowMs });
        else if (output.kind === 'leave')
          this.trackers.get(output.tracker)!.handle({ kind: 'leave', node: output.node }, this.nowMs);
        else this.#deliver(output.tracker, output.request, output.body);
      }
    }
  }

  #deliver(tracker: string, request: number, body: AnnounceRequest): void {
    this.sent.push({ tracker, body, atMs: this.nowMs });
    if (this.hung.has(tracker)) return void this.waiting.push(request);
    if (this.cut.has(tracker)) return this.announcer.handle({ kind: 'failed', request }, this.nowMs);
    const handout = this.trackers.get(tracker)!;
    handout.handle({ kind: 'announce', request: body }, this.nowMs);
    const [out] = handout.drain();
    if (out?.kind !== 'reply') throw new Error('no reply');
    if (this.deaf.has(tracker)) return this.announcer.handle({ kind: 'failed', request }, this.nowMs);
    const cold = out.cold.map(({ digest }) => ({ digest, peers: [], error: 'unavailable' as const }));
    this.announcer.handle(
      { kind: 'reply', request, reply: { ...out.reply, answers: [...out.reply.answers, ...cold] } },
      this.nowMs,
    );
  }

  /** What a tracker believes of us: the neighbours that a stranger is offered tell. */
  knows(tracker: string, digest: Digest): boolean {
    const handout = this.trackers.get(tracker)!;
    handout.handle({ kind: 'ask', digest, node: 'somebody', seek: 32 }, this.nowMs);
    const [out] = handout.drain();
    return out?.kind === 'answer' && out.answer.peers.some((peer) => peer.node === self.node);
  }
}

export const digests = (count: number): Digest[] => Array.from({ length: count }, (_, i) => testDigest(i + 1));
export const entries = (world: World): AnnounceEntry[] => world.sent.flatMap(({ body }) => [...body.entries]);
