/**
 * The blobs of a manifest, made to lie at a remote: asked for, had from another repository there, or sent from the origins.
 *
 * Rule: one blob is sent once at a time, however many images of how many repositories want it: the others then have it from
 *   where it came to be.
 */

import type { Digest } from '../../../core/digest.ts';
import type { ObjectSource } from '../../../platform/backends/backend.ts';
import type { NewestKnown } from '../../../platform/backends/registry/shelf.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import type { Origins } from '../../../platform/clients/origins.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import type { RemoteRegistry } from '../remote/remote.ts';
import type { SeenThere } from './seen.ts';
import type { BlobTurns } from './turns.ts';

export type BlobParts = {
  readonly remote: Pick<RemoteRegistry, 'hasBlob' | 'uploads'>;
  readonly origins: Pick<Origins, 'read'>;
  readonly store: Pick<TagStore, 'holders'>;
  /** Whether what a repository has goes to this remote, too. */
  readonly goesThere: (repo: string) => boolean;
  readonly turns: BlobTurns;
  /** The repository in which a blob came to be there, or was seen. */
  readonly seenIn: NewestKnown<string>;
  readonly told: { bytes(bytes: number): void; blob(how: 'there' | 'sent'): void };
};

type Wanted = { readonly digest: Digest; readonly size: number };

/** Repositories that are looked at for one of which a blob may be had. */
const holdersMax = 16;

export class BlobCopies {
  readonly #parts: BlobParts;
  readonly #at: { readonly repo: string; readonly seen: SeenThere; readonly signal: AbortSignal };

  constructor(parts: BlobParts, at: { readonly repo: string; readonly seen: SeenThere; readonly signal: AbortSignal }) {
    this.#parts = parts;
    this.#at = at;
  }

  /** Resolves once all are there. Where one fails the others are ended. */
  async all(blobs: readonly Wanted[]): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#at.signal, failed.signal]);
    const each = blobs.map((blob) =>
      this.#one(blob, signal).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    const ended = await Promise.allSettled(each);
    signal.throwIfAborted();
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
  }

  async #one(blob: Wanted, signal: AbortSignal): Promise<void> {
    const { seen } = this.#at;
    if (seen.has('blob', blob.digest)) return;
    await this.#parts.turns.take(blob.digest, async () => {
      signal.throwIfAborted();
      if (!seen.has('blob', blob.digest)) await this.#bring(blob, signal);
    });
  }

  async #bring({ digest, size }: Wanted, signal: AbortSignal): Promise<void> {
    const { remote, seenIn, told } = this.#parts;
    const { repo, seen } = this.#at;
    if (await remote.hasBlob(repo, digest, signal)) told.blob('there');
    else {
      const from = seenIn.get(digest) ?? (await this.#holder(digest));
      const source = this.#source({ digest, size }, signal);
      await remote.uploads.send({ repo, digest, from: from === repo ? undefined : from }, source, {
        signal,
        sent: (bytes) => told.bytes(bytes),
      });
      told.blob('sent');
    }
    seen.add('blob', digest);
    seenIn.set(digest, repo);
  }

  /** Another repository that goes there as well: where it has none of it, it is sent. */
  async #holder(digest: Digest): Promise<string | undefined> {
    const { store, goesThere } = this.#parts;
    const { repositories } = await store.holders(digest, { n: holdersMax });
    return repositories.find((other) => other !== this.#at.repo && goesThere(other));
  }

  #source({ digest, size }: Wanted, signal: AbortSignal): ObjectSource {
    const { origins } = this.#parts;
    const { repo } = this.#at;
    return {
      ...{ digest, size },
      async *read(start, end, own) {
        const ctx = CallContext.begin({ signal: AbortSignal.any([signal, own]) });
        for await (const chunk of origins.read({ digest, repo }, { start, end }, ctx)) {
          yield* chunk.bytes;
          chunk.release();
        }
      },
    };
  }
}
