/**
 * Manifests that have had no tag for as long as a rule says go, for as long as the index runs (platform/tags/untagged.ts).
 *
 * Rule 1: what goes by a rule goes as by a DELETE: targets are told, quotas are given back, and what only it referred to has
 *   its grace.
 * Rule 2: several indexes on one store may do it at once: each manifest goes in one step that looks again.
 * Rule 3: all of a repository is looked at again until nothing went: so what only an index had goes with it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { GcRetention } from '../../core/contracts/gc/routes.ts';
import type { Digest } from '../../core/digest.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { UntaggedStore } from '../../platform/tags/untagged.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { RetentionRule } from './config.ts';

/** Manifests of one look: a short read of an engine that is in this process. */
const lookMax = 200;
/** Manifests that go in one transaction: each is some ten statements, and others' writes wait. */
const retireMax = 20;
const repositoriesMax = 200;
/** A caller is answered within this how far it is, and asks again. */
const stepMs = 2_000;

export type RetentionOptions = {
  readonly rules: readonly RetentionRule[];
  readonly untagged: UntaggedStore;
  readonly store: Pick<TagStore, 'catalog'>;
  readonly nowMs: () => number;
  /** Nothing goes before it, whatever a rule says. */
  readonly graceMs: number;
  readonly everyMs: number;
  /** Manifests looked at, and deleted, in a second at most. */
  readonly rate: number;
  /** Why nothing goes; undefined: it does. */
  readonly off: () => string | undefined;
  readonly went: (rule: RetentionRule, manifests: number) => void;
  readonly counted: (walk: readonly GcRetention[]) => void;
  readonly log: LineLog;
};
type Counts = { gone: number; due: number; waiting: number };
type Walk = { readonly counts: readonly Counts[]; readonly done: Promise<void> };

export class Retention implements AsyncDisposable {
  readonly #options: RetentionOptions;
  readonly #stop = new AbortController();
  /** Those that callers wait for: one that only counts, and one that deletes. */
  readonly #asked = new Map<boolean, Walk>();
  #running: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  /** A walk through all that rules are for; `more`: it is not at its end, and goes on. */
  async step(apply: boolean): Promise<{ readonly retention: readonly GcRetention[]; readonly more: boolean }> {
    const walk = this.#asked.get(apply) ?? this.#begun(apply);
    const ended = await Promise.race([walk.done.then(() => true), sleep(stepMs, false, { ref: false })]);
    return { retention: this.#told(walk.counts), more: !ended };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    await Promise.allSettled([this.#running, ...[...this.#asked.values()].map(({ done }) => done)]);
  }

  #begun(apply: boolean): Walk {
    const counts = this.#none();
    const done = this.#walk(apply, counts).finally(() => this.#asked.delete(apply));
    // Whoever waits for it is told; perhaps nobody does any more.
    done.catch(() => undefined);
    const walk = { counts, done };
    this.#asked.set(apply, walk);
    return walk;
  }

  #none(): Counts[] {
    return this.#options.rules.map(() => ({ gone: 0, due: 0, waiting: 0 }));
  }

  #told(counts: readonly Counts[]): GcRetention[] {
    return this.#options.rules.map(({ repositories, untagged }, i) => {
      const { gone, due, waiting } = counts[i] as Counts;
      return { repositories, untaggedMs: untagged, gone, due, waiting };
    });
  }

  async #run(): Promise<void> {
    const { everyMs, log } = this.#options;
    for (;;) {
      await this.#pause(everyMs);
      try {
        const counts = this.#none();
        await this.#walk(true, counts);
        const manifests = counts.reduce((sum, { gone }) => sum + gone, 0);
        if (manifests > 0) log.info({ manifests }, 'manifests went that had no tag for as long as a rule says');
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        log.debug({ err: error }, 'manifests without a tag could not be looked for, it is tried again');
      }
    }
  }

  async #walk(apply: boolean, counts: readonly Counts[]): Promise<void> {
    const { store, rules, counted } = this.#options;
    for (let last: string | undefined, more = true; more; ) {
      const page = await store.catalog({ n: repositoriesMax, last });
      for (const repo of page.repositories) {
        const at = rules.findIndex(({ repositories }) => repositoryMatches(repositories, repo));
        if (at >= 0) await this.#repository(repo, rules[at] as RetentionRule, apply, counts[at] as Counts);
      }
      last = page.repositories.at(-1);
      more = page.more && last !== undefined;
    }
    counted(this.#told(counts));
  }

  async #repository(repo: string, rule: RetentionRule, apply: boolean, counts: Counts): Promise<void> {
    for (;;) {
      const pass = await this.#pass(repo, rule, apply);
      counts.gone += pass.gone;
      if (pass.gone > 0) continue;
      counts.due += pass.due;
      counts.waiting += pass.waiting;
      return;
    }
  }

  async #pass(repo: string, rule: RetentionRule, apply: boolean): Promise<Counts> {
    const { untagged, nowMs, graceMs, rate, off } = this.#options;
    const pass: Counts = { gone: 0, due: 0, waiting: 0 };
    for (let last: Digest | undefined; ; ) {
      const now = nowMs();
      const at = { nowMs: now, beforeMs: now - Math.max(rule.untagged, graceMs) };
      const page = await untagged.lookUntagged({ repo, last, n: lookMax, beforeMs: at.beforeMs });
      const applies = apply && off() === undefined;
      if (applies && page.fresh.length + page.tagged.length > 0) await untagged.noteUntagged(repo, page, now);
      const gone = applies ? await this.#retire(repo, page.due, { ...at, rule }) : 0;
      pass.gone += gone;
      pass.due += page.due.length - gone;
      pass.waiting += page.waiting;
      if (page.last === undefined) return pass;
      last = page.last;
      await this.#pause((lookMax * 1_000) / rate);
    }
  }

  async #retire(
    repo: string,
    due: readonly Digest[],
    { rule, ...at }: { readonly beforeMs: number; readonly nowMs: number; readonly rule: RetentionRule },
  ): Promise<number> {
    const { untagged, rate, went } = this.#options;
    let gone = 0;
    for (let i = 0; i < due.length; i += retireMax) {
      const some = (await untagged.retire(repo, due.slice(i, i + retireMax), at)).length;
      went(rule, some);
      gone += some;
      await this.#pause((retireMax * 1_000) / rate);
    }
    return gone;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false });
  }
}
