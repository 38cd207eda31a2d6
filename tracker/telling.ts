/**
 * What agents are told of the origins: URLs, ids, weights.
 *
 * Rule: an agent that says what it was told last is told again only once that has changed: thousands ask every ten seconds.
 */

import { createHash } from 'node:crypto';
import { type AnnounceReply, originsTellable } from '../core/contracts/tracker.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Members } from '../platform/members/members.ts';

export type OriginsTold = Pick<AnnounceReply, 'origins' | 'places' | 'toldAs'>;

export class Telling {
  readonly #origins: Pick<Members<OriginClient>, 'urls' | 'known'>;
  #told: OriginsTold | undefined;

  constructor(origins: Pick<Members<OriginClient>, 'urls' | 'known'>) {
    this.#origins = origins;
  }

  /** Something is known now that was not. */
  changed(): void {
    this.#told = undefined;
  }

  /** To who was told `before`: nothing, where that is all. */
  to(before: string | undefined): OriginsTold {
    this.#told ??= this.#tell();
    return before !== undefined && before === this.#told.toldAs ? {} : this.#told;
  }

  #tell(): OriginsTold {
    // In one order at all trackers, so that what one told is not told again by the next.
    const urls = this.#origins.urls.toSorted();
    if (!originsTellable(urls)) return {};
    const places = this.#origins.known
      .filter(({ url }) => urls.includes(url))
      .toSorted((one, other) => (one.url < other.url ? -1 : 1));
    const told = { origins: urls, ...(places.length > 0 && { places }) };
    return { ...told, toldAs: createHash('sha256').update(JSON.stringify(told)).digest('hex').slice(0, 16) };
  }
}
