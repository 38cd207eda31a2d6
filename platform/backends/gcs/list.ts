/**
 * Keys of the bucket under a prefix, page by page, in the order of their UTF-8 bytes, which is the server's own.
 *
 * Rule: a page without keys that is not the last is passed over: whoever lists would take it for the end.
 */

import { type BackendPage, pageKeysMax } from '../backend.ts';
import { emptyPagesMax } from './limits.ts';
import { gcsPageOf } from './object.ts';
import type { GcsRequests } from './requests.ts';

export type GcsListing = { readonly prefix: string; readonly after: string | undefined; readonly max: number };

/** All of it with the rule's own prefix. */
export async function listGcs(requests: GcsRequests, listing: GcsListing, signal: AbortSignal): Promise<BackendPage> {
  const { prefix, after, max } = listing;
  // What it begins at is in its answer, and not in ours.
  const maxResults = String(Math.min(max + (after === undefined ? 0 : 1), pageKeysMax));
  let token: string | undefined;
  for (let empty = 0; empty < emptyPagesMax; empty++) {
    const answer = await requests.ask({
      ...{ method: 'GET', doing: 'list', key: prefix, at: 'list', signal },
      query: { prefix, startOffset: after, maxResults, pageToken: token, fields: 'items(name,size),nextPageToken' },
    });
    const page = gcsPageOf(await answer.json());
    if (page === undefined) throw answer.wrong('unavailable', 'answers with no list of objects');
    const objects = page.objects.filter(({ key }) => key !== after).slice(0, max);
    const more = page.token !== undefined || objects.length < page.objects.length - 1;
    if (objects.length > 0 || !more) return { objects, next: more ? objects.at(-1)?.key : undefined };
    token = page.token;
  }
  throw requests.wrong('unsupported', prefix, 'is listed by pages without keys that do not end');
}
