/**
 * Who is told of what a repository's writes change (outbox.ts): the backend that keeps its tags, clusters that follow it,
 * receivers of events. Of each: which rows it wants.
 *
 * Rule: names say what a target is: a backend's is its rule's name, which has no colon; all others have a word and a colon
 *   before theirs (`remote:NAME`, `event:NAME`). No name has a blank.
 */

import type { Digest } from '../../core/digest.ts';

export type OutboxKind = 'blob' | 'manifest' | 'tag';
/** referrer: of manifests those with a subject, once, when they come and when they go. deletion: manifests that go. */
type Wanted = OutboxKind | 'referrer' | 'deletion';

export type OutboxTarget = {
  readonly name: string;
  readonly kinds: readonly Wanted[];
  /** Each write is a row of its own, and those of a repository come in their order. Else one row a key, the newest. */
  readonly every?: boolean | undefined;
  /** Rows that wait for it at most, where each write is one. Default: everyRowsMax. */
  readonly rowsMax?: number | undefined;
};

/** What a write did to a tag, a manifest or a link. */
export type OutboxChange = {
  readonly kind: OutboxKind;
  readonly name: string;
  /** null: it was deleted. */
  readonly digest: Digest | null;
  /** A manifest that has a subject. */
  readonly referrer?: boolean | undefined;
  /** A manifest that was there before. */
  readonly again?: boolean | undefined;
};
/** Those that wait for one target. */
export type ToldTo = { readonly target: OutboxTarget; readonly told: readonly OutboxChange[] };

/**
 * About 200 bytes each in the engine: some days of events of a busy cluster whose receiver is away. What has one row a key
 * needs no bound: it is as large as what the engine holds anyway.
 */
export const everyRowsMax = 1_000_000;
/** Writes between two counts of what waits for a target that has every write: so many more than allowed may be there. */
const countEvery = 1_000;
/** The same while it is full: so soon is noticed that there is room again. */
const countFullEvery = 100;

/** Tags that are on a manifest now, or gone. */
export function changedTags(tags: readonly string[], digest: Digest | null): OutboxChange[] {
  return tags.map((name) => ({ kind: 'tag', name, digest }));
}

/**
 * Of these targets those that want any of it, with what they want. Where each write is told, one that sets a tag on a manifest
 * is one: as registries tell of a push by tag, not of the manifest beside it.
 */
export function wantedBy(targets: readonly OutboxTarget[], all: readonly OutboxChange[]): ToldTo[] {
  return targets
    .map((target) => ({
      target,
      told: all.filter((one) => wants(target, one) && !(target.every && isTagged(one, all))),
    }))
    .filter(({ told }) => told.length > 0);
}

function wants({ kinds }: OutboxTarget, { kind, digest, referrer = false, again = false }: OutboxChange): boolean {
  if (kinds.includes(kind)) return true;
  if (kind !== 'manifest') return false;
  return (referrer && !again && kinds.includes('referrer')) || (digest === null && kinds.includes('deletion'));
}

/** A manifest that the same write sets a tag on. */
function isTagged({ kind, name }: OutboxChange, all: readonly OutboxChange[]): boolean {
  return kind === 'manifest' && all.some((other) => other.kind === 'tag' && other.digest === name);
}

/** Whether a target of that name is a backend. */
export function isBackend(name: string): boolean {
  return !name.includes(':');
}

/** The backend among a repository's targets. It has one at most. */
export function backendAmong(targets: readonly OutboxTarget[]): string | undefined {
  return targets.find(({ name }) => isBackend(name))?.name;
}

/** Those that are to have what a repository held before they were its targets. What happened is told to nobody later. */
export function filledAmong(targets: readonly OutboxTarget[]): readonly OutboxTarget[] {
  return targets.filter(({ every }) => every !== true);
}

/** Whether there is room for targets that have every write: counted now and then, as a count is a walk along all rows. */
export class Rooms {
  readonly #known = new Map<string, { attempts: number; readonly full: boolean }>();

  /** Whether it is to be counted before the next `has`. */
  due(target: string): boolean {
    return (this.#known.get(target)?.attempts ?? 0) <= 0;
  }

  counted(target: string, full: boolean): void {
    this.#known.set(target, { attempts: full ? countFullEvery : countEvery, full });
  }

  /** Whether one more write may leave rows. */
  has(target: string): boolean {
    const known = this.#known.get(target);
    if (known !== undefined) known.attempts -= 1;
    return known?.full !== true;
  }
}
