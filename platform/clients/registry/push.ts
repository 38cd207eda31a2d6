/**
 * Pushing to a registry: streamed, and an upload that broke off goes on where the registry says it stands.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import type { StreamBody } from '../http.ts';
import type { Persistence } from './persistence.ts';
import type { Registry } from './registry.ts';

export type BlobPush = {
  readonly repo: string;
  readonly digest: Digest;
  readonly size: number;
  /** The bytes from offset `from` on; may be asked for again. */
  readonly read: (from: number) => StreamBody;
  /**
   * A registry's word that it has the blob is not enough: who only reads, an agent for one, says so of what the
   * repository was never given. A mount that is accepted holds it there, and one that is refused says why.
   */
  readonly prove?: boolean | undefined;
  /** Negative where an upload has to begin again. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
};

/** Resolves once the registry acknowledged the blob. */
export async function pushBlob(registry: Registry, push: BlobPush, persistence: Persistence): Promise<void> {
  const { signal } = persistence;
  let shown = 0;
  const show = (at: number) => {
    if (at !== shown) push.onBytes?.(at - shown);
    if (at > shown) persistence.progress();
    shown = at;
  };
  let location: string | undefined;
  let refusedAt = -1;
  for (;;) {
    try {
      const there = (await registry.blobSize(push.repo, push.digest, signal)) === push.size;
      if (there && push.prove !== true) return show(push.size);
      const from = there || location === undefined ? undefined : await registry.uploadOffset(location, signal);
      if (from === undefined) location = await registry.beginUpload(push.repo, signal, there ? push.digest : undefined);
      if (location === undefined) return show(push.size);
      const begin = from ?? 0;
      show(begin);
      if (begin < push.size) {
        const body = counted(push.read(begin), begin, show);
        location = await registry.append(location, { from: begin, size: push.size, body }, signal);
      }
      await registry.commit(location, push.digest, signal);
      return show(push.size);
    } catch (error) {
      // An upload that the registry will not continue is left to expire there.
      if (isStale(error)) location = refusedAt === shown ? undefined : location;
      refusedAt = isStale(error) ? shown : -1;
      await persistence.again(isStale(error) ? new ApiError('UNAVAILABLE', error.message) : error);
    }
  }
}

/** The registry lost the upload, or stands elsewhere: ask, and go on from there. */
function isStale(error: unknown): error is ApiError {
  return (
    error instanceof ApiError &&
    (error.code === 'BLOB_UPLOAD_UNKNOWN' || error.code === 'BLOB_UPLOAD_RANGE' || error.code === 'RANGE_INVALID')
  );
}

async function* counted(chunks: StreamBody, from: number, show: (at: number) => void): AsyncGenerator<Uint8Array> {
  let at = from;
  for await (const chunk of chunks) {
    yield chunk;
    at += chunk.length;
    show(at);
  }
}
