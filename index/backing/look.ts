/**
 * What some keys of a backend name is brought into the index, some at a time: the common part of a reconcile and an import.
 *
 * Rule: what is there comes first, then the tags on it, then what was deleted, which goes once no tag is on it any more: the
 *   order of the keys of a repository as well, so that it holds from page to page.
 */

import type { ReconcileBroken, ReconcileChange } from '../../core/contracts/reconcile.ts';
import type { Digest } from '../../core/digest.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { LinkObject } from '../../platform/backends/links.ts';
import type { AdoptStore, Bringer } from './adopt.ts';
import type { Brought } from './brought.ts';
import type { StepPatience } from './patience.ts';

/** Keys that are looked at together: a page of a backend that answers in 30 ms takes a second. */
export const togetherMax = 16;
/** What is said of one that is broken: a key, and why. */
const whyMax = 1_000;

export type LookParts = {
  readonly store: AdoptStore;
  readonly backed: TagsBacked;
  readonly bringer: Bringer;
  /** Tags that are here are looked at as well: else a link says nothing that their records do not. */
  readonly known: boolean;
  /** Repositories without records (read.ts). */
  readonly unrecorded?: ReadonlySet<string>;
};

export type Looked = { readonly changes: ReconcileChange[]; readonly broken: ReconcileBroken[] };

/** Rejects where one cannot be looked at, as the backend does not answer. */
export async function lookAt(
  objects: readonly LinkObject[],
  parts: LookParts,
  patience: StepPatience,
): Promise<Looked> {
  const outcomes: (Brought | undefined)[] = objects.map(() => undefined);
  const failed = new AbortController();
  const either = AbortSignal.any([patience.signal, failed.signal]);
  const work = async (queue: ReturnType<typeof waveOf>): Promise<void> => {
    for (const [i, object] of queue) {
      either.throwIfAborted();
      outcomes[i] = await one(object, parts, either);
      patience.moved();
    }
  };
  for (const wave of [0, 1, 2]) {
    const queue = waveOf(objects, wave);
    const workers = Array.from({ length: togetherMax }, () =>
      work(queue).catch((error: unknown) => {
        failed.abort(error);
      }),
    );
    await Promise.all(workers);
    // The first that failed is what ended the others.
    if (failed.signal.aborted) throw failed.signal.reason;
  }
  return told(objects, outcomes);
}

async function one(object: LinkObject, parts: LookParts, signal: AbortSignal): Promise<Brought | undefined> {
  const { repo, kind, name, part } = object;
  const { store, backed, bringer } = parts;
  const { links } = backed.layout;
  const there = async (key: string | undefined): Promise<boolean> =>
    key !== undefined && (await backed.tags.stat(key, signal)) !== undefined;
  const recorded = (of: string): boolean => backed.tags.can.records && parts.unrecorded?.has(of) !== true;
  try {
    const digest = name as Digest;
    switch (kind) {
      case 'blob':
        // A record beside a link says no more than that it came back, or went.
        return part === 'link' || links.linkKey(object) === undefined
          ? await bringer.blob(repo, digest, signal)
          : undefined;
      case 'manifest':
        if (part === 'link') return await bringer.manifest(repo, digest, signal);
        if ((await store.manifest(repo, digest)) !== undefined) return await bringer.deletion(repo, digest, signal);
        // It was looked at at its link, unless its writer has died before it wrote that.
        return (await there(links.linkKey(object))) ? undefined : await bringer.manifest(repo, digest, signal);
      case 'tag':
        // A link counts where there is no record, whose key comes later.
        if (part === 'link' && !parts.known && (await isHere(store, repo, name))) return undefined;
        if (part === 'link' && recorded(repo) && (await there(links.recordKey(object)))) return undefined;
        return await bringer.tag(repo, name, signal);
    }
  } catch (error) {
    // Of one object, not of the backend.
    if (error instanceof BackendError && (error.why === 'damaged' || error.why === 'refused'))
      return { kind: 'broken', why: error.message };
    throw error;
  }
}

async function isHere(store: AdoptStore, repo: string, tag: string): Promise<boolean> {
  return (await store.tagState(repo, tag)).version !== null;
}

function waveOf(objects: readonly LinkObject[], wave: number): IterableIterator<[number, LinkObject]> {
  const all = [...objects.entries()];
  const of = ({ kind, part }: LinkObject): number =>
    kind === 'tag' ? 1 : kind === 'manifest' && part === 'record' ? 2 : 0;
  return all.filter(([, object]) => of(object) === wave).values();
}

function told(objects: readonly LinkObject[], outcomes: readonly (Brought | undefined)[]): Looked {
  const changes: ReconcileChange[] = [];
  const broken: ReconcileBroken[] = [];
  for (const [i, { kind, repo, name }] of objects.entries()) {
    const outcome = outcomes[i];
    if (outcome?.kind === 'brought') changes.push({ kind, repo, name, how: outcome.how, digest: outcome.digest });
    const why = outcome?.kind === 'broken' ? outcome.why : outcome?.flaw;
    if (why !== undefined) broken.push({ kind, repo, name, why: why.slice(0, whyMax) });
  }
  return { changes, broken };
}
