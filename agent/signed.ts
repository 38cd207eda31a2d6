/**
 * The agent's registry where images must be signed: what a runtime could take for a manifest is given once it is known to
 * be signed as the policy of its repository asks. Loaded only where there is a policy.
 *
 * Rule 1: by tag, by digest, and as a blob: runtimes that get no manifest ask for a blob of its digest.
 * Rule 2: nothing is told before that is known, not even in answer to a HEAD.
 */

import type { BlobIn } from '../core/digest.ts';
import { manifestBytesMax } from '../core/oci/limits.ts';
import { parseManifest } from '../core/oci/manifest.ts';
import type { OciRequest } from '../core/oci/request.ts';
import { mayBeManifest } from '../core/signatures/manifest.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { bytesOf, type Content } from '../platform/http/content.ts';
import type { Time } from '../platform/net/clock.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';
import type { KeyedPolicy } from '../platform/signatures/config.ts';
import { SignatureGate } from '../platform/signatures/gate.ts';
import { wholeOf } from '../platform/signatures/whole.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import type { Pulls } from './pull.ts';
import type { IndexReads } from './registry.ts';

const remedy =
  'Have it signed by one of them: cosign sign --key KEY REPOSITORY@DIGEST at the proxy, and pull again (docs/signatures.md)';
/** Of a blob, to see whether it may be JSON: white space before it is unusual. */
const headBytes = 256;

export type SignedParts = {
  readonly served: RegistryHandler;
  readonly policies: readonly KeyedPolicy[];
  readonly pulls: Pick<Pulls, 'open' | 'sizeOf'>;
  readonly index: Pick<IndexReads, 'tag' | 'referrers'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Time;
};

export class SignedRegistry implements RegistryHandler {
  readonly #served: RegistryHandler;
  readonly #gate: SignatureGate;

  /** Throws StartError where a key cannot be used. */
  constructor({ served, pulls, index, ...rest }: SignedParts) {
    this.#served = served;
    const source = {
      tag: index.tag.bind(index),
      referrers: index.referrers.bind(index),
      bytes: (blob: BlobIn, max: number, ctx: CallContext) =>
        wholeOf(blob.digest, max, async () => {
          // What is too large is not pulled: its length costs a question.
          const size = await pulls.sizeOf(blob, ctx);
          return size === undefined || size > max ? undefined : await pulls.open(blob, ctx);
        }),
    };
    this.#gate = new SignatureGate({ ...rest, source, remedy });
  }

  async handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    const reply = await this.#served.handle(request, context);
    if (reply.kind !== 'content') return reply;
    const { call } = context;
    const { content } = reply;
    if (request.kind === 'manifestRead') {
      const { repo, reference } = request;
      const tags = reference.kind === 'tag' ? [reference.tag] : [];
      await this.#gate.heed({ repo, digest: content.digest, tags, mediaType: content.mediaType }, call);
    }
    if (request.kind === 'blobRead' && !request.head && this.#gate.concerns(request.repo))
      await this.#heedBlob(request.repo, content, call);
    return reply;
  }

  /** It is given from where it lies, so that a slow client holds nothing in memory. */
  async #heedBlob(repo: string, content: Content, call: CallContext): Promise<void> {
    if (content.size > manifestBytesMax || !(await mayBeJson(content))) return;
    const bytes = await bytesOf(content);
    if (!mayBeManifest(bytes)) return;
    await this.#gate.heed({ repo, digest: content.digest, bytes, mediaType: typeOf(bytes) }, call);
  }
}

/** Layers are not. */
async function mayBeJson(content: Content): Promise<boolean> {
  const head: Uint8Array[] = [];
  for await (const chunk of content.open(0, Math.min(content.size, headBytes))) {
    for (const part of chunk.bytes) head.push(Uint8Array.from(part));
    chunk.release();
  }
  // A byte order mark may stand before it.
  return /^(\u{feff}|\s)*(\{|$)/u.test(Buffer.concat(head).toString('utf8'));
}

function typeOf(bytes: Uint8Array): string | undefined {
  try {
    return parseManifest(bytes, undefined).mediaType;
  } catch {
    return undefined;
  }
}
