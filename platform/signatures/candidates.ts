/**
 * What is signed of a manifest, wherever cosign keeps it: under the tag `sha256-HEX.sig`, and among the referrers, of both
 * forms that it has.
 *
 * Rule 1: what is asked is bounded: so many signatures of each way, so many bytes each. What is left out is told.
 * Rule 2: what cannot be read is no signature; only who does not answer (UNAVAILABLE) ends the search.
 */

import type { ReferrerList, TagRecord } from '../../core/contracts/index-api.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import {
  type Claim,
  claimOfPayload,
  claimOfStatement,
  fieldsIn,
  jsonOf,
  signedOfEnvelope,
  statementType,
} from '../../core/signatures/claim.ts';
import { signatureBytesMax, signaturesMax } from '../../core/signatures/limits.ts';
import {
  REFERRER_TYPES,
  SIGNATURE_TYPES,
  type SignatureLayer,
  signatureLayers,
  signatureTag,
} from '../../core/signatures/manifest.ts';
import type { CallContext } from '../clients/context.ts';
import type { ReferrersOf } from '../tags/store.ts';

/** Where signatures are read. Absent is undefined; who does not answer throws UNAVAILABLE. */
export type SignatureSource = {
  tag(repo: string, tag: string, ctx: CallContext): Promise<TagRecord | undefined>;
  referrers(repo: string, digest: Digest, of: ReferrersOf, ctx: CallContext): Promise<ReferrerList>;
  /** All bytes, right by their digest; undefined: not there, wrong, or more than `max`. */
  bytes(blob: BlobIn, max: number, ctx: CallContext): Promise<Uint8Array | undefined>;
};

export type MadeSignature = {
  readonly claim: Claim;
  /** What was signed, and by what. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
};
/** A signature, or why something is none. */
export type FoundSignature = MadeSignature | string;

type Subject = { readonly repo: string; readonly digest: Digest };

export async function* signaturesOf(
  source: SignatureSource,
  { repo, digest }: Subject,
  ctx: CallContext,
): AsyncGenerator<FoundSignature, void, undefined> {
  const tag = signatureTag(digest);
  const record = tag === undefined ? undefined : await source.tag(repo, tag, ctx);
  if (record !== undefined) yield* inManifest(source, { repo, digest: record.digest }, ctx);
  for (const artifactType of REFERRER_TYPES) {
    const { manifests, more } = await source.referrers(repo, digest, { artifactType, n: signaturesMax }, ctx);
    for (const referrer of manifests.slice(0, signaturesMax))
      yield* inManifest(source, { repo, digest: referrer.digest }, ctx);
    if (more === true)
      yield `of more than ${signaturesMax} referrers the first were looked at: delete what is not needed`;
  }
}

async function* inManifest(
  source: SignatureSource,
  { repo, digest }: Subject,
  ctx: CallContext,
): AsyncGenerator<FoundSignature, void, undefined> {
  const bytes = await source.bytes({ digest, repo }, manifestBytesMax, ctx);
  if (bytes === undefined) return yield `the signatures in ${digest} cannot be read`;
  const layers = signatureLayers(bytes);
  if (layers.length > signaturesMax)
    yield `of ${layers.length} signatures the first ${signaturesMax} were looked at: delete what is not needed`;
  for (const layer of layers.slice(0, signaturesMax)) yield await inLayer(source, layer, { repo, ctx });
}

async function inLayer(
  source: SignatureSource,
  { mediaType, digest, size, signature }: SignatureLayer,
  { repo, ctx }: { readonly repo: string; readonly ctx: CallContext },
): Promise<FoundSignature> {
  const bundled = mediaType === SIGNATURE_TYPES.bundle;
  if (!bundled && (mediaType !== SIGNATURE_TYPES.simple || signature === undefined)) return `${digest} is no signature`;
  const bytes = size > signatureBytesMax ? undefined : await source.bytes({ digest, repo }, signatureBytesMax, ctx);
  if (bytes === undefined)
    return `${digest} cannot be read, or is larger than a signature (${signatureBytesMax} bytes)`;
  const found = bundled ? inBundle(bytes) : inPayload(bytes, signature ?? '');
  return found ?? `${digest} is not written as cosign writes signatures`;
}

function inPayload(message: Uint8Array, signature: string): MadeSignature | undefined {
  const claim = claimOfPayload(message);
  return claim && { claim, message, signature: Buffer.from(signature, 'base64') };
}

/** Of several signatures in an envelope, which no tool makes, the first. */
function inBundle(bytes: Uint8Array): MadeSignature | undefined {
  const envelope = fieldsIn(fieldsIn(jsonOf(bytes))?.['dsseEnvelope']);
  const { payload, payloadType, signatures } = envelope ?? {};
  const first = Array.isArray(signatures) ? fieldsIn(signatures[0])?.['sig'] : undefined;
  if (typeof payload !== 'string' || payloadType !== statementType || typeof first !== 'string') return undefined;
  const statement = Buffer.from(payload, 'base64');
  const claim = claimOfStatement(statement);
  return claim && { claim, message: signedOfEnvelope(payloadType, statement), signature: Buffer.from(first, 'base64') };
}
