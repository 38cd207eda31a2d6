/**
 * Another registry as a backend: blobs and manifests' bytes by repository and digest, and links of manifests and tags, each
 * asked of the registry as its clients would (layout.ts says which key is what).
 *
 * Rule 1: it keeps what a registry keeps and no more: no records of ours, no conditions. A version is a digest, since what a
 *         digest names never changes.
 * Rule 2: bytes of a manifest are written as a blob's: they become a manifest when something links to them, with all that they
 *         refer to there already.
 */

import type { Digest } from '../../../core/digest.ts';
import { parseDigest } from '../../../core/digest.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  pageKeysMax,
  type WriteCondition,
} from '../backend.ts';
import type { Opening } from '../kind.ts';
import { RegistryApi } from './api.ts';
import { RegistryBytes } from './bytes.ts';
import type { RegistrySettings } from './config.ts';
import { placeAt, type RegistryPlace } from './layout.ts';
import { RegistryLinksThere } from './links.ts';
import { RegistryNames } from './names.ts';
import { deletePlace } from './remove.ts';

type Opened = Pick<Opening, 'name' | 'stallMs' | 'env' | 'clock'>;

export class RegistryBackend implements Backend {
  readonly kind = 'registry';
  readonly can = { conditions: false, list: true, writes: true, records: false };
  readonly proves = 'answered';
  readonly name: string;
  readonly #api: RegistryApi;
  readonly #bytes: RegistryBytes;
  readonly #links: RegistryLinksThere;
  readonly #names: RegistryNames;

  constructor(settings: RegistrySettings, opening: Opened) {
    this.name = opening.name;
    const nowMs = (): number => opening.clock.nowMs();
    this.#api = new RegistryApi(settings, opening);
    this.#bytes = new RegistryBytes(this.#api, settings, nowMs);
    this.#links = new RegistryLinksThere(this.#api, this.#bytes, nowMs);
    this.#names = new RegistryNames(this.#api, settings.namespace, nowMs);
  }

  /** That it is there, and lets us in. Whether we may write into a repository only a write to it can tell. */
  async probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#api.prove(signal, true);
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    signal.throwIfAborted();
    const place = this.#placeAt(key);
    if (place.kind !== 'bytes') return linkTo(await this.#links.digestAt(place, key, signal));
    const size = await this.#bytes.sizeOf(place, key, signal);
    return size === undefined ? undefined : { size, digest: place.digest, version: place.digest };
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    const place = this.#placeAt(key);
    if (place.kind === 'bytes') {
      if (range.version !== undefined && range.version !== place.digest) throw this.#changed(key);
      return yield* this.#bytes.read(place, { key, ...range }, signal);
    }
    const digest = await this.#links.digestAt(place, key, signal, range.version as Digest | undefined);
    if (digest === undefined) throw new BackendError('missing', `${this.name}: the registry has no ${key}`);
    if (range.version !== undefined && range.version !== digest) throw this.#changed(key);
    const text = Buffer.from(digest);
    if (range.end > text.length)
      throw new BackendError('damaged', `${this.name}: ${key} has ${text.length} bytes, not ${range.end}`);
    if (range.start < range.end) yield text.subarray(range.start, range.end);
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    signal.throwIfAborted();
    const place = this.#placeAt(key);
    if (place.kind !== 'bytes' || place.digest !== source.digest)
      throw new BackendError(
        'refused',
        `${this.name}: ${key}: a registry takes ${source.digest} under its own name only`,
      );
    await this.#bytes.write(place, { key, source }, signal);
    return { size: source.size, digest: place.digest, version: place.digest };
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    signal.throwIfAborted();
    if (condition !== undefined)
      throw new BackendError(
        'unsupported',
        `${this.name}: ${key}: a registry knows no conditions: leave it to one cluster`,
      );
    const place = this.#placeAt(key);
    const digest = parseDigest(Buffer.from(bytes).toString('latin1'));
    if (place.kind === 'bytes' || digest === undefined || (place.kind === 'manifest' && digest !== place.digest))
      throw new BackendError('refused', `${this.name}: ${key}: what a registry keeps under it is a digest`);
    await this.#links.put(place, { key, digest }, signal);
    return { size: bytes.length, version: digest };
  }

  async list(
    prefix: string,
    { after, max }: { readonly after?: string | undefined; readonly max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    signal.throwIfAborted();
    return await this.#names.list(prefix, { after, max: Math.min(max, pageKeysMax) }, signal);
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await deletePlace(this.#api, this.#placeAt(key), key, signal);
    this.#links.forget(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#api[Symbol.dispose]();
  }

  #placeAt(key: string): RegistryPlace {
    const place = placeAt(key);
    if (place !== undefined) return place;
    throw new BackendError(
      'refused',
      `${this.name}: ${key}: a registry has blobs, manifests and tags of a repository, and nothing else`,
    );
  }

  #changed(key: string): BackendError {
    return new BackendError('changed', `${this.name}: ${key} was written anew since its reading began: begin again`);
  }
}

function linkTo(digest: Digest | undefined): BackendObject | undefined {
  return digest === undefined ? undefined : { size: digest.length, version: digest };
}
