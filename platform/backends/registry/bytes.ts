/**
 * The bytes under a digest of a repository there, whether a registry has them as a blob or as a manifest.
 *
 * Rule 1: what is known to be a manifest is asked for as one first; it is a guess that costs a request where it is wrong.
 * Rule 2: a manifest that was just asked about is read from here, once its bytes were compared with its digest.
 */

import type { Digest } from '../../../core/digest.ts';
import { BackendError, type BackendRead, type ObjectSource } from '../backend.ts';
import type { RegistryApi } from './api.ts';
import { RegistryBlobs } from './blobs.ts';
import type { RegistrySettings } from './config.ts';
import type { RegistryPlace } from './layout.ts';
import { rememberedPlacesMax } from './limits.ts';
import { RegistryManifests } from './manifests.ts';
import { ManifestShelf, NewestKnown } from './shelf.ts';
import { uploadBlob } from './upload.ts';

type BytesPlace = Extract<RegistryPlace, { kind: 'bytes' | 'manifest' }>;
type Manifest = { readonly digest: Digest; readonly bytes: Buffer };

export class RegistryBytes {
  readonly manifests: RegistryManifests;
  readonly #api: RegistryApi;
  readonly #blobs: RegistryBlobs;
  readonly #chunk: number | undefined;
  readonly #shelf: ManifestShelf;
  /** Where a digest is a manifest; whether its bytes are likely to be wanted next. */
  readonly #manifestAt = new NewestKnown<'known' | 'wanted'>(rememberedPlacesMax);
  /** The repository, as it is called there, in which a blob was seen last. */
  readonly #seenIn = new NewestKnown<string>(rememberedPlacesMax);

  constructor(api: RegistryApi, { chunk }: Pick<RegistrySettings, 'chunk'>, nowMs: () => number) {
    this.manifests = new RegistryManifests(api);
    this.#api = api;
    this.#blobs = new RegistryBlobs(api);
    this.#chunk = chunk;
    this.#shelf = new ManifestShelf(nowMs);
  }

  /** A tag of the repository is on it: it is asked for next. */
  tagged({ repo, digest }: Pick<BytesPlace, 'repo' | 'digest'>): void {
    this.#manifestAt.set(nameOf({ repo, digest }), 'wanted');
  }

  /** undefined: it is not there. */
  async sizeOf(place: BytesPlace, key: string, signal: AbortSignal): Promise<number | undefined> {
    const known = this.#manifestAt.get(nameOf(place));
    if (known === 'wanted') {
      const manifest = await this.manifest(place, key, signal);
      if (manifest !== undefined) return manifest.bytes.length;
    }
    const repo = this.#api.nameOf(place.repo, key);
    const asManifest = async (): Promise<number | undefined> => {
      const size = await this.manifests.sizeOf({ repo, reference: place.digest, key }, signal);
      if (size !== undefined) this.#manifestAt.set(nameOf(place), 'known');
      return size;
    };
    const asBlob = async (): Promise<number | undefined> => {
      const size = await this.#blobs.sizeOf({ repo, digest: place.digest, key }, signal);
      if (size !== undefined) this.#seenIn.set(place.digest, repo);
      return size;
    };
    const [first, second] = known === 'known' ? [asManifest, asBlob] : [asBlob, asManifest];
    return (await first()) ?? (await second());
  }

  async *read(
    place: BytesPlace,
    { key, start, end }: { readonly key: string } & Pick<BackendRead, 'start' | 'end'>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (start === end) return await this.#reaches(place, { key, end }, signal);
    const repo = this.#api.nameOf(place.repo, key);
    const known = this.#manifestAt.get(nameOf(place)) !== undefined;
    const manifest = known ? await this.manifest(place, key, signal) : undefined;
    const blob =
      manifest === undefined
        ? await this.#blobs.read({ repo, digest: place.digest, key }, { start, end }, signal)
        : undefined;
    if (blob !== undefined) return yield* blob;
    const found = manifest ?? (known ? undefined : await this.manifest(place, key, signal));
    if (found === undefined) throw this.#missing(key);
    if (end > found.bytes.length) throw this.#short(key, found.bytes.length, end);
    yield found.bytes.subarray(start, end);
  }

  async write(
    place: BytesPlace,
    { key, source }: { readonly key: string; readonly source: ObjectSource },
    signal: AbortSignal,
  ): Promise<void> {
    const { digest } = place;
    const repo = this.#api.nameOf(place.repo, key);
    const seen = this.#seenIn.get(digest);
    const from = seen === repo ? undefined : seen;
    await uploadBlob(this.#api, { repo, digest, key, from, chunk: this.#chunk }, source, signal);
    this.#seenIn.set(digest, repo);
  }

  /** As a manifest; undefined: there is none of this digest. */
  async manifest(place: BytesPlace, key: string, signal: AbortSignal): Promise<Manifest | undefined> {
    const name = nameOf(place);
    const { digest } = place;
    const held = this.#shelf.get(name);
    if (held !== undefined) return { digest, bytes: Buffer.from(held) };
    const repo = this.#api.nameOf(place.repo, key);
    const found = await this.manifests.get({ repo, reference: digest, key }, signal);
    if (found === undefined) this.#manifestAt.delete(name);
    else {
      this.#shelf.put(name, found.bytes);
      this.#manifestAt.set(name, 'known');
    }
    return found;
  }

  /** Of a manifest that may be there as a blob only, as it was written. */
  async bytesOf(place: BytesPlace, key: string, signal: AbortSignal): Promise<Buffer> {
    const size = await this.sizeOf(place, key, signal);
    if (size === undefined) throw this.#missing(key);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.read(place, { key, start: 0, end: size }, signal))
      chunks.push(Uint8Array.from(chunk));
    return Buffer.concat(chunks);
  }

  async #reaches(place: BytesPlace, { key, end }: { key: string; end: number }, signal: AbortSignal): Promise<void> {
    const size = await this.sizeOf(place, key, signal);
    if (size === undefined) throw this.#missing(key);
    if (end > size) throw this.#short(key, size, end);
  }

  #missing(key: string): BackendError {
    return new BackendError('missing', `${this.#api.name}: the registry has no ${key}`);
  }

  #short(key: string, size: number, end: number): BackendError {
    return new BackendError('damaged', `${this.#api.name}: ${key} has ${size} bytes, not ${end}`);
  }
}

function nameOf({ repo, digest }: Pick<BytesPlace, 'repo' | 'digest'>): string {
  return `${repo} ${digest}`;
}
