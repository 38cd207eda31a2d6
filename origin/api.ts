/**
 * The origin's HTTP interface (core/contracts/origin.ts): uploads, reads, metainfo, hand-over.
 *
 * Rule 1: a blob that is not here whole, synced and verified is answered as if it were not here.
 * Rule 2: bodies are streamed in and out; the client waits where the disk does.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../core/contracts/errors.ts';
import {
  type BlobInfo,
  type GrowingInfo,
  type InfoOutcome,
  ORIGIN,
  type Uploader,
  type UploadStatus,
  uploadKindHeader,
} from '../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { callOf } from '../platform/http/call.ts';
import type { Headers } from '../platform/http/content.ts';
import { bodyOf, CLIENT_LIMITS, finishExchange, streamBodies } from '../platform/http/exchange.ts';
import { sendContent } from '../platform/http/send.ts';
import { type Asked, serve } from '../platform/http/serve.ts';
import { errorBody } from '../platform/http/server.ts';
import type { RequestWork } from '../platform/lifecycle/drain.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { InfoAsked, OriginBlobs } from './blobs.ts';
import type { Uploads } from './uploads.ts';
import type { WriteBack } from './write-back/write-back.ts';

export type ApiParts = {
  readonly blobs: OriginBlobs;
  readonly uploads: Uploads;
  /** It was pushed here, or is relied on anew. */
  readonly onCommitted: (entry: BlobEntry, call: CallContext) => void;
  readonly onRemoved: (digest: Digest) => void;
  /** Absent: no repository has a backend. */
  readonly writeBack?: Pick<WriteBack, 'backs' | 'promise' | 'asked' | 'mayRemove'> | undefined;
};

/**
 * How long a proxy may send nothing of a body that it has begun. Proxies decide how patient they are with their
 * clients (push.clientStall); a writer that is silent gives way to others long before (uploads.ts).
 */
const bodyStallMs = 900_000;

/** Trackers and other origins ask so often that at level info their questions would be all of the log. */
const quiet = { logLevel: 'warn' } as const;

/** What a request is to an origin that is being stopped: uploads that were begun go on, reads as long as they last. */
export function originWork(method: string, path: string): RequestWork | undefined {
  const { begin, upload, cancel, append, commit, read } = ORIGIN;
  if ([begin, upload, cancel, append, commit].some((route) => route.matches(method, path)))
    return { kind: 'uploads', continues: !begin.matches(method, path) };
  return read.matches(method, path) ? { kind: 'downloads', continues: false } : undefined;
}

export function addRoutes(app: FastifyInstance, parts: ApiParts): void {
  addBlobRoutes(app, parts);
  addUploadRoutes(app, parts);
}

function addBlobRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { blobs, onRemoved, writeBack } = parts;
  serve(app, ORIGIN.read, async ({ at, request, reply }) => {
    const call = callOf(request);
    const url = at.redirect === undefined ? undefined : await blobs.redirect(blobOf(at), at.redirect, call);
    if (url !== undefined) return reply.header('cache-control', 'no-store').redirect(url, 307);
    return sendContent(request, reply, await blobs.read(blobOf(at), call));
  });
  serve(app, ORIGIN.head, async ({ at, request, reply }) => sendContent(request, reply, await blobs.sized(blobOf(at))));
  serve(app, ORIGIN.remove, async ({ at: { digest } }) => {
    await writeBack?.mayRemove(digest);
    await blobs.remove(digest);
    onRemoved(digest);
  });
  serve(app, ORIGIN.prove, async ({ at, request }) => {
    // Its owners may have removed it: they get it again.
    await relied(parts, { entry: await blobs.prove(at.digest), repo: at.repo }, callOf(request));
    return { state: 'held' };
  });
  serve(app, ORIGIN.writeBack, async ({ at }) => {
    const entry = await blobs.held(at.digest);
    if (writeBack !== undefined) return await writeBack.asked(entry, at.repo);
    throw new ApiError('UNSUPPORTED', 'no backend is configured at this origin');
  });
  addInfoRoutes(app, parts);
  serve(
    app,
    ORIGIN.fetch,
    async ({ at, body, reply }) => {
      const state = await blobs.fetch(at.digest, body, owing(writeBack, body.owed));
      reply.code(state === 'held' ? 200 : 202);
      return { state, pieces: blobs.piecesOf(at.digest) };
    },
    quiet,
  );
}

/** Another origin hands over what it owes a backend along with the blob; undefined: it owes nothing. */
function owing(
  writeBack: ApiParts['writeBack'],
  owed: readonly string[] = [],
): ((entry: BlobEntry) => Promise<void>) | undefined {
  if (writeBack === undefined || owed.length === 0) return undefined;
  return async (entry) => {
    for (const named of owed) {
      const repo = named === '' ? undefined : named;
      if (writeBack.backs(repo)) await writeBack.asked(entry, repo);
    }
  };
}

function addInfoRoutes(app: FastifyInstance, { blobs, writeBack }: ApiParts): void {
  const told = async (blob: BlobIn, asked: InfoAsked): Promise<BlobInfo | GrowingInfo> => {
    const info = await blobs.answer(blob, asked);
    return 'meta' in info && writeBack?.backs(blob.repo) === true ? { ...info, backed: true } : info;
  };
  serve(app, ORIGIN.info, async ({ at }) => await told(blobOf(at), at), quiet);
  serve(
    app,
    ORIGIN.infos,
    async ({ at, body: { digests } }) => ({
      infos: await Promise.all(digests.map((digest) => told({ digest, repo: at.repo }, at).catch(outcomeOf))),
    }),
    quiet,
  );
}

function addUploadRoutes(app: FastifyInstance, parts: ApiParts): void {
  const { uploads, blobs } = parts;
  serve(app, ORIGIN.begin, async ({ at, body, request, reply }) => {
    const { status, begun } = await uploads.begin(at.id, body.algorithm, uploaderOf(request));
    reply.code(begun ? 201 : 200);
    return status;
  });
  serve(app, ORIGIN.upload, ({ at }) => uploads.status(at.id));
  serve(app, ORIGIN.cancel, ({ at }) => uploads.cancel(at.id));
  serve(app, ORIGIN.commit, async ({ at, request }) => {
    const entry = await uploads.commit(at.id, at.digest);
    blobs.committed(entry);
    await relied(parts, { entry, repo: at.repo }, callOf(request));
    return await blobs.info(entry);
  });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    serve(scope, ORIGIN.append, (asked) => append(asked, uploads));
    done();
  });
}

/** Somebody will be told that the blob is safe in that repository: it is, as far as its backend goes, once this resolves. */
export async function relied(
  { writeBack, onCommitted }: Pick<ApiParts, 'writeBack' | 'onCommitted'>,
  { entry, repo }: { readonly entry: BlobEntry; readonly repo: string | undefined },
  call: CallContext,
): Promise<void> {
  const confirmed = await writeBack?.promise(entry, repo, call.signal);
  // Its owners are offered it before the backend is waited for: the first of them writes it there.
  onCommitted(entry, call);
  await confirmed?.();
}

/**
 * What the proxy says of its client. Whoever reaches this API is believed, as in everything else: it belongs on a
 * network of the cluster's own, until callers have identities.
 */
function uploaderOf(request: FastifyRequest): Uploader {
  return {
    client: callOf(request).caller?.name ?? request.ip,
    kind: request.headers[uploadKindHeader] === 'manifest' ? 'manifest' : 'blob',
  };
}

async function append(
  { at, request, reply }: Asked<{ readonly id: string; readonly offset: number }, undefined>,
  uploads: Uploads,
): Promise<FastifyReply> {
  try {
    return reply.send(await uploads.append(at.id, at.offset, bodyOf(request.raw, bodyStallMs).chunks()));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return await refuse(request, reply, error);
  }
}

/** The client may be in the middle of a long body: it is heard out, so that it reads why. */
async function refuse(request: FastifyRequest, reply: FastifyReply, error: ApiError): Promise<FastifyReply> {
  const misplaced = error.code === 'BLOB_UPLOAD_RANGE';
  const body = misplaced ? { ...(error.detail as UploadStatus), ...errorBody(error) } : errorBody(error);
  if (error.status >= 500) request.log.warn({ code: error.code, why: error.message }, 'request failed');
  const headers = { ...(reply.getHeaders() as Headers), 'content-type': 'application/json; charset=utf-8' };
  await finishExchange(
    { request: request.raw, response: reply.raw, headers, ...CLIENT_LIMITS },
    { status: misplaced ? 409 : error.status, body: Buffer.from(JSON.stringify(body)) },
  );
  reply.hijack();
  return reply;
}

/** As a question for it alone is answered. */
function outcomeOf(error: unknown): InfoOutcome {
  if (!(error instanceof ApiError)) throw error;
  return error.code === 'BLOB_UNKNOWN' ? null : { error: { code: error.code, message: error.message } };
}

function blobOf({ digest, repo }: { readonly digest: Digest; readonly repo?: string | undefined }): BlobIn {
  return { digest, repo };
}
