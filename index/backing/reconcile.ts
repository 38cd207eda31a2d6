/**
 * Brings what the backends hold of tags and manifests into the index, a step at a time: nothing is kept between two steps
 * but where the next one begins, so it may be left and gone on with, and holds as little of a large bucket as of a small one.
 *
 * Rule 1: as a read that goes through: nothing here that is newer, or waits to be written, is replaced. What is broken there
 *   is told, and changes nothing.
 * Rule 2: a step that cannot be finished, as the backend does not answer, fails whole: it may be made again. So does one of
 *   which nothing answers for a while.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { Backends, TagsBacked } from '../../platform/backends/backends.ts';
import type { LinkObject } from '../../platform/backends/links.ts';
import { type AdoptStore, Bringer } from './adopt.ts';
import { lookAt } from './look.ts';
import { answered, cursorOf, pageUnder, placeIn, plainName } from './pages.ts';

export type ReconcileParts = {
  readonly store: AdoptStore;
  readonly backends: Backends;
  readonly nowMs: () => number;
  /** How long nothing of a backend may answer; default: that of pages.ts. */
  readonly silentMs?: number | undefined;
};

type At = { readonly backed: TagsBacked; readonly after: string | undefined };

export class Reconciler {
  readonly #parts: ReconcileParts;

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  async step(asked: ReconcileStep, signal: AbortSignal): Promise<ReconcileReply> {
    const at = this.#placeOf(asked.from);
    if (at === undefined) return { looked: 0, changes: [], broken: [] };
    const { backed, after } = at;
    const all = this.#listable;
    return await answered({ name: backed.name, signal, silentMs: this.#parts.silentMs }, async (patience) => {
      const prefixes = backed.layout.links.under(plainName(asked.repositories));
      const page = await pageUnder(backed.tags, { prefixes, after, max: asked.keys }, patience);
      const objects = page.objects.flatMap(({ key }) => {
        const object = backed.layout.links.linkOf(key);
        return object !== undefined && this.#wanted(object, backed, asked) ? [object] : [];
      });
      const bringer = new Bringer({ ...this.#parts, backed, dry: !asked.apply });
      const found = await lookAt(objects, { store: this.#parts.store, backed, bringer, known: false }, patience);
      const following = all[all.indexOf(backed) + 1];
      const next =
        page.next === undefined ? following && cursorOf(following.name, undefined) : cursorOf(backed.name, page.next);
      return { looked: page.objects.length, ...found, ...(next === undefined ? {} : { next }) };
    });
  }

  /** What cannot be listed is asked when somebody wants it. */
  get #listable(): readonly TagsBacked[] {
    return this.#parts.backends.keepingTags.filter(({ tags }) => tags.can.list);
  }

  #placeOf(cursor: string | undefined): At | undefined {
    const [first] = this.#listable;
    if (cursor === undefined) return first && { backed: first, after: undefined };
    const { place, after } = placeIn(cursor);
    const backed = this.#listable.find(({ name }) => name === place);
    if (backed === undefined) throw new ApiError('REQUEST_INVALID', `there is no backend ${place}: begin anew`);
    return { backed, after };
  }

  /** A key of a repository that belongs to another backend by now is passed over. */
  #wanted({ repo }: LinkObject, backed: TagsBacked, { repositories }: ReconcileStep): boolean {
    if (this.#parts.backends.of(repo)?.name !== backed.name) return false;
    return repositories === undefined || repositoryMatches([repositories], repo);
  }
}
