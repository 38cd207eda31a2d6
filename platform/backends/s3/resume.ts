/**
 * A write in parts that did not come to its end: found again on the server, with the parts that it has.
 *
 * Rule 1: nobody is believed: a part counts only where its size and its sum are those of our own bytes, which are read
 *         anyway. So a foreign upload of the same key gives nothing, or what we would have sent.
 * Rule 2: lists that never end are read for `listPagesMax` pages.
 * Rule 3: an upload that cannot be found costs bytes and nothing else: what fails here but the caller's end is as if there
 *         were none.
 */

import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type MultipartUpload,
  type Part,
} from '@aws-sdk/client-s3';
import { abortUploadMsMax, listPagesMax, partsMax, uploadsLookedAt } from './limits.ts';
import type { S3Requests } from './requests.ts';

export type FoundPart = {
  readonly size: number;
  readonly etag: string;
  readonly crc32: string | undefined;
};

export type FoundUpload = { readonly id: string; readonly parts: ReadonlyMap<number, FoundPart> };

/** Uploads of this key, that which has most parts first. */
export async function findUploads(requests: S3Requests, key: string, signal: AbortSignal): Promise<FoundUpload[]> {
  try {
    const uploads = await uploadsOf(requests, key, signal);
    const found: FoundUpload[] = [];
    for (const { UploadId: id } of uploads.slice(0, uploadsLookedAt))
      if (id !== undefined) found.push({ id, parts: await partsIn(requests, { key, id }, signal) });
    return found.sort((one, other) => other.parts.size - one.parts.size);
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

/** The newest first. */
async function uploadsOf(requests: S3Requests, key: string, signal: AbortSignal): Promise<MultipartUpload[]> {
  const found: MultipartUpload[] = [];
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (let page = 0; page < listPagesMax; page++) {
    const answer = await requests.ask({ doing: 'list uploads of', key, signal }, (client, options) =>
      client.send(new ListMultipartUploadsCommand({ Bucket: requests.bucket, Prefix: key, ...marker }), options),
    );
    found.push(...(answer.Uploads ?? []).filter(({ Key }) => Key === key));
    const next = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker };
    const further = next.KeyMarker !== marker.KeyMarker || next.UploadIdMarker !== marker.UploadIdMarker;
    if (answer.IsTruncated !== true || next.KeyMarker === undefined || !further) break;
    marker = next;
  }
  return found.sort((one, other) => (other.Initiated?.getTime() ?? 0) - (one.Initiated?.getTime() ?? 0));
}

async function partsIn(
  requests: S3Requests,
  { key, id }: { key: string; id: string },
  signal: AbortSignal,
): Promise<Map<number, FoundPart>> {
  const found = new Map<number, FoundPart>();
  let marker: string | undefined;
  for (let page = 0; page < listPagesMax; page++) {
    const answer = await requests.ask({ doing: 'list parts of', key, signal }, (client, options) =>
      client.send(
        new ListPartsCommand({
          Bucket: requests.bucket,
          Key: key,
          UploadId: id,
          ...(marker !== undefined && { PartNumberMarker: marker }),
        }),
        options,
      ),
    );
    for (const part of answer.Parts ?? []) keep(found, part);
    const next = answer.NextPartNumberMarker;
    // It has to go on: a server that begins again would be asked for ever.
    if (answer.IsTruncated !== true || next === undefined || Number(next) <= Number(marker ?? -1)) break;
    marker = next;
  }
  return found;
}

function keep(found: Map<number, FoundPart>, { PartNumber, Size, ETag, ChecksumCRC32 }: Part): void {
  if (PartNumber === undefined || Size === undefined || ETag === undefined) return;
  if (!Number.isInteger(PartNumber) || PartNumber < 1 || PartNumber > partsMax) return;
  found.set(PartNumber, { size: Size, etag: ETag, crc32: ChecksumCRC32 });
}

/** So that nobody pays for its parts; where that fails, the bucket's own rule for unfinished uploads does it. */
export async function abortUpload(requests: S3Requests, { key, id }: { key: string; id: string }): Promise<void> {
  const asked = { doing: 'abort an upload of', key, signal: AbortSignal.timeout(abortUploadMsMax) };
  await requests
    .ask(asked, (client, options) =>
      client.send(new AbortMultipartUploadCommand({ Bucket: requests.bucket, Key: key, UploadId: id }), options),
    )
    .catch(() => undefined);
}
