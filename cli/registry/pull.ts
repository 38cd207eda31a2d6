/**
 * Pulling from a registry: every byte is hashed, and a transfer that broke off goes on where it stood.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf } from '../../core/digest.ts';
import type { Persistence } from './persistence.ts';
import type { BlobSource, ManifestAnswer, Registry } from './registry.ts';

export type BlobSink = {
  /** Takes the chunk, in order; the next comes when the promise resolves. */
  write(chunk: Uint8Array): Promise<void> | void;
};
export type BlobPull = {
  readonly repo: string;
  readonly digest: Digest;
  /** Known from a descriptor; checked. */
  readonly size?: number | undefined;
  /** Bytes that are here already, to be hashed first. */
  readonly held?: { readonly length: number; readonly chunks: AsyncIterable<Uint8Array> } | undefined;
  readonly sink?: BlobSink | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** The size is known once the first answer came. */
  readonly onSize?: ((size: number) => void) | undefined;
};

/** Bytes that came over the wire. Rejects DIGEST_INVALID where the whole is not the blob. */
export async function pullBlob(source: BlobSource, pull: BlobPull, persistence: Persistence): Promise<number> {
  const hash = createHash(digestAlgorithm(pull.digest));
  if (pull.held !== undefined) for await (const chunk of pull.held.chunks) hash.update(chunk);
  const first = pull.held?.length ?? 0;
  let at = first;
  for (let whole = at > 0 && at === pull.size; !whole; ) {
    try {
      const reply = await source.blob(pull.repo, pull.digest, at, persistence.signal);
      const end = at + Number(reply.headers['content-length'] ?? Number.NaN);
      if (Number.isSafeInteger(end)) pull.onSize?.(end);
      for await (const chunk of reply.body) {
        hash.update(chunk);
        await pull.sink?.write(chunk);
        at += chunk.length;
        pull.onBytes?.(chunk.length);
        persistence.progress();
      }
      whole = true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'RANGE_INVALID' && at > 0) whole = true;
      else await persistence.again(error);
    }
  }
  const found = hash.digest('hex');
  if (found !== digestHex(pull.digest) || (pull.size !== undefined && at !== pull.size)) {
    throw new ApiError('DIGEST_INVALID', `${source.base} gave ${at} bytes with ${found} for ${pull.digest}`);
  }
  return at - first;
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
