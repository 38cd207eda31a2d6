/**
 * Whether a repository has a digest, before anything of it leaves the cache: the bytes are of all tenants of a host, the right
 * to them is each one's own.
 *
 * Rule 1: the index says it. What it said is remembered for a while, its no for a moment only: what was just pushed is there.
 * Rule 2: a manifest that the repository has tells of all that it refers to: the index took it only with those.
 * Rule 3: where the index does not answer, what is remembered holds, though its time is over; of what is not, nobody knows,
 *         and nothing is given.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { parseManifest } from '../../core/oci/manifest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';

/** A client that looks for what it is about to push, or that another one has just pushed, asks again. */
const noMs = 2_000;
/** Some 20 MB: more layers than a host pulls in a while. */
const rememberedMax = 100_000;

type Said = { readonly linked: boolean; readonly untilMs: number };

export type LinksParts = {
  readonly index: Pick<IndexClient, 'blob'>;
  readonly rememberMs: number;
  /** Monotonic. */
  readonly nowMs: () => number;
};

export class RepositoryLinks {
  readonly #parts: LinksParts;
  readonly #said = new Map<string, Said>();

  constructor(parts: LinksParts) {
    this.#parts = parts;
  }

  /** Throws BLOB_UNKNOWN, or UNAVAILABLE where nobody could be asked. */
  async check(repo: string, digest: Digest, call: CallContext): Promise<void> {
    if (!(await this.#linked(repo, digest, call)))
      throw new ApiError('BLOB_UNKNOWN', `repository ${repo} has no blob ${digest}`, { digest });
  }

  /** The index said that the repository has that manifest, of these bytes. */
  learn(repo: string, digest: Digest, bytes: Uint8Array, mediaType: string): void {
    for (const one of [digest, ...referredIn(bytes, mediaType)]) this.#remember(repo, one, true);
  }

  /** Whether it was so a while ago: where the index does not answer. */
  remembers(repo: string, digest: Digest): boolean {
    return this.#said.get(keyOf(repo, digest))?.linked === true;
  }

  async #linked(repo: string, digest: Digest, call: CallContext): Promise<boolean> {
    const before = this.#said.get(keyOf(repo, digest));
    if (before !== undefined && before.untilMs > this.#parts.nowMs()) return before.linked;
    try {
      const linked = (await this.#parts.index.blob(repo, digest, call)) !== undefined;
      this.#remember(repo, digest, linked);
      return linked;
    } catch (error) {
      if (before?.linked === true && error instanceof ApiError && error.code === 'UNAVAILABLE' && !call.signal.aborted)
        return true;
      throw error;
    }
  }

  #remember(repo: string, digest: Digest, linked: boolean): void {
    const key = keyOf(repo, digest);
    const { rememberMs, nowMs } = this.#parts;
    // Last in order: the first one is what was asked for longest ago.
    this.#said.delete(key);
    this.#said.set(key, { linked, untilMs: nowMs() + (linked ? rememberMs : noMs) });
    if (this.#said.size > rememberedMax) this.#said.delete(this.#said.keys().next().value as string);
  }
}

/** Of an index without its images: those may be elsewhere, or nowhere. */
function referredIn(bytes: Uint8Array, mediaType: string): Digest[] {
  try {
    return parseManifest(bytes, mediaType).blobs.map(({ digest }) => digest);
  } catch (error) {
    // Of what is no manifest to us the index is asked, one by one.
    if (error instanceof ApiError) return [];
    throw error;
  }
}

function keyOf(repo: string, digest: Digest): string {
  return `${repo} ${digest}`;
}
