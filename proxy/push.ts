/**
 * Blob uploads: the client's stream goes to the origins as it comes, and nothing stays here.
 *
 * Rule 1: where an upload stands is asked from its origins, at every request: any proxy can go on with it.
 * Rule 2: 201 says that the origins hold the blob synced and the index has linked it, in that order.
 * Rule 3: an upload goes on while one origin holds every acknowledged byte and as many as a push needs can be had;
 *         what lacks of copies then is made up for before the 201.
 */

import { ApiError } from '../core/contracts/errors.ts';
import { type Digest, digestAlgorithm } from '../core/digest.ts';
import { type ByteRange, parseChunkRange } from '../core/oci/range.ts';
import type { OciRequest } from '../core/oci/request.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { linkProved, prove, silent, tooFew, unavailable } from '../platform/clients/copies.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Origins } from '../platform/clients/origins.ts';
import type { OciContext, OciReply } from '../platform/registry/reply.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import { fanOut, type LaneResult, type OriginLane } from './fanout.ts';
import { makeUp } from './making-up.ts';
import {
  accepted,
  created,
  drawUploadId,
  fullest,
  gone,
  misfit,
  parseSession,
  place,
  progress,
  type Seen,
  type Session,
  sessionAt,
  standing,
} from './upload.ts';

/** Refusals of an origin that no other question explains better. */
const ANSWERS: ReadonlySet<string> = new Set(['STORAGE_FULL', 'SIZE_INVALID', 'TOOMANYREQUESTS']);

export type PushParts = {
  readonly index: Pick<IndexClient, 'linkBlob' | 'mount'>;
  readonly origins: Origins;
  readonly log: Logger;
  /** An origin that takes no byte for so long is left behind. */
  readonly originStallMs: number;
};

type Uploading = 'uploadBegin' | 'uploadStatus' | 'uploadAppend' | 'uploadCommit' | 'uploadCancel';
type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

/** A body that was taken: the session as it is now, and how many bytes the body had. */
type Streamed = { readonly kind: 'streamed'; readonly session: Session; readonly bytes: number };
/** A body that does not fit where the upload stands. */
type Misfit = { readonly kind: 'misfit'; readonly at: number };

export class Push {
  readonly #parts: PushParts;

  constructor(parts: PushParts) {
    this.#parts = parts;
  }

  handle(request: Request<Uploading>, context: OciContext): Promise<OciReply> {
    switch (request.kind) {
      case 'uploadBegin':
        return this.begin(request, context);
      case 'uploadStatus':
        return this.status(request, context);
      case 'uploadAppend':
        return this.append(request, context);
      case 'uploadCommit':
        return this.commit(request, context);
      case 'uploadCancel':
        return this.cancel(request, context);
    }
  }

  /** POST: a mount, a whole blob in one request, or a new session. */
  async begin(request: Request<'uploadBegin'>, context: OciContext): Promise<OciReply> {
    const { repo, mount, digest } = request;
    if (mount !== undefined && (await this.#mount(repo, mount, context))) return created(repo, mount.digest);
    if (digest === undefined) return accepted(repo, await this.#open(repo, request, context));
    // The digest is known: its owners get it at once, and nothing has to be handed over later.
    const session = await this.#open(repo, { algorithm: digestAlgorithm(digest), key: digest }, context);
    const streamed = await this.#stream(session, undefined, context);
    if (streamed.kind === 'misfit') return misfit(repo, session, streamed.at);
    return this.#commit(repo, { session: streamed.session, digest }, context);
  }

  async status(request: Request<'uploadStatus'>, context: OciContext): Promise<OciReply> {
    const session = this.#session(request);
    const now = standing(await this.#seen(session, context), session.acked);
    if (now.kind !== 'open') throw gone(session, now.kind);
    return { kind: 'empty', status: 204, headers: progress(request.repo, session, now.at) };
  }

  async append(request: Request<'uploadAppend'>, context: OciContext): Promise<OciReply> {
    const session = this.#session(request);
    const streamed = await this.#stream(session, chunkRange(context), context);
    if (streamed.kind === 'misfit') return misfit(request.repo, session, streamed.at);
    return accepted(request.repo, streamed.session);
  }

  async commit(request: Request<'uploadCommit'>, context: OciContext): Promise<OciReply> {
    const { repo, digest } = request;
    const session = await this.#sessionFor(this.#session(request), request, context);
    const seen = await this.#seen(session, context);
    const now = standing(seen, session.acked);
    if (now.kind !== 'open') return this.#committedBefore(repo, { session, digest, seen }, context);
    if (context.body.length === 0) {
      const origins = fullest(seen, now.lanes).map((lane) => session.origins[lane] as OriginClient);
      const committed = await this.#commit(repo, { session: { ...session, origins }, digest }, context);
      const behind = session.origins.filter((origin) => !origins.includes(origin));
      void this.#giveUp({ id: session.id, origins: behind }, context.call);
      return committed;
    }
    const streamed = await this.#stream(session, chunkRange(context), context);
    if (streamed.kind === 'misfit') return misfit(repo, session, streamed.at);
    return this.#commit(repo, { session: streamed.session, digest }, context);
  }

  async cancel(request: Request<'uploadCancel'>, context: OciContext): Promise<OciReply> {
    const session = this.#session(request);
    const ctx = context.call;
    const found = await Promise.allSettled(session.origins.map((origin) => origin.cancel(session.id, ctx)));
    this.#leave(session, session.origins, ctx);
    if (found.some((result) => result.status === 'fulfilled' && result.value)) return { kind: 'empty', status: 204 };
    const failures = found.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    if (failures.length > 0) throw unavailable(`upload ${session.id}`, failures);
    throw gone(session, 'unknown');
  }

  /** No upload of that id is open: perhaps it was committed, and the answer was lost. The origins remember. */
  async #committedBefore(
    repo: string,
    upload: { session: Session; digest: Digest; seen: readonly Seen[] },
    context: OciContext,
  ): Promise<OciReply> {
    const { session, digest, seen } = upload;
    const heard = session.origins.filter((_, lane) => seen[lane] !== 'silent');
    const silent = heard.length < seen.length;
    if (heard.length === 0) throw gone(session, 'silent');
    try {
      return await this.#commit(repo, { session: { ...session, origins: heard }, digest }, context);
    } catch (error) {
      const never = error instanceof ApiError && error.code === 'BLOB_UPLOAD_UNKNOWN';
      throw never ? gone(session, silent ? 'silent' : 'unknown') : error;
    }
  }

  #session(request: { readonly repo: string; readonly session: string }): Session {
    return parseSession(request.session, request.repo, this.#parts.origins);
  }

  /**
   * An origin hashes as bytes come, so the algorithm is named when the upload begins. Where the client names
   * another one only at the end, an empty upload begins anew; else the origins may read theirs again, or refuse.
   */
  async #sessionFor(session: Session, request: Request<'uploadCommit'>, context: OciContext): Promise<Session> {
    const algorithm = digestAlgorithm(request.digest);
    if (session.algorithm === algorithm) return session;
    const seen = await this.#seen(session, context);
    if (seen.some((offset) => offset !== 0)) return session;
    await this.#giveUp(session, context.call);
    return this.#open(request.repo, { algorithm, key: request.digest }, context);
  }

  /** Begins an upload on the origins of `key`, or of its own id. */
  async #open(
    repo: string,
    about: { algorithm: Session['algorithm']; key?: string },
    { call: ctx, subject }: OciContext,
  ): Promise<Session> {
    const id = drawUploadId(repo, subject?.name);
    const { algorithm } = about;
    const asked: OriginClient[] = [];
    const begin = async (origin: OriginClient, call: CallContext): Promise<void> => {
      asked.push(origin);
      await origin.begin(id, algorithm, call);
    };
    let origins: OriginClient[] = [];
    try {
      origins = await this.#parts.origins.onCopies(about.key ?? id, begin, ctx);
      return sessionAt({ id, algorithm, acked: 0 }, origins, this.#parts.origins);
    } finally {
      // The client never hears of an upload there: it must not take the place of one that goes on.
      void this.#giveUp({ id, origins: asked.filter((origin) => !origins.includes(origin)) }, ctx);
    }
  }

  /** Whether the blob is now linked. It must be at the origins too: else the client had better push it. */
  async #mount(repo: string, mount: { digest: Digest; from: string }, context: OciContext): Promise<boolean> {
    const { index, origins } = this.#parts;
    const ctx = context.call;
    const blob = { digest: mount.digest, repo };
    const held = await origins.proved(blob, ctx);
    if (held === undefined && !(await origins.there(blob, ctx))) return false;
    // Each repository may have a backend of its own: as many origins promise to write it there as a push needs.
    if (held?.backed === true && !(await prove(origins, blob, ctx, 'long').catch(unheard))) return false;
    return (await index.mount(repo, mount.digest, mount.from, ctx)) !== undefined;
  }

  async #seen(session: Session, context: OciContext): Promise<Seen[]> {
    const ctx = context.call;
    return Promise.all(
      session.origins.map(async (origin): Promise<Seen> => {
        try {
          return (await origin.offset(session.id, ctx)) ?? 'unknown';
        } catch (error) {
          if (!(error instanceof ApiError) || ctx.signal.aborted) throw error;
          return 'silent';
        }
      }),
    );
  }

  /** Streams the request's body to every origin that holds all before it. */
  async #stream(session: Session, range: ByteRange | undefined, context: OciContext): Promise<Streamed | Misfit> {
    const seen = await this.#seen(session, context);
    const placed = place(seen, session.acked, range?.start, this.#parts.origins.required);
    if (placed.kind === 'unknown' || placed.kind === 'silent') throw gone(session, placed.kind);
    if (placed.kind !== 'fits') return { kind: 'misfit', at: placed.at };
    const origins = placed.lanes.map((lane) => session.origins[lane] as OriginClient);
    const lanes = placed.lanes.map((lane) =>
      this.#lane(session, lane, { at: seen[lane] as number, start: placed.start, context }),
    );
    const options = { stallMs: this.#parts.originStallMs, signal: context.call.signal };
    const { bytes, results } = await fanOut(context.body.chunks(), lanes, options);
    if (range !== undefined && bytes > range.end - range.start) throw longer(range, bytes);
    const good = origins.filter((_, i) => {
      const result = results[i];
      return result?.kind === 'sent' && result.offset >= placed.start + bytes;
    });
    const failures = results.flatMap((result) => (result.kind === 'failed' ? [result.error] : []));
    if (!(await this.#canHold(good, refusers(origins, results), context.call)))
      return this.#refused(session, failures, context);
    this.#leave(
      session,
      origins.filter((origin) => !good.includes(origin)),
      context.call,
    );
    this.#note(session, failures, context);
    return {
      kind: 'streamed',
      bytes,
      session: sessionAt({ ...session, acked: placed.start + bytes }, good, this.#parts.origins),
    };
  }

  #lane(session: Session, lane: number, to: { at: number; start: number; context: OciContext }): OriginLane {
    const origin = session.origins[lane] as OriginClient;
    return {
      skip: to.at - to.start,
      send: async (body, signal) => {
        const ctx = to.context.call.withSignal(signal);
        const { taken, offset } = await origin.append(session.id, to.at, { body, ctx });
        if (!taken) throw new ApiError('BLOB_UPLOAD_RANGE', `the upload stands at ${offset} on ${origin.url}`);
        return offset;
      },
    };
  }

  /** Whether as many origins can be had as a push needs, those that took all of it among them. */
  async #canHold(good: readonly OriginClient[], refusers: readonly OriginClient[], ctx: CallContext): Promise<boolean> {
    const { clients, required } = this.#parts.origins;
    if (good.length === 0 || good.length >= required) return good.length > 0;
    const others = clients.filter((client) => !good.includes(client) && !refusers.includes(client));
    const answers = await Promise.allSettled(others.map((client) => client.ping(ctx)));
    ctx.signal.throwIfAborted();
    return good.length + answers.filter(({ status }) => status === 'fulfilled').length >= required;
  }

  /** Too few took the body: another request was writing (the client may ask where it stands), or they failed. */
  async #refused(session: Session, failures: readonly unknown[], context: OciContext): Promise<Misfit> {
    // What the origins say, a full disk for one, before what has become of the upload.
    const told = failures.find((error) => error instanceof ApiError && ANSWERS.has(error.code));
    const seen = await this.#seen(session, context);
    const now = standing(seen, session.acked);
    const { required } = this.#parts.origins;
    const able = now.kind === 'open' ? now.lanes.length : 0;
    if (told !== undefined) {
      if (able + seen.filter((one) => one === 'silent').length < required) await this.#giveUp(session, context.call);
      throw told;
    }
    if (now.kind !== 'open') throw gone(session, now.kind);
    if (failures.some((error) => error instanceof ApiError && error.code === 'BLOB_UPLOAD_RANGE')) {
      return { kind: 'misfit', at: now.at };
    }
    throw tooFew(able, required, unavailable(`upload ${session.id}`, failures));
  }

  async #commit(repo: string, upload: { session: Session; digest: Digest }, context: OciContext): Promise<OciReply> {
    const { index, origins, originStallMs: stallMs } = this.#parts;
    const { session, digest } = upload;
    const ctx = context.call;
    const results = await Promise.allSettled(
      session.origins.map((origin) => origin.commit(session.id, { digest, repo }, ctx)),
    );
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    const info = results.find((result) => result.status === 'fulfilled')?.value;
    const holders = session.origins.filter((_, i) => results[i]?.status === 'fulfilled');
    if (info !== undefined && holders.length < origins.required) {
      const made = await makeUp(
        origins,
        { blob: { digest, repo }, info, holders, tried: session.origins, stallMs },
        ctx,
      );
      ctx.signal.throwIfAborted();
      holders.push(...made.done);
      failures.push(...made.failures);
    }
    if (info === undefined || holders.length < origins.required) {
      throw uncommitted(session, failures, { able: holders.length, required: origins.required });
    }
    this.#leave(session, session.origins, ctx);
    this.#note(session, failures, context);
    const size = info.meta.length;
    const linked = await linkProved(
      (proof) => index.linkBlob(repo, digest, { size, proof }, ctx),
      () => prove(origins, { digest, repo }, ctx),
    );
    if (!linked) throw gone(session, 'unknown');
    return created(repo, digest);
  }

  /** Nobody can go on with it: what origins hold of it would only keep their room from whoever tries again. */
  async #giveUp({ id, origins }: Pick<Session, 'id' | 'origins'>, ctx: CallContext): Promise<void> {
    await Promise.all(origins.map((origin) => origin.abandon(id, ctx.detached())));
  }

  /** It goes on, or has ended, without those of `origins` that hang: they drop it when they are back. */
  #leave({ id }: Session, origins: readonly OriginClient[], ctx: CallContext): void {
    void this.#giveUp({ id, origins: origins.filter((origin) => origin.pulse.silent) }, ctx);
  }

  /** A push that goes on with fewer origins than it could have: the hand-over makes up for it later. */
  #note(session: Session, failures: readonly unknown[], context: OciContext): void {
    for (const error of failures) {
      const why = (error as Error).message;
      this.#parts.log.warn({ ...context.call.ids, upload: session.id, why }, 'upload goes on without an origin');
    }
  }
}

/** The chunk's Content-Range, if any; it must agree with the body's length where that is known. */
function chunkRange(context: OciContext): ByteRange | undefined {
  const header = context.header('content-range');
  if (header === undefined) return undefined;
  const range = parseChunkRange(header);
  const { length } = context.body;
  if (length !== undefined && length !== range.end - range.start) throw longer(range, length);
  return range;
}

/** Those of `origins` that answered that they cannot take it. */
function refusers(origins: readonly OriginClient[], results: readonly LaneResult[]): OriginClient[] {
  return origins.filter((_, i) => {
    const result = results[i];
    return result?.kind === 'failed' && result.error instanceof ApiError && ANSWERS.has(result.error.code);
  });
}

/** Who pushes the blob itself may find enough origins. */
function unheard(error: unknown): false {
  if (silent(error)) return false;
  throw error;
}

function longer(range: ByteRange, bytes: number): ApiError {
  const said = range.end - range.start;
  return new ApiError('BLOB_UPLOAD_INVALID', `Content-Range covers ${said} bytes, but the body has ${bytes}`);
}

/** Why no origin, or too few, committed: the client's fault is told before ours. */
function uncommitted(
  session: Session,
  failures: readonly unknown[],
  need: { readonly able: number; readonly required: number },
): unknown {
  const bug = failures.find((error) => !(error instanceof ApiError));
  const told = failures.find((error) => error instanceof ApiError && error.code === 'DIGEST_INVALID');
  if (bug !== undefined || told !== undefined || !failures.some(silent)) return bug ?? told ?? failures[0];
  return tooFew(need.able, need.required, unavailable(`upload ${session.id}`, failures));
}
