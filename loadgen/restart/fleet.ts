/** Agents in virtual time, as far as they speak to trackers: the product's own announcers. */

import { Announcer } from '../../core/announce/announcer.ts';
import { announceTiming } from '../../core/announce/timing.ts';
import type { AnnouncerOutput } from '../../core/announce/types.ts';
import type { Digest } from '../../core/digest.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { Driver } from '../../platform/drive/driver.ts';
import { alarmOf } from '../sim/alarm.ts';
import type { Events } from '../sim/events.ts';
import { CallEvent } from '../sim/network/network.ts';
import type { RestartOptions } from './options.ts';
import { ModelTracker } from './tracker.ts';

/** Neighbours that a blob asks for, and when it asks again where it has none: as a swarm does. */
const neighbours = 16;
const againMs = 1_000;
const againMsMax = 16_000;

/** A blob that an agent began to pull: when it had an answer, and when a neighbour that is an agent. */
export type Pull = { readonly atMs: number; answerMs: number; neighbourMs: number; alone: boolean };

type Agent = { readonly driver: Driver<Announcer>; readonly first: number; readonly pulls: Map<Digest, Pull> };

export class Fleet {
  readonly trackers: readonly ModelTracker[];
  readonly pulls: Pull[] = [];
  readonly #events: Events;
  readonly #options: RestartOptions;
  readonly #random: Prng;
  readonly #digests: readonly Digest[];
  readonly #agents: Agent[] = [];

  constructor(events: Events, options: RestartOptions) {
    this.#events = events;
    this.#options = options;
    this.#random = prng(options.seed);
    this.#digests = Array.from({ length: options.blobs }, (_, i) => digestNo(i));
    this.trackers = Array.from({ length: options.trackers }, () => new ModelTracker(events, options));
    for (let no = 0; no < options.agents; no++) this.#agents.push(this.#agent(no));
  }

  /** Leases that all trackers have, and should have. */
  get leases(): { there: number; all: number } {
    const there = this.trackers.reduce((sum, tracker) => sum + tracker.leases, 0);
    return { there, all: this.#agents.reduce((sum, { driver }) => sum + driver.machine.stats.blobs, 0) };
  }

  /** Each agent comes at some time within `withinMs`, with all that it holds. */
  begin(withinMs: number): void {
    for (const { driver, first } of this.#agents) {
      this.#after(this.#random.unit() * withinMs, () => {
        for (let i = 0; i < this.#options.leases; i++)
          driver.input({ kind: 'set', digest: this.#digest(first + i), state: 'have' });
      });
    }
  }

  /** An agent wants a blob that it does not have. */
  pull(): void {
    const { leases, blobs } = this.#options;
    const agent = this.#agents[this.#random.below(this.#agents.length)] as Agent;
    const digest = this.#digest(agent.first + leases + this.#random.below(Math.max(1, blobs - leases)));
    if (agent.pulls.has(digest)) return;
    const pull = { atMs: this.#events.nowMs, answerMs: Infinity, neighbourMs: Infinity, alone: false };
    agent.pulls.set(digest, pull);
    this.pulls.push(pull);
    agent.driver.input({ kind: 'set', digest, state: 'want' });
    this.#seek(agent, digest, againMs);
  }

  #seek(agent: Agent, digest: Digest, thenMs: number): void {
    agent.driver.input({ kind: 'seek', digest, count: neighbours });
    this.#after(thenMs, () => {
      if (agent.pulls.get(digest)?.neighbourMs === Infinity)
        this.#seek(agent, digest, Math.min(againMsMax, 2 * thenMs));
    });
  }

  #agent(no: number): Agent {
    const node = no.toString(16).padStart(32, '0');
    const host = `10.${no >> 16}.${(no >> 8) & 255}.${no & 255}`;
    const machine = new Announcer({
      self: { node, host, port: 16_001, role: 'agent', zone: '' },
      trackers: this.trackers.map((_, i) => `t${i}`),
      prng: prng(this.#random.below(2 ** 31)),
      timing: announceTiming,
    });
    const agent: Agent = {
      driver: new Driver({
        machine,
        alarm: alarmOf(this.#events, -1, 0),
        perform: (output) => this.#perform(agent, output),
      }),
      first: no * 37,
      pulls: new Map(),
    };
    return agent;
  }

  #perform({ driver, pulls }: Agent, output: AnnouncerOutput): void {
    const { nowMs } = this.#events;
    if (output.kind === 'send') {
      const { request } = output;
      const tracker = this.trackers[Number(output.tracker.slice(1))] as ModelTracker;
      tracker.ask(output.body, (reply) =>
        driver.input(reply === undefined ? { kind: 'failed', request } : { kind: 'reply', request, reply }),
      );
    } else if (output.kind === 'answer') {
      const pull = pulls.get(output.answer.digest);
      if (pull === undefined) return;
      pull.answerMs = Math.min(pull.answerMs, nowMs - pull.atMs);
      if (output.answer.peers.some(({ role }) => role === 'agent'))
        pull.neighbourMs = Math.min(pull.neighbourMs, nowMs - pull.atMs);
    } else if (output.kind === 'alone') {
      const pull = pulls.get(output.digest);
      if (pull !== undefined) pull.alone = true;
    }
  }

  #digest(i: number): Digest {
    return this.#digests[i % this.#digests.length] as Digest;
  }

  #after(ms: number, call: () => void): void {
    this.#events.schedule(new CallEvent(call), this.#events.nowMs + ms);
  }
}

function digestNo(i: number): Digest {
  return `sha256:${((i * 0x9e3779b1) >>> 0).toString(16).padStart(64, '0')}` as Digest;
}
