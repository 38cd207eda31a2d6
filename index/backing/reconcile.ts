/**
 * Brings what the backends hold of tags and manifests into the index, a step at a time: nothing is kept between two steps
 * but where the next one begins, so it may be left and gone on with, and holds as little of a large bucket as of a small one.
 *
 * Rule 1: as a read that goes through: nothing here that is newer, or waits to be written, is replaced. What is broken there
 *   is told, and changes nothing.
 * Rule 2: a step that cannot be finished, as the backend does not answer, fails whole: it may be made again.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type {
  ReconcileBroken,
  ReconcileChange,
  ReconcileReply,
  ReconcileStep,
} from '../../core/contracts/reconcile.ts';
import type { Digest } from '../../core/digest.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import { BackendError, type BackendPage } from '../../platform/backends/backend.ts';
import type { Backends, TagsBacked } from '../../platform/backends/backends.ts';
import type { LinkObject } from '../../platform/backends/links.ts';
import { type AdoptStore, Bringer, type Brought } from './adopt.ts';

/** Keys that are looked at together: a page of a backend that answers in 30 ms takes a second. */
const togetherMax = 16;
/** What is said of one that is broken: a key, and why. */
const whyMax = 1_000;

export type ReconcileParts = {
  readonly store: AdoptStore;
  readonly backends: Backends;
  readonly nowMs: () => number;
};

export class Reconciler {
  readonly #parts: ReconcileParts;

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  async step(asked: ReconcileStep, signal: AbortSignal): Promise<ReconcileReply> {
    const { backends } = this.#parts;
    const at = this.#placeOf(asked.from);
    if (at === undefined) return { looked: 0, changes: [], broken: [] };
    const { backed, after } = at;
    try {
      const page = await listed(backed, { under: plainName(asked.repositories), after, max: asked.keys }, signal);
      const objects = page.objects.flatMap(({ key }) => {
        const object = backed.layout.links.linkOf(key);
        return object !== undefined && this.#wanted(object, backed, asked) ? [object] : [];
      });
      const found = await this.#look(objects, backed, asked, signal);
      const all = backends.keepingTags;
      const following = all[all.indexOf(backed) + 1];
      const next = page.next === undefined ? following && cursorOf(following, undefined) : cursorOf(backed, page.next);
      return { looked: page.objects.length, ...found, ...(next === undefined ? {} : { next }) };
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      throw new ApiError('UNAVAILABLE', `backend ${backed.name} cannot be read: ${error.message}`);
    }
  }

  #placeOf(
    cursor: string | undefined,
  ): { readonly backed: TagsBacked; readonly after: string | undefined } | undefined {
    const { backends } = this.#parts;
    const [first] = backends.keepingTags;
    if (cursor === undefined) return first && { backed: first, after: undefined };
    const name = cursor.slice(0, cursor.indexOf(':'));
    const backed = backends.keepingTags.find((one) => one.name === name);
    if (backed === undefined) throw new ApiError('REQUEST_INVALID', `there is no backend ${name}: begin anew`);
    return { backed, after: cursor.slice(name.length + 1) || undefined };
  }

  /** A key of a repository that belongs to another backend by now is passed over. */
  #wanted({ repo }: LinkObject, backed: TagsBacked, { repositories }: ReconcileStep): boolean {
    if (this.#parts.backends.of(repo)?.name !== backed.name) return false;
    return repositories === undefined || repositoryMatches([repositories], repo);
  }

  async #look(
    objects: readonly LinkObject[],
    backed: TagsBacked,
    { apply }: ReconcileStep,
    signal: AbortSignal,
  ): Promise<{ changes: ReconcileChange[]; broken: ReconcileBroken[] }> {
    const bringer = new Bringer({ ...this.#parts, backed, dry: !apply });
    const outcomes: (Brought | undefined)[] = objects.map(() => undefined);
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const work = async (queue: ReturnType<typeof waveOf>): Promise<void> => {
      for (const [i, object] of queue) {
        either.throwIfAborted();
        outcomes[i] = await this.#one(object, { backed, bringer, signal: either });
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

  async #one(
    object: LinkObject,
    { backed, bringer, signal }: { backed: TagsBacked; bringer: Bringer; signal: AbortSignal },
  ): Promise<Brought | undefined> {
    const { repo, kind, name, part } = object;
    const { store } = this.#parts;
    const { links } = backed.layout;
    const there = async (key: string | undefined): Promise<boolean> =>
      key !== undefined && (await backed.tags.stat(key, signal)) !== undefined;
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
          if (part === 'link' && (await this.#known(repo, name))) return undefined;
          if (part === 'link' && (await there(links.recordKey(object)))) return undefined;
          return await bringer.tag(repo, name, signal);
      }
    } catch (error) {
      // Of one object, not of the backend.
      if (error instanceof BackendError && (error.why === 'damaged' || error.why === 'refused'))
        return { kind: 'broken', why: error.message };
      throw error;
    }
  }

  async #known(repo: string, tag: string): Promise<boolean> {
    return (await this.#parts.store.tagState(repo, tag)).version !== null;
  }
}

/**
 * What is there first, then the tags on it, then what was deleted, which goes once no tag is on it any more: the order of
 * the keys of a repository as well, so that it holds from page to page.
 */
function waveOf(objects: readonly LinkObject[], wave: number): IterableIterator<[number, LinkObject]> {
  const all = [...objects.entries()];
  const of = ({ kind, part }: LinkObject): number =>
    kind === 'tag' ? 1 : kind === 'manifest' && part === 'record' ? 2 : 0;
  return all.filter(([, object]) => of(object) === wave).values();
}

function told(objects: readonly LinkObject[], outcomes: readonly (Brought | undefined)[]) {
  const changes: ReconcileChange[] = [];
  const broken: ReconcileBroken[] = [];
  for (const [i, { kind, repo, name }] of objects.entries()) {
    const outcome = outcomes[i];
    if (outcome?.kind === 'brought') changes.push({ kind, repo, name, how: outcome.how, digest: outcome.digest });
    if (outcome?.kind === 'broken') broken.push({ kind, repo, name, why: outcome.why.slice(0, whyMax) });
  }
  return { changes, broken };
}

/** Of keys that begin in several ways one after the other, as they sort: `after` says which of them is next. */
async function listed(
  { tags, layout }: TagsBacked,
  {
    under,
    after,
    max,
  }: { readonly under: string | undefined; readonly after: string | undefined; readonly max: number },
  signal: AbortSignal,
): Promise<BackendPage> {
  const prefixes = layout.links.under(under);
  const at = prefixes.findIndex((prefix) => after === undefined || after.startsWith(prefix) || after < prefix);
  if (at < 0) return { objects: [], next: undefined };
  const page = await tags.list(prefixes[at] as string, { after, max: Math.max(1, max) }, signal);
  // No key is as short as what it begins with.
  return { objects: page.objects, next: page.next ?? prefixes[at + 1] };
}

function cursorOf({ name }: TagsBacked, after: string | undefined): string {
  return `${name}:${after ?? ''}`;
}

/** A pattern that is one repository: no other keys need be listed. */
function plainName(pattern: string | undefined): string | undefined {
  return pattern?.includes('*') === false ? pattern : undefined;
}
