/**
 * Keys of the bucket under a prefix, page by page, in the order of their UTF-8 bytes.
 *
 * Rule 1: a page without keys that is not the last is passed over: whoever lists would take it for the end.
 * Rule 2: what says nothing that a list says is none, and no empty one: the SDK takes any XML for a list, and a page of HTML.
 */

import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { type BackendPage, pageKeysMax } from '../backend.ts';
import { listPagesMax } from './limits.ts';
import type { S3Requests } from './requests.ts';

export type Listing = { readonly prefix: string; readonly after: string | undefined; readonly max: number };

/** All of it with the rule's own prefix. */
export async function listPage(requests: S3Requests, listing: Listing, signal: AbortSignal): Promise<BackendPage> {
  let token: string | undefined;
  for (let empty = 0; empty < listPagesMax; empty++) {
    const answer = await ask(requests, listing, { token, signal });
    if (!isList(answer)) throw requests.noS3('list', 'answers 200 with what is no list of S3');
    const encoded = answer.EncodingType === 'url';
    const objects = (answer.Contents ?? []).map(({ Key = '', Size = 0 }) => ({
      key: encoded ? decoded(Key) : Key,
      size: Size,
    }));
    inOrder(requests, objects, listing);
    if (objects.length > 0 || answer.IsTruncated !== true)
      return { objects, next: answer.IsTruncated === true ? objects.at(-1)?.key : undefined };
    token = answer.NextContinuationToken;
    if (token === undefined) break;
  }
  throw requests.wrong(
    'unsupported',
    listing.prefix,
    'is listed by pages without keys that do not end: this server cannot be read page by page',
  );
}

async function ask(
  requests: S3Requests,
  { prefix, after, max }: Listing,
  { token, signal }: { readonly token: string | undefined; readonly signal: AbortSignal },
): Promise<ListObjectsV2CommandOutput> {
  return await requests.ask({ doing: 'list', key: prefix, signal }, (client, options) =>
    client.send(
      new ListObjectsV2Command({
        Bucket: requests.bucket,
        Prefix: prefix,
        MaxKeys: Math.min(max, pageKeysMax),
        // XML cannot say every character of a key.
        EncodingType: 'url',
        ...(after !== undefined && { StartAfter: after }),
        ...(token !== undefined && { ContinuationToken: token }),
      }),
      options,
    ),
  );
}

function isList({ Name, Prefix, KeyCount, MaxKeys, IsTruncated, Contents }: ListObjectsV2CommandOutput): boolean {
  return [Name, Prefix, KeyCount, MaxKeys, IsTruncated, Contents].some((said) => said !== undefined);
}

function decoded(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key;
  }
}

/** Pages go on by the last key: a server with an order of its own, or that begins again, would be read for ever. */
function inOrder(requests: S3Requests, objects: readonly { readonly key: string }[], { prefix, after }: Listing): void {
  let last = Buffer.from(after ?? '');
  for (const { key } of objects) {
    const bytes = Buffer.from(key);
    if (Buffer.compare(bytes, last) <= 0 || !key.startsWith(prefix))
      throw requests.wrong(
        'unsupported',
        prefix,
        `is listed out of order, ${key} after ${last}: this server cannot be read page by page`,
      );
    last = bytes;
  }
}
