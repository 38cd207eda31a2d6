/** Keys of the bucket under a prefix, page by page, in the order of their UTF-8 bytes. */

import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { type BackendPage, pageKeysMax } from '../backend.ts';
import type { S3Requests } from './requests.ts';

export type Listing = { readonly prefix: string; readonly after: string | undefined; readonly max: number };

/** All of it with the rule's own prefix. */
export async function listPage(
  requests: S3Requests,
  { prefix, after, max }: Listing,
  signal: AbortSignal,
): Promise<BackendPage> {
  const answer = await requests.ask({ doing: 'list', key: prefix, signal }, (client, options) =>
    client.send(
      new ListObjectsV2Command({
        Bucket: requests.bucket,
        Prefix: prefix,
        MaxKeys: Math.min(max, pageKeysMax),
        // XML cannot say every character of a key.
        EncodingType: 'url',
        ...(after !== undefined && { StartAfter: after }),
      }),
      options,
    ),
  );
  const encoded = answer.EncodingType === 'url';
  const objects = (answer.Contents ?? []).map(({ Key = '', Size = 0 }) => ({
    key: encoded ? decoded(Key) : Key,
    size: Size,
  }));
  const next = answer.IsTruncated === true ? objects.at(-1)?.key : undefined;
  inOrder(requests, objects, { prefix, after });
  return { objects, next };
}

function decoded(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key;
  }
}

/** Pages go on by the last key: a server with an order of its own, or that begins again, would be read for ever. */
function inOrder(
  requests: S3Requests,
  objects: readonly { readonly key: string }[],
  { prefix, after }: { prefix: string; after: string | undefined },
): void {
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
