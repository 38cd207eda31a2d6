/** Limits of what is read to know whether an image is signed, each stated once. */

/** Of one manifest, by each way of keeping them: a signer has one, a team a few; whoever may push could add thousands. */
export const signaturesMax = 64;
/** cosign signs about 250 bytes, and a bundle is about 5 KB. */
export const signatureBytesMax = 128 * 1024;
/** Attestations and lists of parts, which are given to clients beside signatures: larger ones are had at a proxy. */
export const evidenceBytesMax = 1024 * 1024;
/** Keys of one policy: each signature is tried with each of them. */
export const policyKeysMax = 16;
export const policiesMax = 64;
