/**
 * Keys of the container under a prefix, page by page, in the order of their UTF-8 bytes.
 *
 * Azure goes on by a marker of its own and has no way to begin after a key. So the marker of where a page ended is
 * remembered by its last key; a list that begins elsewhere is read from its start, 5,000 keys a request, and passed over.
 *
 * Rule: a server whose order is another one beyond a page is told, and none of its keys is lost without a word.
 */

import { type BackendPage, pageKeysMax } from '../backend.ts';
import { listRequestsMax, placesMax, skippedKeysMax } from './limits.ts';
import type { AzureRequests } from './requests.ts';
import { blobsOf, type ListedBlobs } from './xml.ts';

export type AzureListing = { readonly prefix: string; readonly after: string | undefined; readonly max: number };

/** Where the answer begins in which a list goes on. `within`: keys before are in it as well. */
type PlaceInList = { readonly marker: string | undefined; readonly within: boolean };

export class AzureLists {
  readonly #requests: AzureRequests;
  /** By prefix and last key. */
  readonly #places = new Map<string, PlaceInList>();

  constructor(requests: AzureRequests) {
    this.#requests = requests;
  }

  /** All of it with the rule's own prefix. */
  async page({ prefix, after, max }: AzureListing, signal: AbortSignal): Promise<BackendPage> {
    const known = after === undefined ? undefined : this.#places.get(place(prefix, after));
    let { marker, within }: PlaceInList = known ?? { marker: undefined, within: after !== undefined };
    const maxresults = String(within && known === undefined ? skippedKeysMax : pageKeysMax);
    const from = Buffer.from(after ?? '');
    for (let asked = 0; asked < listRequestsMax; asked++) {
      const found = await this.#ask({ prefix, marker, maxresults }, signal);
      const all = found.objects.toSorted((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
      const later = after === undefined ? all : all.filter(({ key }) => Buffer.compare(Buffer.from(key), from) > 0);
      if (!within && later.length < all.length)
        throw this.#requests.wrong(
          'unsupported',
          prefix,
          `is listed out of order beyond ${after}: it cannot be read page by page`,
        );
      const objects = later.slice(0, max);
      const cut = objects.length < later.length;
      const last = objects.at(-1)?.key;
      if (last !== undefined) {
        const more = cut || found.marker !== undefined;
        if (more) this.#remember(place(prefix, last), { marker: cut ? marker : found.marker, within: cut });
        return { objects, next: more ? last : undefined };
      }
      if (found.marker === undefined) return { objects: [], next: undefined };
      marker = found.marker;
    }
    throw this.#requests.wrong('unsupported', prefix, `has no end of its list after ${listRequestsMax} requests`);
  }

  async #ask(
    { prefix, marker, maxresults }: { prefix: string; marker: string | undefined; maxresults: string },
    signal: AbortSignal,
  ): Promise<ListedBlobs> {
    const query = { comp: 'list', prefix: prefix === '' ? undefined : prefix, marker, maxresults };
    const answer = await this.#requests.ask({
      method: 'GET',
      doing: 'list',
      key: prefix,
      at: 'container',
      query,
      signal,
    });
    const found = blobsOf(await answer.text());
    if (found === undefined) throw answer.wrong('unavailable', 'answers with no list of blobs');
    return found;
  }

  #remember(key: string, at: PlaceInList): void {
    this.#places.delete(key);
    this.#places.set(key, at);
    const [oldest] = this.#places.keys();
    if (this.#places.size > placesMax && oldest !== undefined) this.#places.delete(oldest);
  }
}

function place(prefix: string, last: string): string {
  return `${prefix}\n${last}`;
}
