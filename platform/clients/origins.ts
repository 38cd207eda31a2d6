/**
 * All origins of the cluster as one: owners by rendezvous hash, the next one where one fails.
 *
 * Rule 1: "nobody holds it" is said only where every origin said so, those too that left the list a moment ago; else it
 *         is UNAVAILABLE.
 * Rule 2: a push goes to origins that answer; to one that does not only where there are too few without it.
 */

import { randomUUID } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobInfo } from '../../core/contracts/origin.ts';
import { type BlobIn, type Digest, digestAlgorithm } from '../../core/digest.ts';
import { Redirect } from '../http/content.ts';
import { type Hedged, hedgeMs, type Members } from '../members/members.ts';
import { CallContext } from './context.ts';
import { manyAnswers, tooFew, unavailable } from './copies.ts';
import type { OriginClient, ReadPart } from './origin.ts';

export type OriginsOptions = {
  readonly members: Members<OriginClient>;
  /** Origins that a push goes to; all where there are fewer. */
  readonly copies: number;
  /** Of these, how many must hold a blob synced before the push is acknowledged. */
  readonly required: number;
};

/** Bytes on loan, as platform/registry takes them. */
export type OriginChunk = { readonly bytes: readonly Uint8Array[]; release(): void };

export class Origins {
  readonly #options: OriginsOptions;

  constructor(options: OriginsOptions) {
    this.#options = options;
  }

  get clients(): readonly OriginClient[] {
    return this.#options.members.all;
  }

  /** What it is called on the ring; its URL where that is not known. */
  idOf({ url }: OriginClient): string {
    return this.#options.members.idOf(url) ?? url;
  }

  /**
   * One that left the list for a moment counts, and so does each of two that say to be one: a push is not acknowledged
   * with fewer copies because of it.
   */
  get copies(): number {
    const { members, copies } = this.#options;
    const lasting = members.places.filter(({ draining }) => !draining);
    const doubled = members.doubles.reduce((more, { urls }) => more + urls.length - 1, 0);
    return Math.min(copies, Math.max(this.clients.length, lasting.length) + doubled);
  }

  get required(): number {
    return Math.min(this.#options.required, this.copies);
  }

  /** The same origins, for what is to lie on so many of them and no more. */
  atMost(replicas: number): Origins {
    const { members, copies, required } = this.#options;
    return new Origins({ members, copies: Math.min(copies, replicas), required: Math.min(required, replicas) });
  }

  /** Every origin, the owners of `key` first, those that did not answer lately last. */
  order(key: string): OriginClient[] {
    return this.#options.members.order(key);
  }

  /**
   * Metainfo from the first origin that can serve the blob whole, as a sample of its pieces shows: a push is not made
   * because of it. Undefined where every origin says that it cannot.
   */
  async proved(blob: BlobIn, ctx: CallContext): Promise<BlobInfo | undefined> {
    const { digest } = blob;
    const found = await this.#first(this.order(digest), (client, call) => client.sampled(blob, call), ctx);
    if (found.kind === 'answer') return found.answer;
    await this.#heardAll(digest, found.failures, ctx);
    return undefined;
  }

  /** Whether a push may be spared: enough is here, as `proved` says, or the repository's backend has it. Downloads nothing. */
  async there(blob: BlobIn, ctx: CallContext): Promise<boolean> {
    if ((await this.proved(blob, ctx)) !== undefined) return true;
    const found = await this.#first(this.order(blob.digest), (client, call) => client.stored(blob, call), ctx);
    if (found.kind === 'answer') return true;
    await this.#heardAll(blob.digest, found.failures, ctx);
    return false;
  }

  /**
   * Bytes [start, end). An origin that breaks off is followed by the next one from the same byte.
   * Throws BLOB_UNKNOWN where no origin holds it, UNAVAILABLE where one that may hold it does not answer; Redirect before
   * the first byte, if at all, and only where the part says `redirect`.
   */
  async *read(blob: BlobIn, part: ReadPart, ctx: CallContext): AsyncGenerator<OriginChunk, void, undefined> {
    const { digest } = blob;
    let { start } = part;
    let left = this.order(digest);
    const failures: unknown[] = [];
    while (start < part.end) {
      const from = start;
      const alone = left.length === 1;
      const redirect = from === part.start ? part.redirect : undefined;
      const found = await this.#first(
        left,
        (client, call) => client.read(blob, { start: from, end: part.end, alone, redirect }, call),
        ctx,
      );
      if (found.kind === 'none') {
        await this.#heardAll(digest, [...failures, ...found.failures], ctx);
        throw new ApiError('BLOB_UNKNOWN', `no origin holds ${digest} whole: push it again`);
      }
      left = left.filter((client) => client !== found.from);
      if (found.answer instanceof Redirect) throw found.answer;
      try {
        for await (const bytes of found.answer) {
          start += bytes.length;
          yield { bytes: [bytes], release: nothing };
        }
      } catch (error) {
        failures.push(passing(error, ctx));
      }
    }
  }

  /** Throws UNAVAILABLE where some origin that may hold it did not say no; it waits a moment for who they are. */
  async #heardAll(digest: Digest, failures: readonly unknown[], ctx: CallContext): Promise<void> {
    if (failures.length === 0) await this.#options.members.introduced(ctx.signal);
    const unheard = this.#options.members.unheard.map((why) => new ApiError('UNAVAILABLE', `origin ${why}`));
    if (failures.length + unheard.length > 0) throw unavailable(digest, [...failures, ...unheard]);
  }

  /** The first answer of `clients` in order; none of them is waited for much longer than usual alone. */
  async #first<T>(
    clients: readonly OriginClient[],
    question: (client: OriginClient, ctx: CallContext) => Promise<T | undefined>,
    ctx: CallContext,
  ): Promise<Hedged<OriginClient, T>> {
    const ask = (client: OriginClient, signal: AbortSignal) => question(client, ctx.withSignal(signal));
    const hedged = await this.#options.members.first(clients, ask, ctx.signal);
    if (hedged.kind === 'none') for (const error of hedged.failures) passing(error, ctx);
    return hedged;
  }

  /** Makes a manifest's `bytes`, whose digest the caller has checked, lie synced on as many owners as a push needs. */
  async store(blob: BlobIn, bytes: Uint8Array, ctx: CallContext): Promise<void> {
    await this.onCopies(blob.digest, (client, call) => storeAt(client, { blob, bytes }, call), ctx);
  }

  /**
   * Acts on the `copies` first origins of `key` at once; each that fails, or is silent for `hedgeMs`, is replaced by
   * the next in order. Answers those that succeeded; throws where they are fewer than `required`.
   */
  async onCopies(
    key: string,
    act: (client: OriginClient, ctx: CallContext) => Promise<unknown>,
    ctx: CallContext,
  ): Promise<OriginClient[]> {
    await this.#options.members.placed(ctx.signal);
    const { copies, required } = this;
    const { done, failures } = await manyAnswers(this.order(key), act, {
      ctx,
      copies,
      required,
      hedgeMs,
    });
    for (const error of failures) passing(error, ctx);
    if (done.length < required) throw tooFew(done.length, required, unavailable(key, failures));
    return done;
  }

  /** Why a push could not be taken now, one line each; empty: it could. */
  async problems(): Promise<string[]> {
    const ctx = CallContext.begin({ requestId: 'readiness' });
    const results = await Promise.allSettled(this.clients.map((client) => client.ping(ctx)));
    const failed = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as Error).message] : [],
    );
    return this.clients.length - failed.length >= this.required ? [] : failed;
  }
}

async function storeAt(
  client: OriginClient,
  { blob, bytes }: { blob: BlobIn; bytes: Uint8Array },
  ctx: CallContext,
): Promise<void> {
  const there = await client.sampled(blob, ctx);
  if (there !== undefined && (there.backed !== true || (await client.prove(blob, ctx, 'long')))) return;
  const id = randomUUID();
  await client.begin(id, digestAlgorithm(blob.digest), ctx, 'manifest');
  if (bytes.length > 0) await client.append(id, 0, { body: once(bytes), ctx });
  await client.commit(id, blob, ctx);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** An error that another origin may not have; anything else is thrown. */
function passing(error: unknown, ctx: CallContext): unknown {
  if (ctx.signal.aborted || !(error instanceof ApiError)) throw error;
  return error;
}

const nothing = (): void => undefined;
