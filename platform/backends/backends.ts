/**
 * The backends of a process: which one a repository's blobs rest in, each open, limited, counted and tried again.
 *
 * Rule: what is remembered of a backend is remembered by (name, digest): what one tenant's backend has not got says
 *       nothing about another's.
 */

import { randomInt } from 'node:crypto';
import type { Digest } from '../../core/digest.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import { prng } from '../../core/prng.ts';
import { type Clock, realClock } from '../net/clock.ts';
import type { LimitedOptions } from './around/limited.ts';
import { wrapped } from './around/wrapped.ts';
import type { Backend } from './backend.ts';
import type { BackendRule } from './config.ts';
import type { Opening } from './kind.ts';
import { kinds } from './kinds.ts';
import { type KeyLayout, registryLayout } from './layout.ts';
import { RequiredBackends } from './required.ts';

/** A backend as a rule has it. */
export type Backed = {
  /** Unique in the configuration. */
  readonly name: string;
  readonly durability: 'origins' | 'backend';
  readonly required: boolean;
  readonly backend: Backend;
  readonly layout: KeyLayout;
  readonly blobKey: (digest: Digest) => string;
};

export type BackedRule = { readonly patterns: readonly string[]; readonly backed: Backed };

export type BackendsGiven = Omit<Opening, 'name' | 'stallMs'> & Pick<LimitedOptions, 'sharers'>;

export class Backends implements AsyncDisposable {
  readonly #rules: readonly BackedRule[];

  readonly #required: RequiredBackends;

  /** `rules` in the order in which they are tried. The backends are closed with this. */
  constructor(rules: readonly BackedRule[], clock: Clock = realClock) {
    this.#rules = rules;
    const required = rules.filter(({ backed }) => backed.required).map(({ backed }) => backed.backend);
    this.#required = new RequiredBackends(required, clock);
  }

  static async open(rules: readonly BackendRule[], given: BackendsGiven): Promise<Backends> {
    await using opened = new AsyncDisposableStack();
    const all: BackedRule[] = [];
    for (const { patterns, name, durability, required, kind, settings, stallMs, limits } of rules) {
      const opening = { ...given, name, stallMs };
      const bare = await (kinds[kind] as (typeof kinds)[string]).open(settings, opening);
      const backend = opened.use(wrapped(bare, { ...opening, limits, prng: prng(randomInt(2 ** 31)) }));
      all.push({ patterns, backed: backedBy(backend, { durability, required }) });
    }
    opened.move();
    return new Backends(all, given.clock);
  }

  /** Where what `repo` holds rests; undefined: on the origins' disks only. Who names none gets the rule for all. */
  of(repo: string | undefined): Backed | undefined {
    const matches = ({ patterns }: BackedRule): boolean =>
      repo === undefined ? patterns.includes('**') : repositoryMatches(patterns, repo);
    return this.#rules.find(matches)?.backed;
  }

  named(name: string): Backed | undefined {
    return this.all.find((backed) => backed.name === name);
  }

  /** Whether every repository has one. */
  get everything(): boolean {
    return this.#rules.some(({ patterns }) => patterns.includes('**'));
  }

  get all(): readonly Backed[] {
    return this.#rules.map(({ backed }) => backed);
  }

  /** What keeps the process from serving, one line each: those that are required and do not answer as they should. */
  problems(): Promise<string[]> {
    return this.#required.problems();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#required[Symbol.dispose]();
    await Promise.all(this.all.map(({ backend }) => backend[Symbol.asyncDispose]()));
  }
}

/** `backend` with the keys that we give it. */
export function backedBy(backend: Backend, said: Pick<Backed, 'durability' | 'required'>): Backed {
  return { ...said, name: backend.name, backend, layout: registryLayout, blobKey: registryLayout.blobKey };
}
