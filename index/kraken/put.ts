/**
 * A tag that is put by Kraken's paths: what it needs is looked for at the origins, made known to the index, and only then
 * is the tag set.
 *
 * Rule 1: a tag of type `docker` needs its manifest and all that this refers to, manifests of an index with theirs. One of
 *   type `default` needs the blob that it is on: the record of that is no manifest's, but says `application/octet-stream`.
 * Rule 2: the tag is the last write. What was made known before it, and is not needed, goes as any untagged manifest does.
 * Rule 3: an index that knows no origins sets tags on manifests that it knows, and no others.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { type Descriptor, type Manifest, parseManifest } from '../../core/oci/manifest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import { linkProved } from '../../platform/clients/copies.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { TagTypeRule } from './config.ts';
import type { OriginsHeld } from './held.ts';

/** Indexes of indexes of indexes: nobody makes deeper ones. */
const depthMax = 4;
/** Manifests that one tag may lead to: an index with an image for each platform, and an attestation for each image. */
const manifestsMax = 1_000;
/** Questions to the origins at a time, of one tag. */
const atOnce = 8;

export type PutParts = {
  readonly store: Pick<TagStore, 'manifest' | 'blob' | 'putManifest' | 'putTag' | 'linkBlob'>;
  /** Undefined: this index knows no origins. */
  readonly held: OriginsHeld | undefined;
  readonly tagTypes: readonly TagTypeRule[];
  /** Patterns of repositories that take an index whose manifests are not all there. */
  readonly allowMissingChildren: readonly string[];
  readonly nowMs: () => number;
};

export type TagIn = { readonly repo: string; readonly tag: string; readonly digest: Digest };

export class KrakenPut {
  readonly #parts: PutParts;

  constructor(parts: PutParts) {
    this.#parts = parts;
  }

  /** Throws MANIFEST_BLOB_UNKNOWN where something is missing that the tag needs. */
  async put({ repo, tag, digest }: TagIn, call: CallContext): Promise<void> {
    const { store, held, tagTypes } = this.#parts;
    if (held === undefined) {
      if ((await store.putTag(repo, tag, { digest })) === undefined) throw noOrigins(repo, digest);
      return;
    }
    const type = tagTypes.find(({ repositories }) => repositoryMatches(repositories, repo))?.type ?? 'docker';
    const walk = new Walk(this.#parts, held, { repo, call });
    const put = type === 'docker' ? await walk.manifest(digest, 0) : await walk.blob(digest);
    if (put === 'known' && (await store.putTag(repo, tag, { digest })) !== undefined) return;
    if (put === 'known') throw missing(repo, digest);
    await walk.record(digest, { ...put, tags: [tag] });
  }
}

type Known = 'known' | ManifestPut;

/** One tag's needs, each looked at once. */
class Walk {
  readonly #parts: PutParts;
  readonly #held: OriginsHeld;
  readonly #repo: string;
  readonly #call: CallContext;
  readonly #seen = new Set<Digest>();

  constructor(
    parts: PutParts,
    held: OriginsHeld,
    { repo, call }: { readonly repo: string; readonly call: CallContext },
  ) {
    this.#parts = parts;
    this.#held = held;
    this.#repo = repo;
    this.#call = call;
  }

  /** All that the manifest refers to is there, and known to the index; what is to be recorded of itself, if it is not. */
  async manifest(digest: Digest, depth: number): Promise<Known> {
    this.#seen.add(digest);
    if (depth > depthMax || this.#seen.size > manifestsMax) throw tooMany(digest);
    const bytes = await this.#held.bytes(this.#in(digest), this.#call);
    if (bytes === undefined) throw missing(this.#repo, digest);
    const record = await this.#parts.store.manifest(this.#repo, digest);
    const manifest = parseManifest(bytes, record?.mediaType);
    for (const child of manifest.manifests) await this.#child(child.digest, depth + 1);
    await inTurns(manifest.blobs, (blob) => this.#linked(blob));
    return record === undefined ? putOf(manifest, bytes.length) : 'known';
  }

  /** A tag of type `default`: nothing is known of what the bytes are. */
  async blob(digest: Digest): Promise<Known> {
    if ((await this.#parts.store.manifest(this.#repo, digest)) !== undefined) {
      if (await this.#held.there(this.#in(digest), this.#call)) return 'known';
      throw missing(this.#repo, digest);
    }
    const size = await this.#held.sizeOf(this.#in(digest), this.#call);
    if (size === undefined) throw missing(this.#repo, digest);
    return { mediaType: MEDIA.octets, size, tags: [], blobs: [], manifests: [] };
  }

  /** The index knows it from now on, as the origins hold it. */
  async record(digest: Digest, put: ManifestPut): Promise<void> {
    const { store, nowMs } = this.#parts;
    const sparse = this.#sparse;
    if (!(await this.#held.kept(this.#in(digest), this.#call))) throw missing(this.#repo, digest);
    await this.#proved(digest, async (proof) => {
      const outcome = await store.putManifest(this.#repo, digest, { ...put, sparse, proof }, nowMs());
      const [lost] = outcome.missing;
      if (lost !== undefined) throw missing(this.#repo, lost);
      return outcome.unproved;
    });
  }

  get #sparse(): boolean {
    return repositoryMatches(this.#parts.allowMissingChildren, this.#repo);
  }

  #in(digest: Digest): BlobIn {
    return { digest, repo: this.#repo };
  }

  async #child(digest: Digest, depth: number): Promise<void> {
    if (this.#seen.has(digest)) return;
    try {
      const put = await this.manifest(digest, depth);
      if (put !== 'known') await this.record(digest, put);
    } catch (error) {
      if (!this.#sparse || !(error instanceof ApiError) || error.code !== 'MANIFEST_BLOB_UNKNOWN') throw error;
    }
  }

  async #linked({ digest, size }: Descriptor): Promise<void> {
    const { store } = this.#parts;
    const blob = this.#in(digest);
    const linked = (await store.blob(this.#repo, digest)) !== undefined;
    const there = linked ? await this.#held.there(blob, this.#call) : await this.#held.kept(blob, this.#call);
    if (!there) throw missing(this.#repo, digest);
    if (!linked) await this.#proved(digest, (proof) => store.linkBlob(this.#repo, digest, { size, proof }));
  }

  /** `link` answers the generation in which it was condemned. */
  async #proved(digest: Digest, link: (proof: number | undefined) => Promise<number | undefined>): Promise<void> {
    const linked = await linkProved(
      async (proof) => {
        const generation = await link(proof);
        if (generation !== undefined) throw new ApiError('BLOB_CONDEMNED', `${digest} is condemned`, { generation });
      },
      () => this.#held.proved(this.#in(digest), this.#call),
    );
    if (!linked) throw missing(this.#repo, digest);
  }
}

function putOf(manifest: Manifest, size: number): ManifestPut {
  return {
    mediaType: manifest.mediaType,
    size,
    tags: [],
    blobs: manifest.blobs.map(({ digest }) => digest),
    manifests: manifest.manifests.map(({ digest }) => digest),
    subject: manifest.subject?.digest,
    artifactType: manifest.artifactType,
    annotations: manifest.annotations,
  };
}

async function inTurns<T>(all: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const worker = async (): Promise<void> => {
    for (const one of left) await act(one);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, worker));
}

function missing(repo: string, digest: Digest): ApiError {
  return new ApiError(
    'MANIFEST_BLOB_UNKNOWN',
    `the tag is not set: no origin, and no backend of ${repo}, holds ${digest}: upload it first`,
    { missing: [digest] },
  );
}

function noOrigins(repo: string, digest: Digest): ApiError {
  return new ApiError(
    'MANIFEST_BLOB_UNKNOWN',
    `the tag is not set: repository ${repo} does not hold ${digest}, and this index cannot look for it: name the origins (\`origins:\` of its configuration), or push through a proxy`,
    { missing: [digest] },
  );
}

function tooMany(digest: Digest): ApiError {
  return new ApiError(
    'MANIFEST_INVALID',
    `more than ${manifestsMax} manifests, or ${depthMax} levels of them: ${digest} is one too many`,
  );
}
