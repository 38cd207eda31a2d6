/**
 * Pulling from a registry: every byte is hashed, and a transfer that broke off goes on where it stood.
 *
 * Rule: bytes that were here before (`held`) may be of anything. Their end is compared with the blob's in the first
 *       answer, and all of them by the digest; where they differ, it is NotOfThisBlob and nobody's fault but theirs.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../../../core/contracts/errors.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf } from '../../../core/digest.ts';
import type { Reply } from '../http.ts';
import type { Persistence } from './persistence.ts';
import type { BlobSource, ManifestAnswer, Registry } from './registry.ts';

export type BlobSink = {
  /** Takes the chunk, in order; the next comes when the promise resolves. */
  write(chunk: Uint8Array): Promise<void> | void;
};
/** Bytes that are here already. They are hashed first; `tail` is their end again. */
export type Held = {
  readonly length: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly tail: Uint8Array;
};
export type BlobPull = {
  readonly repo: string;
  readonly digest: Digest;
  /** Known from a descriptor; checked. */
  readonly size?: number | undefined;
  readonly held?: Held | undefined;
  readonly sink?: BlobSink | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
};

/** What was held is no beginning of the blob. */
export class NotOfThisBlob extends Error {
  override readonly name = 'NotOfThisBlob';
}

/** Bytes that came over the wire. Rejects DIGEST_INVALID where the whole is not the blob. */
export async function pullBlob(source: BlobSource, pull: BlobPull, persistence: Persistence): Promise<number> {
  const hash = createHash(digestAlgorithm(pull.digest));
  if (pull.held !== undefined) for await (const chunk of pull.held.chunks) hash.update(chunk);
  const first = pull.held?.length ?? 0;
  let at = first;
  for (let whole = at > 0 && at === pull.size; !whole; ) {
    const tail = pull.held !== undefined && at === first ? pull.held.tail : nothing;
    try {
      const reply = await source.blob(pull.repo, pull.digest, at - tail.length, persistence.signal);
      for await (const chunk of after(tail, reply.body)) {
        hash.update(chunk);
        await pull.sink?.write(chunk);
        at += chunk.length;
        pull.onBytes?.(chunk.length);
        persistence.progress();
      }
      whole = true;
    } catch (error) {
      if (tail.length > 0 && isPastTheEnd(error)) throw new NotOfThisBlob();
      if (isPastTheEnd(error) && at > 0) whole = true;
      else await persistence.again(error);
    }
  }
  const found = hash.digest('hex');
  if (found !== digestHex(pull.digest) || (pull.size !== undefined && at !== pull.size)) {
    if (first > 0) throw new NotOfThisBlob();
    throw new ApiError('DIGEST_INVALID', `${source.base} gave ${at} bytes with ${found} for ${pull.digest}`);
  }
  return at - first;
}

const nothing = new Uint8Array();

function isPastTheEnd(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'RANGE_INVALID';
}

/** What follows `tail` in `body`, which begins with it. Throws NotOfThisBlob where it does not. */
async function* after(tail: Uint8Array, body: Reply['body']): AsyncGenerator<Uint8Array> {
  let compared = 0;
  for await (const chunk of body) {
    const same = Math.min(chunk.length, tail.length - compared);
    if (Buffer.compare(chunk.subarray(0, same), tail.subarray(compared, compared + same)) !== 0)
      throw new NotOfThisBlob();
    compared += same;
    if (same < chunk.length) yield chunk.subarray(same);
  }
  if (compared < tail.length) throw new NotOfThisBlob();
}

/** The manifest, its bytes checked against the digest that was asked for, or that the registry names. */
export async function pullManifest(
  registry: Registry,
  at: { readonly repo: string; readonly reference: string },
  persistence: Persistence,
): Promise<ManifestAnswer & { readonly digest: Digest }> {
  const answer = await persistence.run(() => registry.manifest(at.repo, at.reference, persistence.signal));
  const asked = at.reference.includes(':') ? (at.reference as Digest) : answer.digest;
  const algorithm = asked === undefined ? 'sha256' : digestAlgorithm(asked);
  const found = digestOf(algorithm, createHash(algorithm).update(answer.bytes).digest('hex'));
  if (asked !== undefined && asked !== found) {
    throw new ApiError('DIGEST_INVALID', `${registry.base} gave a manifest with ${found} for ${asked}`);
  }
  return { ...answer, digest: found };
}
