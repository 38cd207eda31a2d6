/**
 * Links of a registry: which manifests a repository has, and what its tags are on. To write one is to put the manifest under
 * that name, with the bytes that are there already.
 *
 * Rule 1: what a tag was found on, or put on, holds for the read that follows at once, and no longer.
 * Rule 2: puts of one manifest into one repository, under whatever tags, are done one after the other, with the reading of its
 *         bytes: while a put rewrites its link, distribution 2.8 on a directory answers 500 to who reads that manifest.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestAlgorithm, digestHex } from '../../../core/digest.ts';
import { manifestBytesMax } from '../../../core/oci/limits.ts';
import { Serial } from '../../store/names.ts';
import { BackendError } from '../backend.ts';
import { untilAborted } from '../until.ts';
import type { RegistryApi } from './api.ts';
import type { RegistryBytes } from './bytes.ts';
import type { RegistryPlace } from './layout.ts';
import { rememberedPlacesMax, tagMs } from './limits.ts';
import { NewestKnown } from './shelf.ts';

export class RegistryLinksThere {
  readonly #api: RegistryApi;
  readonly #bytes: RegistryBytes;
  readonly #nowMs: () => number;
  readonly #puts = new Serial<string>();
  readonly #tags = new NewestKnown<{ readonly digest: Digest; readonly atMs: number }>(rememberedPlacesMax);

  constructor(api: RegistryApi, bytes: RegistryBytes, nowMs: () => number) {
    this.#api = api;
    this.#bytes = bytes;
    this.#nowMs = nowMs;
  }

  /** undefined: there is no such link. `expected`: it was found so just now. */
  async digestAt(
    place: RegistryPlace,
    key: string,
    signal: AbortSignal,
    expected?: Digest | undefined,
  ): Promise<Digest | undefined> {
    if (place.kind !== 'tag') return (await this.#bytes.manifest(place, key, signal))?.digest;
    const known = this.#tags.get(key);
    if (expected !== undefined && known?.digest === expected && this.#nowMs() - known.atMs < tagMs) return expected;
    const repo = this.#api.nameOf(place.repo, key);
    const digest = await this.#bytes.manifests.digestOf({ repo, reference: place.tag, key }, signal);
    if (digest !== undefined) this.#found(place.repo, key, digest);
    return digest;
  }

  async put(
    place: RegistryPlace,
    { key, digest }: { readonly key: string; readonly digest: Digest },
    signal: AbortSignal,
  ): Promise<void> {
    const { repo: ours } = place;
    const repo = this.#api.nameOf(ours, key);
    const written = this.#puts.run(`${repo}@${digest}`, async () => {
      signal.throwIfAborted();
      const bytes = await this.#bytes.bytesOf({ kind: 'bytes', repo: ours, digest }, key, signal);
      this.#check(key, digest, bytes);
      const reference = place.kind === 'tag' ? place.tag : digest;
      await this.#bytes.manifests.put({ repo, reference, key }, { digest, bytes }, signal);
    });
    await untilAborted(written, signal);
    if (place.kind === 'tag') this.#found(ours, key, digest);
  }

  forget(key: string): void {
    this.#tags.delete(key);
  }

  #found(repo: string, key: string, digest: Digest): void {
    this.#tags.set(key, { digest, atMs: this.#nowMs() });
    this.#bytes.tagged({ repo, digest });
  }

  #check(key: string, digest: Digest, bytes: Buffer): void {
    const found = createHash(digestAlgorithm(digest)).update(bytes).digest('hex');
    if (bytes.length <= manifestBytesMax && found === digestHex(digest)) return;
    const what =
      bytes.length > manifestBytesMax
        ? `has ${bytes.length} bytes, which no manifest may have`
        : 'has other bytes there';
    throw new BackendError('damaged', `${this.#api.name}: ${key}: ${digest} ${what}: push it again`);
  }
}
