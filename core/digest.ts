/**
 * Content digests as OCI writes them: `algorithm:lower-case hex`.
 * Source: OCI image specification 1.1, "Digests". Only registered algorithms are accepted.
 */

export const DIGEST_ALGORITHMS = { sha256: 64, sha512: 128 } as const;
export type DigestAlgorithm = keyof typeof DIGEST_ALGORITHMS;

/** A digest that `parseDigest` has accepted, e.g. `sha256:` and 64 hex digits. */
export type Digest = string & { readonly __brand: 'Digest' };

/**
 * A blob as it is asked for: the same digest may live in several repositories, and who may see it, or where it is kept,
 * may differ. It goes to trackers and origins, never to peers. Undefined: nobody named a repository, as for a blob that is
 * asked for by its digest alone, or by a caller of a release before.
 */
export type BlobIn = { readonly digest: Digest; readonly repo: string | undefined };

/** For whoever names no repository. */
export function byDigest(digest: Digest): BlobIn {
  return { digest, repo: undefined };
}

/** The digest in `text`, or undefined where it is malformed or of an algorithm we do not know. */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  if (!isAlgorithm(algorithm)) return undefined;
  const hex = text.slice(colon + 1);
  if (hex.length !== DIGEST_ALGORITHMS[algorithm]) return undefined;
  return /^[0-9a-f]+$/.test(hex) ? (text as Digest) : undefined;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of `hex` under `algorithm`; both come from a hash that we computed ourselves. */
export function digestOf(algorithm: DigestAlgorithm, hex: string): Digest {
  return `${algorithm}:${hex}` as Digest;
}

function isAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(DIGEST_ALGORITHMS, text);
}
