/**
 * The backends of a process: which one a repository's blobs rest in, each open, limited, counted and tried again.
 *
 * Rule: what is remembered of a backend is remembered by its name and the blob's key there (`placeOf`): what one tenant's
 *       backend has not got says nothing about another's, nor does one repository where a backend tells them apart.
 */

import { randomInt } from 'node:crypto';
import type { Digest } from '../../core/digest.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import { prng } from '../../core/prng.ts';
import { type Clock, realClock } from '../net/clock.ts';
import { NothingRemoved, ReadOnly } from './around/kept.ts';
import type { LimitedOptions } from './around/limited.ts';
import { wrapped } from './around/wrapped.ts';
import type { Backend } from './backend.ts';
import type { BackendRule } from './config.ts';
import { chosenKeys } from './keys.ts';
import type { Opening } from './kind.ts';
import { kindNamed } from './kinds.ts';
import { type KeyLayout, registryLayout } from './layout.ts';
import { RequiredBackends } from './required.ts';

/** A backend as a rule has it. */
export type Backed = {
  /** Unique in the configuration. */
  readonly name: string;
  readonly durability: 'origins' | 'backend';
  readonly required: boolean;
  /** Others write there as well: nothing is ever removed from it, not even what a probe wrote. Undefined: nobody said. */
  readonly shared: boolean | undefined;
  /** What this cluster's index has lost for good is deleted there. */
  readonly deletes: boolean;
  /** Whether what is pushed is owed to it; else it is read, and pushes rest on the origins' disks. */
  readonly writes: boolean;
  /** Where blobs, and manifests' bytes, rest. */
  readonly backend: Backend;
  /** Where links, tags and records rest: the same one, or what the rule names; undefined: in the index's database only. */
  readonly tags: Backend | undefined;
  readonly layout: KeyLayout;
  /** `repo`: the repository that is asked for; most backends have a blob once for all of them. */
  readonly blobKey: KeyLayout['blobKey'];
};

/** What is known of a blob in `repo` is known of: all repositories of the backend, or that one. */
export function placeOf({ layout, blobKey }: Backed, digest: Digest, repo: string | undefined): string {
  return layout.perRepository === true ? blobKey(digest, repo) : digest;
}

/** One that keeps tags. */
export type TagsBacked = Backed & { readonly tags: Backend };

/** What a rule says of a backend beside where it is. */
type Said = Pick<Backed, 'durability' | 'required'> & {
  readonly shared?: boolean | undefined;
  readonly deletes?: boolean;
  readonly readOnly?: boolean;
};

export type BackedRule = { readonly patterns: readonly string[]; readonly backed: Backed };

export type BackendsGiven = Omit<Opening, 'name' | 'stallMs' | 'shared'> & Pick<LimitedOptions, 'sharers'>;

export class Backends implements AsyncDisposable {
  readonly #rules: readonly BackedRule[];

  readonly #required: RequiredBackends;

  /** `rules` in the order in which they are tried. The backends are closed with this. */
  constructor(rules: readonly BackedRule[], clock: Clock = realClock) {
    this.#rules = rules;
    const required = rules
      .filter(({ backed }) => backed.required)
      .flatMap(({ backed: { backend, tags } }) =>
        tags === undefined || tags === backend ? [backend] : [backend, tags],
      );
    this.#required = new RequiredBackends(required, clock);
  }

  static async open(rules: readonly BackendRule[], given: BackendsGiven): Promise<Backends> {
    await using opened = new AsyncDisposableStack();
    const all: BackedRule[] = [];
    for (const rule of rules) {
      const { patterns, name, kind, settings, tags: tagsAt, stallMs, limits, ...said } = rule;
      const open = async (at: { kind: string; settings: unknown }, name: string): Promise<Backend> => {
        const opening = { ...given, name, stallMs, shared: said.shared };
        const bare = await kindNamed(at.kind).open(at.settings, opening);
        const kept = said.shared === true ? new NothingRemoved(bare) : bare;
        const allowed = said.readOnly && bare.can.writes ? new ReadOnly(kept) : kept;
        return opened.use(wrapped(allowed, { ...opening, limits, prng: prng(randomInt(2 ** 31)) }));
      };
      const backend = await open({ kind, settings }, name);
      const elsewhere = tagsAt && (await open(tagsAt, `${name}.tags`));
      const tags = elsewhere ?? (kindNamed(kind).holds === 'blobs' ? undefined : backend);
      all.push({ patterns, backed: { ...backedBy(backend, said, layoutOf(rule)), tags } });
    }
    opened.move();
    return new Backends(all, given.clock);
  }

  /**
   * Where what `repo` holds rests; undefined: on the origins' disks only. Who names none gets the rule for all, where its
   * backend can find a blob without a repository.
   */
  of(repo: string | undefined): Backed | undefined {
    const matches = ({ patterns, backed }: BackedRule): boolean =>
      repo === undefined
        ? patterns.includes('**') && backed.layout.perRepository !== true
        : repositoryMatches(patterns, repo);
    return this.#rules.find(matches)?.backed;
  }

  /** Where links, tags and records of `repo` rest; undefined: in the index's database only. */
  tagsOf(repo: string): TagsBacked | undefined {
    const backed = this.of(repo);
    return backed !== undefined && keepsTags(backed) ? backed : undefined;
  }

  /** Whom what is pushed into `repo` is owed; undefined: nobody. */
  owedOf(repo: string | undefined): Backed | undefined {
    const backed = this.of(repo);
    return backed?.writes === true ? backed : undefined;
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

  get keepingTags(): readonly TagsBacked[] {
    return this.all.filter(keepsTags);
  }

  /** What keeps the process from serving, one line each: those that are required and do not answer as they should. */
  problems(): Promise<string[]> {
    return this.#required.problems();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#required[Symbol.dispose]();
    const open = new Set(this.all.flatMap(({ backend, tags }) => (tags === undefined ? [backend] : [backend, tags])));
    await Promise.all([...open].map((backend) => backend[Symbol.asyncDispose]()));
  }
}

/** What blobs are called where blobs are, and tags where tags are. */
function layoutOf({ kind, settings, tags, keys }: BackendRule): KeyLayout {
  const { blobs, links } = chosenKeys(keys);
  const { links: own, ...ofBlobs } = kindNamed(kind).layout?.(settings) ?? {};
  const ofTags = tags === undefined ? own : kindNamed(tags.kind).layout?.(tags.settings)?.links;
  return { ...blobs, ...ofBlobs, links: ofTags ?? links };
}

/** `backend` with the keys that we give it. */
export function backedBy(
  backend: Backend,
  { durability, required, shared, deletes = false, readOnly = false }: Said,
  layout: KeyLayout = registryLayout,
): Backed {
  return {
    name: backend.name,
    durability,
    required,
    shared,
    deletes,
    writes: !readOnly && backend.can.writes,
    backend,
    tags: backend,
    layout,
    blobKey: layout.blobKey,
  };
}

function keepsTags(backed: Backed): backed is TagsBacked {
  return backed.tags !== undefined;
}
