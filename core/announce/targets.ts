/**
 * The trackers that there are, in the order of each blob; the list of them may change.
 *
 * Rule: who stays in the list keeps what is known of it. What comes of a request to one that has left is nobody's.
 */

import { assert } from '../assert.ts';
import type { Digest } from '../digest.ts';
import { Rendezvous } from '../rendezvous/rendezvous.ts';
import { Target } from './target.ts';

export class Targets {
  readonly #intervalMs: number;
  #owners: Rendezvous = Rendezvous.of([]);
  #byId: ReadonlyMap<string, Target> = new Map();
  #all: readonly Target[] = [];
  /** Requests under way at those that have left. */
  readonly #orphans = new Set<number>();

  constructor(ids: readonly string[], intervalMs: number) {
    this.#intervalMs = intervalMs;
    this.change(ids);
  }

  get all(): readonly Target[] {
    return this.#all;
  }

  get anyUp(): boolean {
    return this.#all.some((target) => target.up);
  }

  /** `held`: leases that trackers acknowledged that answer; `down`: trackers that did not answer last time. */
  get stats(): { held: number; down: number } {
    return {
      held: this.#all.reduce((sum, target) => sum + (target.up ? target.held.size : 0), 0),
      down: this.#all.filter((target) => !target.up).length,
    };
  }

  /** When the first request is due. */
  deadlineMs(anyBlobs: boolean): number {
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const target of this.#all) deadlineMs = Math.min(deadlineMs, target.deadlineMs(anyBlobs));
    return deadlineMs;
  }

  of(id: string): Target | undefined {
    return this.#byId.get(id);
  }

  /** Best first, whether they are up or not. */
  order(digest: Digest): readonly Target[] {
    return this.#all.length === 1 ? this.#all : this.#owners.pick(digest).map((id) => this.#byId.get(id) as Target);
  }

  /** The one whose request has ended; undefined: it has left. */
  landed(request: number): Target | undefined {
    if (this.#orphans.delete(request)) return undefined;
    const target = this.#all.find((one) => one.flight?.request === request);
    assert(target !== undefined, 'announcer: an answer to no request');
    return target;
  }

  /** These are the trackers from now on. Those that have left. */
  change(ids: readonly string[]): Target[] {
    assert(ids.length > 0, 'announcer: no tracker');
    const before = this.#byId;
    this.#owners = Rendezvous.of(ids);
    this.#byId = new Map(ids.map((id) => [id, before.get(id) ?? new Target(id, this.#intervalMs)]));
    this.#all = [...this.#byId.values()];
    const left = [...before.values()].filter(({ id }) => !this.#byId.has(id));
    for (const { flight } of left) if (flight !== undefined) this.#orphans.add(flight.request);
    return left;
  }
}
