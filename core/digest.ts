/**
 * Content digests as OCI writes them: `algorithm:lower-case hex`.
 * Source: OCI image specification 1.1, "Digests". Only registered algorithms are accepted.
 */

export const DIGEST_ALGORITHMS = { sha256: 64, sha512: 128 } as const;
export type DigestAlgorithm = keyof typeof DIGEST_ALGORITHMS;

/** A digest that `parseDigest` has accepted, e.g. `sha256:` and 64 hex digits. */
export type Digest = string & { readonly __brand: 'Digest' };

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
