/**
 * All that a tag needs, made to lie at a remote before the tag is written there: blobs first, then manifests from the
 * bottom up, with what refers to each of them (signatures, attestations), and what refers to that.
 *
 * Rule 1: nothing is named there before what it names is there.
 * Rule 2: what refers to a manifest, and comes while that is on its way, is not lost: whoever brings it alone passes over
 *   it where its subject is not there yet (row.ts), so who brings the subject looks again once that is there (`later`).
 * Rule 3: a closure is bounded: more manifests than `manifestsMax`, or nested deeper than `depthMax`, is no image.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestAlgorithm, digestOf } from '../../../core/digest.ts';
import { parseManifest } from '../../../core/oci/manifest.ts';
import { BackendError } from '../../../platform/backends/backend.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import type { RemoteRegistry } from '../remote/remote.ts';
import type { SentManifest } from '../remote/tags.ts';
import { BlobCopies, type BlobParts } from './blobs.ts';
import { listedBySubject } from './fallback.ts';
import type { SeenThere } from './seen.ts';

/** Of one tag, referrers included: a large index has some hundred, each with some signatures. */
const manifestsMax = 5_000;
/** Indexes in indexes, referrers of referrers: more has nobody. */
const depthMax = 8;
const referrersPageMax = 500;
/** So often is looked for referrers that came meanwhile: each time there were new ones. */
const looksMax = 16;

export type ImageParts = BlobParts & {
  readonly remote: Pick<RemoteRegistry, 'name' | 'kind' | 'hasManifest' | 'tags'>;
  readonly store: Pick<TagStore, 'manifest' | 'references' | 'referrers'>;
};

export class ImageCopy {
  readonly #parts: ImageParts;
  readonly #at: { readonly repo: string; readonly seen: SeenThere; readonly signal: AbortSignal };
  readonly #blobs: BlobCopies;
  /** Of this image: looked at. */
  readonly #visited = new Set<Digest>();
  /** Which were not there before. */
  readonly #brought = new Set<Digest>();

  constructor(
    parts: ImageParts,
    at: { readonly repo: string; readonly seen: SeenThere; readonly signal: AbortSignal },
  ) {
    this.#parts = parts;
    this.#at = at;
    this.#blobs = new BlobCopies(parts, at);
  }

  /** All but the manifest itself, which is to be written under its tag. */
  async root(digest: Digest): Promise<SentManifest> {
    this.#visit(digest, 0);
    const there = await this.has(digest);
    const manifest = await this.#needed(digest, { depth: 0, there });
    const sent = manifest ?? (await this.read(digest));
    const referrers = await this.#referrers(digest);
    if (referrers.length > 0 && !there) await this.#put(sent);
    for (const referrer of referrers) await this.#referrer(referrer, 1);
    this.#brought.add(digest);
    return sent;
  }

  /** The manifest as well: of a tag that is on it there already. */
  async whole(digest: Digest): Promise<void> {
    await this.#whole(digest, 0);
  }

  /** Of a manifest that refers to another one. */
  async referrer(digest: Digest): Promise<void> {
    await this.#referrer(digest, 0);
  }

  /** What came meanwhile of what refers to manifests that were not there before. */
  async later(): Promise<void> {
    for (let look = 0; look < looksMax; look++) {
      const known = this.#visited.size;
      for (const digest of [...this.#brought])
        for (const referrer of await this.#referrers(digest)) await this.#referrer(referrer, 1);
      if (this.#visited.size === known) return;
    }
  }

  async has(digest: Digest): Promise<boolean> {
    const { seen, repo, signal } = this.#at;
    if (seen.has('manifest', digest)) return true;
    if (!(await this.#parts.remote.hasManifest(repo, digest, signal))) return false;
    seen.add('manifest', digest);
    return true;
  }

  /** Its bytes, from the origins. */
  async read(digest: Digest): Promise<SentManifest> {
    const { store, origins } = this.#parts;
    const { repo, signal } = this.#at;
    const record = await store.manifest(repo, digest);
    if (record === undefined) throw this.#wrong(digest, 'was deleted here: nothing of it can be sent');
    const chunks: Uint8Array[] = [];
    const ctx = CallContext.begin({ signal });
    for await (const chunk of origins.read({ digest, repo }, { start: 0, end: record.size }, ctx)) {
      for (const bytes of chunk.bytes) chunks.push(Uint8Array.from(bytes));
      chunk.release();
    }
    const bytes = Buffer.concat(chunks);
    const algorithm = digestAlgorithm(digest);
    const right = digestOf(algorithm, createHash(algorithm).update(bytes).digest('hex')) === digest;
    if (!right) throw this.#wrong(digest, 'came with other bytes from the origins');
    return { digest, mediaType: record.mediaType, bytes };
  }

  /** Whether a registry has it under its subject is not known of one that is there: it is written again. */
  #referrer(digest: Digest, depth: number): Promise<void> {
    const listed = this.#parts.remote.kind === 'shoal' || this.#at.seen.has('manifest', digest);
    return this.#whole(digest, depth, listed);
  }

  async #whole(digest: Digest, depth: number, ask = true): Promise<void> {
    if (this.#visited.has(digest)) return;
    this.#visit(digest, depth);
    const manifest = await this.#needed(digest, { depth, there: ask && (await this.has(digest)) });
    if (manifest !== undefined) {
      await this.#put(manifest);
      this.#brought.add(digest);
    }
    for (const referrer of await this.#referrers(digest)) await this.#referrer(referrer, depth + 1);
  }

  /** What a manifest names; undefined: the manifest is there itself, and so are its blobs. */
  async #needed(
    digest: Digest,
    { depth, there }: { readonly depth: number; readonly there: boolean },
  ): Promise<SentManifest | undefined> {
    // Of an index those that are here: a repository may take one without all of them.
    const { manifests } = await this.#parts.store.references(this.#at.repo, digest);
    for (const child of manifests) await this.#whole(child, depth + 1);
    if (there) return undefined;
    const manifest = await this.read(digest);
    await this.#blobs.all(parseManifest(manifest.bytes, manifest.mediaType).blobs);
    return manifest;
  }

  async #put(manifest: SentManifest): Promise<void> {
    const { remote, turns } = this.#parts;
    const { repo, seen, signal } = this.#at;
    const { linked } = await remote.tags.putManifest(repo, manifest, signal);
    const { subject } = parseManifest(manifest.bytes, manifest.mediaType);
    if (subject !== undefined && !linked && remote.kind === 'registry')
      await turns.take(`${repo} ${subject.digest}`, () =>
        listedBySubject(remote.tags, { repo, subject: subject.digest, manifest }, signal),
      );
    seen.add('manifest', manifest.digest);
  }

  async #referrers(digest: Digest): Promise<readonly Digest[]> {
    const found: Digest[] = [];
    for (let last: string | undefined, more: boolean | undefined = true; more; ) {
      const page = await this.#parts.store.referrers(this.#at.repo, digest, { n: referrersPageMax, last });
      found.push(...page.manifests.map((one) => one.digest));
      last = found.at(-1);
      more = page.more === true && page.manifests.length > 0 && found.length <= manifestsMax;
    }
    return found;
  }

  #visit(digest: Digest, depth: number): void {
    this.#visited.add(digest);
    if (this.#visited.size > manifestsMax) throw this.#wrong(digest, `is one of more than ${manifestsMax} manifests`);
    if (depth > depthMax) throw this.#wrong(digest, `lies more than ${depthMax} manifests deep`);
  }

  #wrong(digest: Digest, why: string): BackendError {
    return new BackendError('refused', `remote ${this.#parts.remote.name}: ${this.#at.repo}@${digest} ${why}`);
  }
}
