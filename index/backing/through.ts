/**
 * Reads that go through to the backend: a tag or manifest that the index has not got may be there, written by another
 * cluster on the same bucket or by this one before it lost its disk; and a tag that it has may be newer there.
 *
 * Rule 1: what waits to be written is what counts; then nobody is asked.
 * Rule 2: a tag is compared with the backend's before it is answered, unless that was done within `freshMs`. Where the
 *   backend does not answer, what is here is answered; where nothing is here, that is 503 and never a no.
 * Rule 3: all who wait for one thing share one question; none waits longer than `backendPatienceMs`. A backend that did not
 *   answer is not asked again for a while (silences.ts), and a no is as good as an answer for `freshMs`: by backend and key.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { type BackendCause, BackendError } from '../../platform/backends/backend.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { OutboxKey } from '../../platform/tags/outbox.ts';
import { type AdoptStore, Bringer, brokenError } from './adopt.ts';
import type { Brought } from './brought.ts';
import type { BackingMetrics } from './metrics.ts';
import { Silences } from './silences.ts';

/** Less than the two seconds that callers give an index, so that they hear why. */
export const backendPatienceMs = 1_500;
/** A burst of pulls of one tag is one question, and a tag that was pushed to another cluster is here soon enough. */
export const freshMs = 3_000;
/** Keys that are remembered: 2 MB or so. */
const rememberedMax = 10_000;

export type ThroughParts = {
  readonly store: AdoptStore;
  readonly nowMs: () => number;
  /** Monotonic. */
  readonly tickMs: () => number;
  readonly metrics: BackingMetrics;
};

/** What another question would meet as well. */
export const DOWN: ReadonlySet<string> = new Set<BackendCause>([
  ...(['unavailable', 'stalled', 'throttled', 'credentials', 'denied', 'missing'] as const),
]);

type Asked = { readonly kind: 'tag' | 'manifest'; readonly repo: string; readonly name: string };

export class ReadThrough {
  readonly #parts: ThroughParts;
  readonly #asking = new Map<string, Promise<Brought>>();
  /** When it was asked last, and answered. */
  readonly #answered = new Map<string, number>();
  readonly #silences: Silences;

  constructor(parts: ThroughParts) {
    this.#parts = parts;
    this.#silences = new Silences(parts.tickMs);
  }

  /** The store then has what is newest of the tag, as far as it can be known. Throws UNAVAILABLE where that is nothing. */
  async tag(backed: TagsBacked, repo: string, tag: string): Promise<void> {
    const key: OutboxKey = { target: backed.name, repo, kind: 'tag', name: tag };
    if ((await this.#parts.store.pending(key)) !== undefined) return;
    try {
      await this.#ask(backed, { kind: 'tag', repo, name: tag });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const { version } = await this.#parts.store.tagState(repo, tag);
      if (version === null) throw error;
    }
  }

  /** Brings a manifest that the store has not got, if the backend has it. Throws UNAVAILABLE where that cannot be known. */
  async manifest(backed: TagsBacked, repo: string, digest: Digest): Promise<void> {
    const key: OutboxKey = { target: backed.name, repo, kind: 'manifest', name: digest };
    if ((await this.#parts.store.pending(key)) !== undefined) return;
    await this.#ask(backed, { kind: 'manifest', repo, name: digest });
  }

  async #ask(backed: TagsBacked, asked: Asked): Promise<void> {
    const name = nameOf(backed, asked);
    const now = this.#parts.tickMs();
    if (now - (this.#answered.get(name) ?? Number.NEGATIVE_INFINITY) < freshMs) return;
    if (this.#silences.silent(backed, asked.repo)) throw silent(backed, asked, 'did not answer just now');
    const brought = await (this.#asking.get(name) ?? this.#begin(backed, asked, name));
    if (brought.kind === 'broken') throw brokenError(asked.kind, brought);
  }

  #begin(backed: TagsBacked, asked: Asked, name: string): Promise<Brought> {
    const asking = this.#bring(backed, asked).finally(() => {
      if (this.#asking.get(name) === asking) this.#asking.delete(name);
    });
    this.#asking.set(name, asking);
    return asking;
  }

  async #bring(backed: TagsBacked, asked: Asked): Promise<Brought> {
    const { store, nowMs, metrics } = this.#parts;
    const bringer = new Bringer({ store, backed, nowMs });
    const signal = AbortSignal.timeout(backendPatienceMs);
    const late = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => late.reject(signal.reason));
    try {
      const bringing =
        asked.kind === 'tag'
          ? tagOf(bringer, asked, signal)
          : bringer.manifest(asked.repo, asked.name as Digest, signal);
      bringing.catch(() => undefined);
      // Not every step of every backend heeds a signal at once.
      const brought = await Promise.race([bringing, late.promise]);
      metrics.asked(backed.name, brought.kind);
      this.#silences.answered(backed);
      if (brought.kind !== 'broken') this.#remember(nameOf(backed, asked));
      return brought;
    } catch (error) {
      const cause = signal.aborted ? 'stalled' : error instanceof BackendError ? error.why : undefined;
      if (cause === undefined) throw error;
      metrics.asked(backed.name, cause);
      // The others speak of one object.
      if (DOWN.has(cause)) this.#silences.failed(backed, asked.repo);
      throw silent(
        backed,
        asked,
        signal.aborted ? `did not answer in ${backendPatienceMs / 1000} s` : (error as Error).message,
      );
    }
  }

  #remember(name: string): void {
    this.#answered.delete(name);
    this.#answered.set(name, this.#parts.tickMs());
    for (const oldest of this.#answered.keys()) {
      if (this.#answered.size <= rememberedMax) break;
      this.#answered.delete(oldest);
    }
  }
}

/** A link has no digest of its own: that it leads nowhere is believed when it does so twice. */
async function tagOf(bringer: Bringer, { repo, name }: Asked, signal: AbortSignal): Promise<Brought> {
  const brought = await bringer.tag(repo, name, signal);
  return brought.kind === 'broken' ? await bringer.tag(repo, name, signal) : brought;
}

function nameOf(backed: TagsBacked, { kind, repo, name }: Asked): string {
  return `${backed.name} ${repo} ${kind} ${name}`;
}

function silent(backed: TagsBacked, { kind, repo, name }: Asked, why: string): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    `whether ${kind} ${name} of repository ${repo} exists is for backend ${backed.name} to say, which ${why}: try again`,
  );
}
