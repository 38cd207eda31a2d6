/**
 * One origin over HTTP: core/contracts/origin.ts as methods. `origins.ts` chooses among several.
 *
 * Rule 1: a streamed upload is limited by the origin's silence, which the caller measures (it knows
 *         whether bytes are waiting), never by its duration; the same goes for a commit. An origin that hangs,
 *         rather than being slow, ends both within 2 s (pulse.ts), and what is answered from memory as well.
 * Rule 2: what an origin answers is believed only as far as its shape is right.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { OriginIdentity } from '../../core/contracts/members.ts';
import {
  type BeginUpload,
  type BlobInfo,
  backendRefusal,
  type FetchRequest,
  type FetchState,
  type GrowingInfo,
  type InfoProof,
  type InfosReply,
  type InfosRequest,
  ORIGIN,
  type Uploader,
  uploadKindHeader,
  type WriteBackReply,
} from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import type { BlobIn, Digest, DigestAlgorithm } from '../../core/digest.ts';
import { Redirect } from '../http/content.ts';
import type { MemberList } from '../members/list.ts';
import { Members } from '../members/members.ts';
import type { MemberCheck, MembersOptions } from '../members/types.ts';
import type { HttpTransport } from '../net/http.ts';
import { CallContext } from './context.ts';
import { HttpClient } from './http.ts';
import { InfoBatch, type InfoCalls } from './info-batch.ts';
import { type Prefetched, prefetchAt } from './origin-prefetch.ts';
import { RepairClient } from './origin-repair.ts';
import { impatienceMs, type Pulse, silenceMs } from './pulse.ts';

/** A commit syncs the whole blob to disk: gigabytes on a slow one. */
export const commitStallMs = 300_000;
/** Streams in and out of one origin at a time, from one process. */
const connectionsMax = 512;

export type Appended = {
  /** False: nothing was taken, since the upload stands elsewhere. */
  readonly taken: boolean;
  /** Where the upload stands now. */
  readonly offset: number;
};

export type ReadPart = {
  readonly start: number;
  readonly end: number;
  /** Nobody else has it: once it sends, it may hang for as long as a slow one may be silent. */
  readonly alone?: boolean | undefined;
  /** Bytes of the blob: the reader goes where the repository's backend gives them, should the origin say so. */
  readonly redirect?: number | undefined;
};

/** What an `info` asks beside the digest. */
type InfoAsked = {
  readonly repo?: string | undefined;
  readonly proof?: InfoProof | undefined;
  readonly growing?: 1 | undefined;
} & Partial<PassedOn>;
/** `hops`: how often the question was passed on, this time included. `cold`: core/contracts/origin.ts. */
export type PassedOn = { readonly hops: number; readonly cold?: 'stat' | undefined };

export class OriginClient {
  /** Its base URL. */
  readonly url: string;
  readonly repair: RepairClient;
  readonly #http: HttpClient;
  readonly #held: InfoBatch<BlobInfo>;
  readonly #known: InfoBatch<BlobInfo | GrowingInfo>;
  readonly #located: InfoBatch<BlobInfo | GrowingInfo>;

  /** Default transport: TCP. */
  constructor(
    url: string,
    o: { readonly transport?: HttpTransport | undefined; readonly host?: string | undefined } = {},
  ) {
    this.url = url;
    this.#http = new HttpClient({ base: url, connections: connectionsMax, ...o });
    this.repair = new RepairClient(this.#http);
    const checked = (info: BlobInfo | GrowingInfo, digest: Digest): BlobInfo | GrowingInfo => about(digest, info, url);
    const batch = (how: Omit<InfoAsked, 'repo'>): InfoCalls<BlobInfo | GrowingInfo> => ({
      one: (blob, ctx) => this.#info(blob, how, ctx),
      many: (digests, repo, ctx) => this.#manyInfos(digests, { ...how, repo }, ctx),
      checked,
    });
    this.#known = new InfoBatch(batch({ growing: 1 }));
    this.#located = new InfoBatch(batch({ growing: 1, cold: 'stat' }));
    const held = batch({ proof: 'sample' });
    this.#held = new InfoBatch({
      ...held,
      one: async (blob, ctx) => {
        const info = await held.one(blob, ctx);
        return info === undefined ? undefined : whole(info, url);
      },
      checked: (info, digest) => whole(checked(info, digest), url),
    });
  }

  /** Whether it answers at all. */
  get pulse(): Pulse {
    return this.#http.pulse;
  }

  get underWay(): number {
    return this.#http.underWay;
  }

  /** For what an origin answers from memory. */
  #short(): { withinMs: number; tries: number } {
    return { withinMs: this.pulse.silent ? impatienceMs : silenceMs, tries: 1 };
  }

  /** Begins upload `id`, or finds it begun. Throws UNAVAILABLE, TOOMANYREQUESTS. */
  async begin(
    id: string,
    algorithm: DigestAlgorithm,
    ctx: CallContext,
    kind: Uploader['kind'] = 'blob',
  ): Promise<number> {
    const body: BeginUpload = { algorithm };
    const headers = { [uploadKindHeader]: kind };
    const options = { ctx, body, headers, ...this.#short() };
    return ORIGIN.begin.reply(await this.#http.json('POST', ORIGIN.begin.path({ id }), options), this.url).offset;
  }

  /** Where the upload stands, or undefined where the origin does not know it. */
  async offset(id: string, ctx: CallContext): Promise<number | undefined> {
    const options = { ctx, expect: [404], ...this.#short() };
    const reply = await this.#http.stream('GET', ORIGIN.upload.path({ id }), options);
    const status = await reply.json();
    return reply.status === 404 ? undefined : ORIGIN.upload.reply(status, this.url).offset;
  }

  /** Appends `body` at `offset`. A failure midway leaves the upload where its bytes ended. */
  async append(
    id: string,
    offset: number,
    upload: { body: AsyncIterable<Uint8Array>; ctx: CallContext },
  ): Promise<Appended> {
    const options = { ...upload, expect: [409], stallMs: 0, watched: true };
    const reply = await this.#http.stream('PATCH', ORIGIN.append.path({ id, offset }), options);
    return { taken: reply.status !== 409, offset: ORIGIN.append.reply(await reply.json(), this.url).offset };
  }

  /** Verifies, and syncs. May be asked again. Throws DIGEST_INVALID (nothing is kept), BLOB_UPLOAD_UNKNOWN. */
  async commit(id: string, blob: BlobIn, ctx: CallContext): Promise<BlobInfo> {
    const options = { ctx, stallMs: commitStallMs, watched: true };
    const info = await this.#http.json('PUT', ORIGIN.commit.path({ id, ...blob }), options);
    return about(blob.digest, ORIGIN.commit.reply(info, this.url), this.url);
  }

  /** Whether there was such an upload. */
  async cancel(id: string, ctx: CallContext): Promise<boolean> {
    return this.#remove(ORIGIN.cancel.path({ id }), ctx);
  }

  /**
   * Nobody goes on with the upload: it is cancelled, and where the origin hangs, once it answers again. Never fails:
   * what comes to nothing the origin ends by itself, when the upload was idle for long.
   */
  async abandon(id: string, ctx: CallContext): Promise<void> {
    if (!this.pulse.silent) await this.cancel(id, ctx).catch(() => undefined);
    if (this.pulse.silent) this.pulse.onceHeard(() => void this.abandon(id, ctx));
  }

  /**
   * The blob's metainfo, or what is known of it so far where origins fetch it from the repository's backend, which they
   * begin to; undefined where the origin cannot serve it.
   */
  info(blob: BlobIn, ctx: CallContext): Promise<BlobInfo | GrowingInfo | undefined> {
    return this.#known.ask(blob, ctx);
  }

  /** The blob's metainfo, where the origin holds it whole itself, as a sample of its pieces shows. */
  sampled(blob: BlobIn, ctx: CallContext): Promise<BlobInfo | undefined> {
    return this.#held.ask(blob, ctx);
  }

  /** As `info`; nothing is fetched because of it. */
  located(blob: BlobIn, ctx: CallContext): Promise<BlobInfo | GrowingInfo | undefined> {
    return this.#located.ask(blob, ctx);
  }

  /** As `info`, from an origin that the question is passed on to. Throws BLOB_UNKNOWN, with who said so in its detail. */
  async passedOn(blob: BlobIn, how: PassedOn, ctx: CallContext): Promise<BlobInfo | GrowingInfo> {
    const path = ORIGIN.info.path({ ...blob, growing: 1, ...how });
    const info = await this.#http.json('GET', path, { ctx, ...this.#short() });
    return about(blob.digest, ORIGIN.info.reply(info, this.url), this.url);
  }

  /** Bytes of the blob in the repository's backend; undefined: it has none, or not the right one, or the origin holds it itself. */
  async stored(blob: BlobIn, ctx: CallContext): Promise<number | undefined> {
    try {
      const info = await this.passedOn(blob, { hops: 0, cold: 'stat' }, ctx);
      return 'growth' in info ? info.growth.length : undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'BLOB_UNKNOWN' || backendRefusal(error.detail)?.damaged === true) return undefined;
      throw error;
    }
  }

  /**
   * Whether the origin holds the blob whole; if so it keeps it, whatever the index said before, and sees to it that the
   * repository's backend gets it. 'long': that may take as long as a commit, where it is to be there before the answer.
   */
  async prove(blob: BlobIn, ctx: CallContext, takes: 'short' | 'long' = 'short'): Promise<boolean> {
    const limits = takes === 'short' ? this.#short() : { stallMs: commitStallMs, watched: true, tries: 1 };
    const options = { ctx, ...limits };
    try {
      const reply = await this.#http.stream('POST', ORIGIN.prove.path(blob), options);
      await reply.discard();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'BLOB_UNKNOWN') return false;
      // One of a release that removes nothing by itself, and does not know the question.
      if (error.code === 'NOT_FOUND') return (await this.sampled(blob, ctx)) !== undefined;
      throw error;
    }
  }

  async #info(
    blob: BlobIn,
    how: Omit<InfoAsked, 'repo'>,
    ctx: CallContext,
  ): Promise<BlobInfo | GrowingInfo | undefined> {
    const options = { ctx, expect: [404], ...this.#short() };
    const reply = await this.#http.stream('GET', ORIGIN.info.path({ ...blob, ...how }), options);
    const info = await reply.json();
    return reply.status === 404 ? undefined : about(blob.digest, ORIGIN.info.reply(info, this.url), this.url);
  }

  async #manyInfos(digests: readonly Digest[], of: InfoAsked, ctx: CallContext): Promise<InfosReply> {
    const body: InfosRequest = { digests };
    const options = { ctx, body, ...this.#short() };
    const reply = ORIGIN.infos.reply(await this.#http.json('POST', ORIGIN.infos.path(of), options), this.url);
    if (reply.infos.length === digests.length) return reply;
    throw new ApiError('UNAVAILABLE', `origin ${this.url} did not answer for ${digests.length} blobs`);
  }

  /** Bytes [start, end), start < end, or where they are; undefined where the origin does not hold the blob. */
  async read(
    blob: BlobIn,
    part: ReadPart,
    ctx: CallContext,
  ): Promise<AsyncIterable<Uint8Array> | Redirect | undefined> {
    const headers = { range: `bytes=${part.start}-${part.end - 1}` };
    const limit = this.pulse.silent ? { withinMs: impatienceMs } : {};
    const options = {
      ctx,
      headers,
      expect: [404, 307],
      tries: 1,
      watched: part.alone === true ? ('head' as const) : true,
      ...limit,
    };
    const reply = await this.#http.stream('GET', ORIGIN.read.path({ ...blob, redirect: part.redirect }), options);
    if (reply.status === 404) {
      await reply.discard();
      return undefined;
    }
    const { location = '' } = reply.headers;
    if (reply.status === 307 && part.redirect !== undefined && readable(location)) {
      await reply.discard();
      return new Redirect(location);
    }
    if (reply.status === 206 || (part.start === 0 && reply.headers['content-length'] === String(part.end)))
      return reply.body;
    await reply.discard();
    throw new ApiError('UNAVAILABLE', `origin ${this.url} answered ${reply.status} to a range of ${blob.digest}`);
  }

  /** Whether the origin held the blob. */
  async remove(digest: Digest, ctx: CallContext): Promise<boolean> {
    return this.#remove(ORIGIN.remove.path({ digest }), ctx);
  }

  /** Asks the origin to pull the blob from `from`; true where it holds it already. */
  async fetch(digest: Digest, from: FetchRequest, ctx: CallContext): Promise<boolean> {
    return (await this.takeOver(digest, from, ctx)).state === 'held';
  }

  /** The same, and how far it is. */
  async takeOver(digest: Digest, from: FetchRequest, ctx: CallContext): Promise<FetchState> {
    const options = { ctx, body: from, ...this.#short() };
    const reply = await this.#http.json('POST', ORIGIN.fetch.path({ digest }), options);
    return ORIGIN.fetch.reply(reply, this.url);
  }

  /**
   * Asks the origin to write the blob to the repository's backend. undefined: it does not hold it whole; 'not there': it
   * knows of no backend for that repository, or of none at all.
   */
  async writeBack(blob: BlobIn, ctx: CallContext): Promise<WriteBackReply | 'not there' | undefined> {
    try {
      const reply = await this.#http.json('POST', ORIGIN.writeBack.path(blob), { ctx, ...this.#short() });
      return ORIGIN.writeBack.reply(reply, this.url);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'BLOB_UNKNOWN') return undefined;
      if (error.code === 'UNSUPPORTED' || error.code === 'NOT_FOUND') return 'not there';
      throw error;
    }
  }

  /** It has the blob from now on, or fetches it. */
  prefetch(blob: BlobIn & { readonly repo: string }, ctx: CallContext): Promise<Prefetched> {
    return prefetchAt(this.#http, blob, ctx);
  }

  /** Who it is; undefined: it is of a release before, which has no id. */
  async identity(told: boolean, ctx: CallContext): Promise<OriginIdentity | undefined> {
    try {
      const path = ORIGIN.identity.path(told ? { told: 1 } : {});
      const reply = await this.#http.json('GET', path, { ctx, tries: 1 });
      return ORIGIN.identity.reply(reply, this.url);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** Resolves where the origin answers at all. */
  async ping(ctx: CallContext): Promise<void> {
    const reply = await this.#http.stream('GET', PROBES.health.pattern, { ctx, withinMs: silenceMs, tries: 1 });
    await reply.discard();
  }

  async #remove(path: string, ctx: CallContext): Promise<boolean> {
    const reply = await this.#http.stream('DELETE', path, { ctx, expect: [404], ...this.#short() });
    await reply.discard();
    return reply.status !== 404;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

/** A URL that a reader may be sent to. */
function readable(url: string): boolean {
  return /^https?:\/\//.test(url) && URL.canParse(url);
}

function about<T extends BlobInfo | GrowingInfo>(digest: Digest, info: T, url: string): T {
  if (info.digest === digest) return info;
  throw new ApiError('UNAVAILABLE', `origin ${url} answered metainfo of ${info.digest}, asked for ${digest}`);
}

/** Who did not ask for what grows gets none of it. */
function whole(info: BlobInfo | GrowingInfo, url: string): BlobInfo {
  if ('meta' in info) return info;
  throw new ApiError('UNAVAILABLE', `origin ${url} still receives ${info.digest}: try again`);
}

/** How the origins are known. Default: as a list has them, by their URLs, found out by calls alone. */
export type OriginsKnown = Pick<MembersOptions<OriginClient>, 'self' | 'ids' | 'rarely' | 'timing' | 'graceMs'> & {
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

/** All origins, as many clients of this process share them. `ids`: each is asked now and then who it is. */
export function originMembers(list: MemberList, known: OriginsKnown = {}): Members<OriginClient> {
  const { transport, ...how } = known;
  const ask = (client: OriginClient, { told, signal }: MemberCheck) =>
    client.identity(told, CallContext.begin({ signal }));
  return new Members({
    list,
    ...how,
    check: how.ids === true ? ask : undefined,
    connect: (url, host) => new OriginClient(url, { transport, host }),
  });
}
