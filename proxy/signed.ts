/**
 * Before a tag is set: whether what it is to name is signed, as the policy of its repository asks. Loaded only where there is
 * a policy. What is pushed by digest is let through, so that it can be signed.
 */

import type { BlobIn } from '../core/digest.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { Origins } from '../platform/clients/origins.ts';
import type { Time } from '../platform/net/clock.ts';
import type { KeyedPolicy } from '../platform/signatures/config.ts';
import { SignatureGate } from '../platform/signatures/gate.ts';
import { wholeOf } from '../platform/signatures/whole.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

const remedy =
  'Push it by digest, or into a repository that no policy is for, sign it (cosign sign --key KEY REPOSITORY@DIGEST), then set the tag: docs/signatures.md';

export type SignedTagsParts = {
  readonly policies: readonly KeyedPolicy[];
  readonly index: Pick<IndexClient, 'tag' | 'referrers' | 'manifest' | 'blob'>;
  readonly origins: Pick<Origins, 'read'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Time;
};

/** Throws StartError where a key cannot be used. */
export function signedTags({ index, origins, ...rest }: SignedTagsParts): SignatureGate {
  const bytes = (blob: BlobIn, max: number, ctx: CallContext): Promise<Uint8Array | undefined> =>
    wholeOf(blob.digest, max, async () => {
      const { digest, repo = '' } = blob;
      const held = (await index.manifest(repo, digest, ctx)) ?? (await index.blob(repo, digest, ctx));
      return held && { size: held.size, open: (start, end) => origins.read(blob, { start, end }, ctx) };
    });
  const source = { tag: index.tag.bind(index), referrers: index.referrers.bind(index), bytes };
  return new SignatureGate({ ...rest, source, remedy });
}
