/**
 * What a backend holds of a repository: tags, manifests and blobs' links, by whomever they were written.
 *
 * Rule 1: nothing is believed: a manifest counts if its bytes are those of its digest and it can be parsed.
 * Rule 2: `absent` says that the backend was asked and has not got it. What fails throws BackendError; what is there and
 *   cannot be used is `broken`, with what is wrong and what to do.
 */

import { createHash } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import type { TagVersion } from '../../core/contracts/index-api.ts';
import { type Digest, digestAlgorithm, digestHex } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { parseManifest } from '../../core/oci/manifest.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { Linked } from '../../platform/backends/links.ts';
import type { AdoptedManifest } from '../../platform/tags/outbox.ts';
import { unversioned } from '../../platform/tags/versions.ts';
import type { ListedSizes } from './listed.ts';
import { readListed, readSmall, type SmallAt } from './objects.ts';
import { type LinkRecord, linkOf, recordBytesMax, recordOf } from './records.ts';

type Absent = { readonly kind: 'absent' };
/** `wrong`: other bytes came than are said to be there, which another read may show to be right. */
export type Broken = { readonly kind: 'broken'; readonly why: string; readonly wrong?: boolean };
type Deleted = { readonly kind: 'deleted'; readonly version: TagVersion };
export type TagFound =
  | Absent
  | Broken
  | Deleted
  | { readonly kind: 'tag'; readonly digest: Digest; readonly version: TagVersion };
export type ManifestFound =
  | Absent
  | Broken
  | Deleted
  | { readonly kind: 'manifest'; readonly manifest: AdoptedManifest };
/** `named`: something of the repository names it, so that it needs no link. */
type ManifestAsked = { readonly repo: string; readonly digest: Digest; readonly named?: 'tag' | 'index' };
export type BlobFound = Absent | Broken | Deleted | { readonly kind: 'blob'; readonly size: number };

/** What was just seen there. */
export type JustSeen = {
  /** Repositories that have no records, so that none is looked for. */
  readonly unrecorded?: ReadonlySet<string> | undefined;
  readonly sizes?: ListedSizes | undefined;
};
/** `bytes` undefined: it is larger than it may be. */
type Small = { readonly bytes: Uint8Array | undefined; readonly size: number };

const absent: Absent = { kind: 'absent' };

export class BackedReader {
  readonly #backed: TagsBacked;
  readonly #seen: JustSeen;

  constructor(backed: TagsBacked, seen: JustSeen = {}) {
    this.#backed = backed;
    this.#seen = seen;
  }

  /** A record counts for more than a link: a link cannot tell that it is old. */
  async tag(repo: string, tag: string, signal: AbortSignal): Promise<TagFound> {
    const of: Linked = { repo, kind: 'tag', name: tag };
    const record = await this.#record(of, signal);
    if (record?.deleted === true) return { kind: 'deleted', version: record.version };
    if (record?.digest !== undefined) return { kind: 'tag', digest: record.digest, version: record.version };
    const link = await this.#link(of, signal);
    if (link === undefined || link.kind === 'broken') return link ?? { kind: 'absent' };
    return { kind: 'tag', digest: link.digest, version: unversioned };
  }

  async manifest({ repo, digest, named }: ManifestAsked, signal: AbortSignal): Promise<ManifestFound> {
    const of: Linked = { repo, kind: 'manifest', name: digest };
    const { backend, blobKey, layout } = this.#backed;
    const record = await this.#record(of, signal);
    if (record?.deleted === true) return { kind: 'deleted', version: record.version };
    const link = record === undefined && named === undefined ? await this.#link(of, signal) : undefined;
    if (link?.kind === 'broken') return link;
    const told = record !== undefined || link !== undefined || named === 'tag';
    // Where nothing links to manifests, the bytes are all that tells.
    if (!told && named === undefined && layout.links.linkKey(of) !== undefined) return absent;
    const key = blobKey(digest, repo);
    const at = { key, bytesMax: manifestBytesMax, listed: this.#seen.sizes?.ofBlob(digest) };
    const found = await this.#small(backend, at, (bytes) => isOf(digest, bytes), signal);
    const read = this.#manifestIn(key, { digest, mediaType: record?.mediaType }, found);
    // An index need not have all of its manifests, and any blob may be asked for as if it were a manifest.
    return read.kind === 'none' ? (told ? this.#broken(key, read.why) : absent) : read;
  }

  #manifestIn(
    key: string,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string | undefined },
    found: Small | undefined,
  ): ManifestFound | { readonly kind: 'none'; readonly why: string } {
    const none = (why: string) => ({ kind: 'none', why }) as const;
    if (found === undefined)
      return none('is not there: the bytes of the manifest were not written back: push it again');
    if (found.bytes === undefined) return none(`has ${found.size} bytes, which no manifest may have`);
    if (!isOf(digest, found.bytes))
      return { ...this.#broken(key, 'has other bytes than its digest says: write it anew'), wrong: true };
    try {
      return { kind: 'manifest', manifest: adoptedOf(parseManifest(found.bytes, mediaType), found.bytes.length) };
    } catch (error) {
      if (error instanceof ApiError) return none(error.message);
      throw error;
    }
  }

  /** Whether a repository has a blob, and how large it is; its bytes are not read. */
  async blob(repo: string, digest: Digest, signal: AbortSignal): Promise<BlobFound> {
    const record = await this.#record({ repo, kind: 'blob', name: digest }, signal);
    if (record?.deleted === true) return { kind: 'deleted', version: record.version };
    const size = this.#seen.sizes?.ofBlob(digest) ?? (await this.sizeOf(repo, digest, signal));
    if (size === undefined)
      return this.#broken(this.#backed.blobKey(digest, repo), 'is not there: the blob was not written back');
    return { kind: 'blob', size };
  }

  /** Of the blob's bytes there; undefined: it has none. */
  async sizeOf(repo: string, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    return (await this.#backed.backend.stat(this.#backed.blobKey(digest, repo), signal))?.size;
  }

  /** Whether the last that was written of it was its deletion. */
  async deleted(of: Linked, signal: AbortSignal): Promise<boolean> {
    return (await this.#record(of, signal))?.deleted === true;
  }

  async #record(of: Linked, signal: AbortSignal): Promise<LinkRecord | undefined> {
    const { tags, layout } = this.#backed;
    if (!tags.can.records || this.#seen.unrecorded?.has(of.repo) === true) return undefined;
    const key = layout.links.recordKey(of);
    return recordOf((await readSmall(tags, { key, bytesMax: recordBytesMax }, signal))?.bytes);
  }

  async #link(of: Linked, signal: AbortSignal): Promise<{ kind: 'link'; digest: Digest } | Broken | undefined> {
    const { tags, layout } = this.#backed;
    const key = layout.links.linkKey(of);
    if (key === undefined) return undefined;
    const at = { key, bytesMax: recordBytesMax, listed: this.#seen.sizes?.ofKey(key) };
    const found = await this.#small(tags, at, (bytes) => linkOf(bytes) !== undefined, signal);
    if (found === undefined) return undefined;
    const digest = linkOf(found.bytes);
    if (digest === undefined) return this.#broken(key, 'is no digest: push it again');
    return { kind: 'link', digest };
  }

  async #small(
    backend: Backend,
    at: SmallAt,
    good: (bytes: Uint8Array) => boolean,
    signal: AbortSignal,
  ): Promise<Small | undefined> {
    const listed = await readListed(backend, at, good, signal);
    if (listed !== undefined) return { bytes: listed, size: listed.length };
    const found = await readSmall(backend, at, signal);
    return found && { bytes: found.bytes, size: found.about.size };
  }

  #broken(key: string, why: string): Broken {
    return { kind: 'broken', why: `${this.#backed.name}: ${key} ${why}` };
  }
}

function isOf(digest: Digest, bytes: Uint8Array): boolean {
  return createHash(digestAlgorithm(digest)).update(bytes).digest('hex') === digestHex(digest);
}

function adoptedOf(parsed: ReturnType<typeof parseManifest>, size: number): AdoptedManifest {
  const { mediaType, blobs, manifests, subject, artifactType, annotations } = parsed;
  return {
    mediaType,
    size,
    blobs: blobs.map((blob) => ({ digest: blob.digest, size: blob.size })),
    manifests: manifests.map(({ digest }) => digest),
    subject: subject?.digest,
    artifactType,
    annotations,
  };
}
