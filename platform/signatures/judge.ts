/**
 * Whether a manifest is signed as a policy asks.
 *
 * Rule 1: a signature counts if one of the keys made it, of this digest, and for this repository where it names one.
 * Rule 2: what clients need to look for themselves, signatures and attestations, is not signed, and is told by its
 *   content: never by its tag, which anybody may choose. It is nothing that a runtime could unpack.
 */

import { verify } from 'node:crypto';
import { promisify } from 'node:util';
import type { Digest } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { fieldsIn, jsonOf } from '../../core/signatures/claim.ts';
import { evidenceBytesMax, signaturesMax } from '../../core/signatures/limits.ts';
import { evidenceLayers } from '../../core/signatures/manifest.ts';
import { foreign, onlyTagOf, type SignaturePolicy } from '../../core/signatures/policy.ts';
import type { CallContext } from '../clients/context.ts';
import { type MadeSignature, type SignatureSource, signaturesOf } from './candidates.ts';
import { verifiesPrehashed } from './ed25519ph.ts';
import type { TrustedKey } from './keys.ts';

const verified = promisify(verify);
/** Reasons that a refusal tells. */
const reasonsMax = 5;

export type PolicyTrust = { readonly policy: SignaturePolicy; readonly keys: readonly TrustedKey[] };
/** `bytes`: of the manifest, where the source may not have it yet. */
export type Judged = { readonly repo: string; readonly digest: Digest; readonly bytes?: Uint8Array | undefined };
export type SignedVerdict =
  /** `tags`: the only ones that it is signed for; undefined: whatever tag. */
  | { readonly signed: true; readonly tags: ReadonlySet<string> | undefined }
  | { readonly signed: false; readonly reason: 'missing' | 'wrong'; readonly why: readonly string[] };

/** Throws UNAVAILABLE where somebody who is needed does not answer. */
export async function judge(
  source: SignatureSource,
  trust: PolicyTrust,
  judged: Judged,
  ctx: CallContext,
): Promise<SignedVerdict> {
  const why = new Set<string>();
  const tags = new Set<string>();
  for await (const found of signaturesOf(source, judged, ctx)) {
    const wrong = typeof found === 'string' ? found : await wrongWith(found, trust, judged);
    if (wrong !== undefined) {
      if (why.size < reasonsMax) why.add(wrong);
    } else {
      const tag = onlyTagOf(trust.policy, (found as MadeSignature).claim);
      if (tag === undefined) return { signed: true, tags: undefined };
      tags.add(tag);
    }
  }
  if (tags.size > 0) return { signed: true, tags };
  if (await isEvidence(source, judged, ctx)) return { signed: true, tags: undefined };
  return { signed: false, reason: why.size === 0 ? 'missing' : 'wrong', why: [...why] };
}

async function wrongWith(
  found: MadeSignature,
  trust: PolicyTrust,
  { repo, digest }: Judged,
): Promise<string | undefined> {
  const { claim } = found;
  if (!claim.digests.includes(digest)) return 'a signature is of another manifest';
  for (const key of trust.keys)
    if (await made(found, key)) {
      const named = foreign(trust.policy, claim, repo);
      return named && `a signature by one of the keys is for the repository ${named.slice(0, 255)} (\`identity\`)`;
    }
  return 'a signature is by another key, or was altered';
}

/** Whether it was made with the key. */
async function made({ message, signature }: MadeSignature, { key, hashes }: TrustedKey): Promise<boolean> {
  for (const hash of hashes) if (await verified(hash, message, key, signature).catch(() => false)) return true;
  return key.asymmetricKeyType === 'ed25519' && verifiesPrehashed(message, key, signature);
}

async function isEvidence(
  source: SignatureSource,
  { repo, digest, bytes }: Judged,
  ctx: CallContext,
): Promise<boolean> {
  const manifest = bytes ?? (await source.bytes({ digest, repo }, manifestBytesMax, ctx));
  const layers = manifest && evidenceLayers(manifest);
  if (layers === undefined || layers.length > signaturesMax) return false;
  const sizes = new Map(layers.map((layer) => [layer.digest, layer.size]));
  for (const [layer, size] of sizes) {
    if (size > evidenceBytesMax) return false;
    const found = await source.bytes({ digest: layer, repo }, evidenceBytesMax, ctx);
    if (found === undefined || fieldsIn(jsonOf(found)) === undefined || mayBeTar(found)) return false;
  }
  return true;
}

const tarBlock = 512;
const tarSumAt = 148;
const tarSumLength = 8;

/** JSON may be a tar archive as well: one whose first header has the right sum. */
function mayBeTar(bytes: Uint8Array): boolean {
  if (bytes.length < tarBlock) return false;
  const told = Number.parseInt(Buffer.from(bytes.subarray(tarSumAt, tarSumAt + tarSumLength)).toString('latin1'), 8);
  let [sum, signed] = [0, 0];
  for (const [i, byte] of bytes.subarray(0, tarBlock).entries()) {
    const counted = i >= tarSumAt && i < tarSumAt + tarSumLength ? 0x20 : byte;
    sum += counted;
    // Some tools of old took bytes as signed.
    signed += counted > 127 ? counted - 256 : counted;
  }
  return told === sum || told === signed;
}
