/**
 * What an image needs, brought to the origins before anybody pulls it: its manifest is read, and for each blob an origin is
 * asked to have it, the digest's owner first, as a pull would.
 *
 * Rule 1: an index brings the images of all its platforms, one level deep, as at Kraken.
 * Rule 2: an origin that cannot is followed by the next; a blob that nobody has is missing, whoever is asked.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { NamedImage, PushedImage } from '../../core/contracts/kraken/prefetch.ts';
import type { Digest } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { type Descriptor, parseManifest, tooLarge } from '../../core/oci/manifest.ts';
import type { Blocked } from '../../platform/blocks/blocks.ts';
import { heedBlocked } from '../../platform/blocks/giving.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { Origins } from '../../platform/clients/origins.ts';

/** Questions to the origins at a time, of one image. */
const atOnce = 8;
/** A registry may tell of a push a moment before it gives what was pushed: as Kraken asks again. */
const againMs: readonly number[] = [100, 200, 400];

export type PrefetchParts = {
  readonly index: Pick<IndexClient, 'tag' | 'manifest'>;
  readonly origins: Pick<Origins, 'order' | 'read'>;
  /** An image that needs any of it is not brought; default: nothing. */
  readonly blocked?: Blocked | undefined;
  /** Blobs outside of these sizes, bytes, are left where they are. */
  readonly smallest: number;
  readonly largest: number;
};

/** A manifest that is known by its record, or by what told of it. */
type Known = { readonly digest: Digest; readonly mediaType: string; readonly size?: number | undefined };
/** All that is to be there. */
type Wanted = { readonly repo: string; readonly blobs: readonly Pick<Descriptor, 'digest' | 'size'>[] };
type Brought = { readonly here: number; readonly coming: number; readonly skipped: number };

/** Throws MANIFEST_UNKNOWN. */
export async function wantedByTag({ repo, tag }: NamedImage, parts: PrefetchParts, ctx: CallContext): Promise<Wanted> {
  const record = await parts.index.tag(repo, tag, ctx);
  if (record === undefined) throw new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no tag ${tag}`);
  return { repo, blobs: await blobsOf(repo, record, parts, { ctx, deeper: true }) };
}

/** Throws BLOB_UNKNOWN where its manifest does not come. */
export async function wantedByPush(image: PushedImage, parts: PrefetchParts, ctx: CallContext): Promise<Wanted> {
  const { repo } = image;
  for (const waitMs of againMs) {
    try {
      return { repo, blobs: await blobsOf(repo, image, parts, { ctx, deeper: true }) };
    } catch (error) {
      if (!unknown(error)) throw error;
      await sleep(waitMs, undefined, { signal: ctx.signal });
    }
  }
  return { repo, blobs: await blobsOf(repo, image, parts, { ctx, deeper: true }) };
}

/** An origin has, or fetches, each blob. Throws the first failure once all were asked for. */
export async function bring({ repo, blobs }: Wanted, parts: PrefetchParts, ctx: CallContext): Promise<Brought> {
  const { smallest, largest, blocked } = parts;
  heedBlocked(blocked, ...blobs.map(({ digest }) => digest));
  const fitting = blobs.filter(({ size }) => size >= smallest && size <= largest);
  const count = { here: 0, coming: 0 };
  const failures: unknown[] = [];
  const left = fitting.values();
  const worker = async (): Promise<void> => {
    for (const { digest } of left) {
      try {
        count[await bringBlob(repo, digest, parts, ctx)]++;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, fitting.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return { ...count, skipped: blobs.length - fitting.length };
}

async function bringBlob(
  repo: string,
  digest: Digest,
  { origins }: PrefetchParts,
  ctx: CallContext,
): Promise<'here' | 'coming'> {
  let failure: unknown = new ApiError('UNAVAILABLE', 'there are no origins');
  for (const client of origins.order(digest)) {
    try {
      return await client.prefetch({ repo, digest }, ctx);
    } catch (error) {
      ctx.signal.throwIfAborted();
      // It has asked all others, and what lies behind them.
      if (!(error instanceof ApiError) || error.code === 'BLOB_UNKNOWN') throw error;
      failure = error;
    }
  }
  throw failure;
}

type Walk = { readonly ctx: CallContext; readonly deeper: boolean };

async function blobsOf(
  repo: string,
  known: Known,
  parts: PrefetchParts,
  { ctx, deeper }: Walk,
): Promise<Wanted['blobs']> {
  const { digest } = known;
  const bytes = await bytesOf(repo, known, parts, ctx);
  const { blobs, manifests } = parseManifest(bytes, known.mediaType);
  const own = [{ digest, size: bytes.length }, ...blobs];
  if (!deeper) return own;
  for (const child of manifests) {
    try {
      own.push(...(await blobsOf(repo, child, parts, { ctx, deeper: false })));
    } catch (error) {
      // A repository may have an index without all of its images: nobody can pull those either.
      if (!unknown(error)) throw error;
    }
  }
  return [...new Map(own.map((blob) => [blob.digest, blob])).values()];
}

/** From the origins, and so from a backend where only that has it. */
async function bytesOf(
  repo: string,
  { digest, size }: Known,
  { index, origins }: PrefetchParts,
  ctx: CallContext,
): Promise<Uint8Array> {
  const end = size ?? (await index.manifest(repo, digest, ctx))?.size;
  if (end === undefined) throw new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no manifest ${digest}`);
  if (end > manifestBytesMax) throw tooLarge();
  const read: Uint8Array[] = [];
  for await (const chunk of origins.read({ digest, repo }, { start: 0, end }, ctx)) {
    for (const bytes of chunk.bytes) read.push(Buffer.from(bytes));
    chunk.release();
  }
  return Buffer.concat(read);
}

function unknown(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'BLOB_UNKNOWN' || error.code === 'MANIFEST_UNKNOWN');
}
