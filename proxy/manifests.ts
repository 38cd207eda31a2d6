/**
 * Manifests: push, read, delete.
 *
 * Rule 1: a manifest's bytes are synced on the origins before the index knows it, and the index sets
 *         tags and links in one transaction: a tag never names what cannot be read.
 * Rule 2: whoever writes or reads a tag is told which write it is at, where the index says so. A write that another cluster
 *         made (`as`) is kept as it was made, or not at all where a later one is here (receiving.ts).
 * Rule 3: where a policy asks for signatures, a tag is set to nothing that has none (signed.ts), and nothing is stored.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../core/contracts/errors.ts';
import type { ManifestPut, ManifestRecord, TagRecord, TagVersion } from '../core/contracts/index-api.ts';
import { REPLICATION_HEADERS } from '../core/contracts/replicate/headers.ts';
import { type Digest, digestAlgorithm, digestOf } from '../core/digest.ts';
import { manifestBytesMax } from '../core/oci/limits.ts';
import { parseManifest } from '../core/oci/manifest.ts';
import { type Reference, referenceText } from '../core/oci/name.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { OciRequest } from '../core/oci/request.ts';
import type { Blocked } from '../platform/blocks/blocks.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { linkProved, prove } from '../platform/clients/copies.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { Origins } from '../platform/clients/origins.ts';
import type { OciContext, OciReply } from '../platform/registry/reply.ts';
import type { SignatureGate } from '../platform/signatures/gate.ts';

export type ManifestParts = {
  readonly index: Pick<IndexClient, 'tag' | 'deleteTag' | 'manifest' | 'putManifest' | 'deleteManifest'>;
  readonly origins: Origins;
  /** What a tag may be set to; absent: to whatever is pushed. */
  readonly signed?: Pick<SignatureGate, 'heed'> | undefined;
  /** What is neither given nor taken; absent: nothing. */
  readonly blocked?: Blocked | undefined;
};

type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

/** How often a manifest's bytes are stored before its push fails: the origins may have been about to remove them. */
const storesMax = 3;

export class Manifests {
  readonly #index: ManifestParts['index'];
  readonly #origins: Origins;
  readonly #signed: ManifestParts['signed'];
  readonly #blocked: Blocked | undefined;

  constructor({ index, origins, signed, blocked }: ManifestParts) {
    this.#index = index;
    this.#origins = origins;
    this.#signed = signed;
    this.#blocked = blocked;
  }

  async read(request: Request<'manifestRead'>, context: OciContext): Promise<OciReply> {
    const { repo, reference, head } = request;
    const ctx = context.call;
    const record = await this.#find(repo, reference, ctx);
    if (record === undefined) throw unknown(repo, reference);
    await this.#heed([record.digest]);
    // Clients ask by digest whether a push can be skipped: the bytes must be there, not only the record.
    if (head && reference.kind === 'digest' && !(await this.#origins.there({ digest: record.digest, repo }, ctx))) {
      throw unknown(repo, reference);
    }
    // crane asks so, also by tag, and sends no layer of what it finds.
    if (head && (await this.#lost(repo, record, ctx))) throw unknown(repo, reference);
    const { digest, mediaType, size } = record;
    const headers = versionHeader('version' in record ? record.version : undefined);
    const open = (start: number, end: number) => this.#origins.read({ digest, repo }, { start, end }, ctx);
    return { kind: 'content', content: { digest, mediaType, size, ranges: false, open }, headers };
  }

  async put(request: Request<'manifestPut'>, context: OciContext, as?: TagVersion): Promise<OciReply> {
    const { repo, reference, tags } = request;
    const ctx = context.call;
    const bytes = await context.body.whole(manifestBytesMax);
    const manifest = parseManifest(bytes, context.header('content-type'));
    const digest = digestOfBytes(bytes, reference);
    if (tags.length > 0) await this.#signed?.heed({ repo, digest, tags, bytes }, ctx);
    const put = {
      mediaType: manifest.mediaType,
      size: bytes.length,
      tags,
      blobs: manifest.blobs.map((blob) => blob.digest),
      manifests: manifest.manifests.map((entry) => entry.digest),
      subject: manifest.subject?.digest,
      artifactType: manifest.artifactType,
      annotations: manifest.annotations,
      ...(as === undefined ? {} : { as }),
    };
    await this.#heed([digest, ...put.blobs, ...put.manifests]);
    const stands = await this.#link(repo, { digest, bytes, put }, ctx);
    const headers = {
      ...versionHeader(stands),
      location: OCI_PATHS.manifest(repo, digest),
      'docker-content-digest': digest,
      ...(put.subject === undefined ? {} : { 'oci-subject': put.subject }),
      ...(reference.kind === 'digest' && tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {}),
    };
    return { kind: 'empty', status: 201, headers };
  }

  /** Throws DENIED where one of them is blocked. */
  async #heed(digests: readonly Digest[]): Promise<void> {
    if (this.#blocked === undefined || this.#blocked.list.size === 0) return;
    const { heedBlocked } = await import('../platform/blocks/giving.ts');
    heedBlocked(this.#blocked, ...digests);
  }

  /** The bytes are at hand: where the origins lost them on the way they get them again. */
  async #link(
    repo: string,
    { digest, bytes, put }: { digest: Digest; bytes: Uint8Array; put: ManifestPut },
    ctx: CallContext,
  ): Promise<TagVersion | undefined> {
    let stands: TagVersion | undefined;
    for (let turn = 0; turn < storesMax; turn++) {
      await this.#origins.store({ digest, repo }, bytes, ctx);
      const linked = await linkProved(
        async (proof) => {
          ({ version: stands } = await this.#index.putManifest(repo, digest, { ...put, proof }, ctx));
        },
        () => prove(this.#origins, { digest, repo }, ctx),
      );
      if (linked) return stands;
    }
    throw new ApiError('UNAVAILABLE', `the origins do not keep manifest ${digest}: try again`);
  }

  async remove(request: Request<'manifestDelete'>, context: OciContext, as?: TagVersion): Promise<OciReply> {
    const { repo, reference } = request;
    const ctx = context.call;
    if (reference.kind === 'tag') {
      const deleted = await this.#index.deleteTag(repo, reference.tag, ctx, as && { as });
      if (deleted === undefined) throw unknown(repo, reference);
      return { kind: 'empty', status: 202, headers: versionHeader(deleted.version) };
    }
    if (!(await this.#index.deleteManifest(repo, reference.digest, ctx, as))) throw unknown(repo, reference);
    return { kind: 'empty', status: 202 };
  }

  /** Whether every origin says that it cannot serve some blob of the manifest whole. Who cannot be asked proves nothing. */
  async #lost(repo: string, { digest, mediaType, size }: ManifestRecord, ctx: CallContext): Promise<boolean> {
    try {
      const parts: Uint8Array[] = [];
      for await (const chunk of this.#origins.read({ digest, repo }, { start: 0, end: size }, ctx)) {
        for (const bytes of chunk.bytes) parts.push(Buffer.from(bytes));
        chunk.release();
      }
      const { blobs } = parseManifest(Buffer.concat(parts), mediaType);
      const there = await Promise.all(blobs.map((blob) => this.#origins.there({ digest: blob.digest, repo }, ctx)));
      return there.includes(false);
    } catch (error) {
      ctx.signal.throwIfAborted();
      if (!(error instanceof ApiError)) throw error;
      return error.code === 'BLOB_UNKNOWN';
    }
  }

  #find(repo: string, reference: Reference, ctx: CallContext): Promise<ManifestRecord | TagRecord | undefined> {
    return reference.kind === 'tag'
      ? this.#index.tag(repo, reference.tag, ctx)
      : this.#index.manifest(repo, reference.digest, ctx);
  }
}

/** The digest of the bytes, under the reference's algorithm; DIGEST_INVALID where the reference is another. */
function digestOfBytes(bytes: Uint8Array, reference: Reference): Digest {
  const algorithm = reference.kind === 'digest' ? digestAlgorithm(reference.digest) : 'sha256';
  const digest = digestOf(algorithm, createHash(algorithm).update(bytes).digest('hex'));
  if (reference.kind === 'tag' || reference.digest === digest) return digest;
  throw new ApiError('DIGEST_INVALID', `the manifest's digest is ${digest}, not ${reference.digest}`);
}

function versionHeader(version: TagVersion | undefined): Readonly<Record<string, string>> {
  return version === undefined ? {} : { [REPLICATION_HEADERS.version]: version };
}

function unknown(repo: string, reference: Reference): ApiError {
  const text = referenceText(reference);
  return new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no manifest ${text}`, { reference: text });
}
