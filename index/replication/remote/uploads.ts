/**
 * Blobs on their way to a remote: so many at once, at a rate, and taken up in their midst after an outage.
 *
 * Rule: what an outage broke off is remembered by this process alone, and for as long as a registry keeps it, or so: another
 *   process, and this one after a restart, begins that blob again.
 */

import type { Digest } from '../../../core/digest.ts';
import { RateBucket } from '../../../platform/backends/around/bucket.ts';
import { Places } from '../../../platform/backends/around/places.ts';
import { BackendError, type ObjectSource } from '../../../platform/backends/backend.ts';
import type { RegistryApi } from '../../../platform/backends/registry/api.ts';
import { type KeptUpload, uploadBlob } from '../../../platform/backends/registry/upload.ts';
import type { Clock } from '../../../platform/net/clock.ts';

/** Rows of a lane, each with the blobs of an image, all of which may wait for a place. */
const waitingMax = 100_000;
/** More are not under way at once; what is older is begun again. */
const keptMax = 256;

export type UploadSettings = {
  readonly concurrency: number;
  readonly bandwidth?: number | undefined;
  readonly chunk?: number | undefined;
  readonly clock: Clock;
};
export type SentBlob = {
  readonly repo: string;
  readonly digest: Digest;
  /** Another repository here, of which it may be had there. */
  readonly from: string | undefined;
};

export class RemoteUploads {
  readonly #api: RegistryApi;
  readonly #chunk: number | undefined;
  readonly #places: Places;
  readonly #rate: RateBucket | undefined;
  readonly #kept = new Map<string, KeptUpload>();

  constructor(api: RegistryApi, { concurrency, bandwidth, chunk, clock }: UploadSettings) {
    this.#api = api;
    this.#chunk = chunk;
    this.#places = new Places(() => concurrency, waitingMax);
    this.#rate = bandwidth === undefined ? undefined : new RateBucket(clock, () => bandwidth);
  }

  /** Resolves once the remote has confirmed it. `sent` is told of bytes as they go. */
  async send(
    { repo, digest, from }: SentBlob,
    source: ObjectSource,
    { signal, sent }: { readonly signal: AbortSignal; readonly sent: (bytes: number) => void },
  ): Promise<void> {
    const key = `${repo}@${digest}`;
    using place = await this.#places.take(signal);
    if (place === undefined)
      throw new BackendError('throttled', `${key}: ${waitingMax} blobs wait for their turn already`);
    const kept = this.#kept.get(key) ?? { location: undefined };
    this.#kept.delete(key);
    const [theirs, chunk] = [this.#api.nameOf(repo, key), this.#chunk];
    const plan = { repo: theirs, digest, key, from: from && this.#api.nameOf(from, key), chunk, kept };
    const rate = this.#rate;
    const slowed: ObjectSource = {
      ...source,
      async *read(start, end, own) {
        for await (const bytes of source.read(start, end, own)) {
          await rate?.take(bytes.length, own);
          sent(bytes.length);
          yield bytes;
        }
      },
    };
    try {
      await uploadBlob(this.#api, plan, slowed, signal);
    } finally {
      if (kept.location !== undefined) this.#keep(key, kept);
    }
  }

  #keep(key: string, kept: KeptUpload): void {
    this.#kept.set(key, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= keptMax) break;
      this.#kept.delete(oldest);
    }
  }
}
