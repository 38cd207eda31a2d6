/**
 * One origin over HTTP: core/contracts/origin.ts as methods. `origins.ts` chooses among several.
 *
 * Rule 1: a streamed upload is limited by the origin's silence, which the caller measures (it knows
 *         whether bytes are waiting), never by its duration; the same goes for a commit. An origin that hangs,
 *         rather than being slow, ends both within 2 s (pulse.ts), and what is answered from memory as well.
 * Rule 2: what an origin answers is believed only as far as its shape is right.
 */

import { parseInfo } from '../../core/announce/parse.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import {
  type BeginUpload,
  type BlobInfo,
  type FetchRequest,
  type InfoProof,
  type InfosReply,
  type InfosRequest,
  ORIGIN_PATHS,
  type Uploader,
  type UploadStatus,
  uploaderHeaders,
} from '../../core/contracts/origin.ts';
import type { Digest, DigestAlgorithm } from '../../core/digest.ts';
import type { HttpTransport } from '../net/http.ts';
import { type CallContext, HttpClient } from './http.ts';
import { InfoBatch } from './info-batch.ts';
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
};

export class OriginClient {
  /** Its base URL, which is also its id on the hash ring. */
  readonly url: string;
  readonly #http: HttpClient;
  readonly #infos: Record<InfoProof, InfoBatch>;

  /** Default transport: TCP. */
  constructor(url: string, transport?: HttpTransport) {
    this.url = url;
    this.#http = new HttpClient({ base: url, connections: connectionsMax, transport });
    const batch = (proof: InfoProof): InfoBatch =>
      new InfoBatch({
        one: (digest, ctx) => this.#info(digest, proof, ctx),
        many: (digests, ctx) => this.#manyInfos(digests, proof, ctx),
        checked: (info, digest) => checked(info, digest, url),
      });
    this.#infos = { size: batch('size'), sample: batch('sample') };
  }

  /** Whether it answers at all. */
  get pulse(): Pulse {
    return this.#http.pulse;
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
    const client = ctx.client === undefined ? {} : { [uploaderHeaders.client]: ctx.client };
    const headers = { ...client, [uploaderHeaders.kind]: kind };
    const options = { ctx, body, headers, ...this.#short() };
    return offsetOf(await this.#http.json<UploadStatus>('POST', ORIGIN_PATHS.upload(id), options), this.url);
  }

  /** Where the upload stands, or undefined where the origin does not know it. */
  async offset(id: string, ctx: CallContext): Promise<number | undefined> {
    const options = { ctx, expect: [404], ...this.#short() };
    const reply = await this.#http.stream('GET', ORIGIN_PATHS.upload(id), options);
    const status = await reply.json<UploadStatus>();
    return reply.status === 404 ? undefined : offsetOf(status, this.url);
  }

  /** Appends `body` at `offset`. A failure midway leaves the upload where its bytes ended. */
  async append(
    id: string,
    offset: number,
    upload: { body: AsyncIterable<Uint8Array>; ctx: CallContext },
  ): Promise<Appended> {
    const options = { ...upload, expect: [409], stallMs: 0, watched: true };
    const reply = await this.#http.stream('PATCH', ORIGIN_PATHS.append(id, offset), options);
    return { taken: reply.status !== 409, offset: offsetOf(await reply.json<UploadStatus>(), this.url) };
  }

  /** Verifies and makes durable. May be asked again. Throws DIGEST_INVALID (nothing is kept), BLOB_UPLOAD_UNKNOWN. */
  async commit(id: string, digest: Digest, ctx: CallContext): Promise<BlobInfo> {
    const options = { ctx, stallMs: commitStallMs, watched: true };
    return checked(await this.#http.json<BlobInfo>('PUT', ORIGIN_PATHS.commit(id, digest), options), digest, this.url);
  }

  /** Whether there was such an upload. */
  async cancel(id: string, ctx: CallContext): Promise<boolean> {
    return this.#remove(ORIGIN_PATHS.upload(id), ctx);
  }

  /** The blob's metainfo, or undefined where the origin cannot serve it whole. */
  info(digest: Digest, ctx: CallContext, proof: InfoProof = 'size'): Promise<BlobInfo | undefined> {
    return this.#infos[proof].ask(digest, ctx);
  }

  /** Whether the origin holds the blob whole; if so it keeps it, whatever the index said before. */
  async prove(digest: Digest, ctx: CallContext): Promise<boolean> {
    try {
      const reply = await this.#http.stream('POST', ORIGIN_PATHS.proof(digest), { ctx, ...this.#short() });
      await reply.discard();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'BLOB_UNKNOWN') return false;
      // One of a release that removes nothing by itself, and does not know the question.
      if (error.code === 'NOT_FOUND') return (await this.info(digest, ctx, 'sample')) !== undefined;
      throw error;
    }
  }

  async #info(digest: Digest, proof: InfoProof, ctx: CallContext): Promise<BlobInfo | undefined> {
    const options = { ctx, expect: [404], ...this.#short() };
    const reply = await this.#http.stream('GET', ORIGIN_PATHS.info(digest, proof), options);
    const info = await reply.json<BlobInfo>();
    return reply.status === 404 ? undefined : checked(info, digest, this.url);
  }

  async #manyInfos(digests: readonly Digest[], proof: InfoProof, ctx: CallContext): Promise<InfosReply> {
    const body: InfosRequest = { digests };
    const reply = await this.#http.json<InfosReply>('POST', ORIGIN_PATHS.infos(proof), {
      ctx,
      body,
      ...this.#short(),
    });
    if (Array.isArray(reply?.infos) && reply.infos.length === digests.length) return reply;
    throw new ApiError('UNAVAILABLE', `origin ${this.url} did not answer for ${digests.length} blobs`);
  }

  /** Bytes [start, end), start < end, or undefined where the origin does not hold the blob. */
  async read(digest: Digest, part: ReadPart, ctx: CallContext): Promise<AsyncIterable<Uint8Array> | undefined> {
    const headers = { range: `bytes=${part.start}-${part.end - 1}` };
    const limit = this.pulse.silent ? { withinMs: impatienceMs } : {};
    const options = {
      ctx,
      headers,
      expect: [404],
      tries: 1,
      watched: part.alone === true ? ('head' as const) : true,
      ...limit,
    };
    const reply = await this.#http.stream('GET', ORIGIN_PATHS.blob(digest), options);
    if (reply.status === 404) {
      await reply.discard();
      return undefined;
    }
    if (reply.status === 206 || (part.start === 0 && reply.headers['content-length'] === String(part.end)))
      return reply.body;
    await reply.discard();
    throw new ApiError('UNAVAILABLE', `origin ${this.url} answered ${reply.status} to a range of ${digest}`);
  }

  /** Whether the origin held the blob. */
  async remove(digest: Digest, ctx: CallContext): Promise<boolean> {
    return this.#remove(ORIGIN_PATHS.blob(digest), ctx);
  }

  /** Asks the origin to pull the blob from `from`; true where it holds it already. */
  async fetch(digest: Digest, from: FetchRequest, ctx: CallContext): Promise<boolean> {
    const reply = await this.#http.stream('POST', ORIGIN_PATHS.fetch(digest), { ctx, body: from, ...this.#short() });
    await reply.discard();
    return reply.status === 200;
  }

  /** Resolves where the origin answers at all. */
  async ping(ctx: CallContext): Promise<void> {
    const reply = await this.#http.stream('GET', '/health', { ctx, withinMs: silenceMs, tries: 1 });
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

function offsetOf(status: UploadStatus | undefined, url: string): number {
  const offset = status?.offset;
  if (typeof offset === 'number' && Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new ApiError('UNAVAILABLE', `origin ${url} did not say where the upload stands`);
}

function checked(info: BlobInfo | undefined, digest: Digest, url: string): BlobInfo {
  const parsed = parseInfo(info);
  if (parsed.ok && parsed.value.digest === digest) return parsed.value;
  const why = parsed.ok ? `but of ${parsed.value.digest}` : parsed.problem;
  throw new ApiError('UNAVAILABLE', `origin ${url} answered no metainfo of ${digest}: ${why}`);
}
