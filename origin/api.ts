/**
 * The origin's HTTP interface (core/contracts/origin.ts): uploads, reads, metainfo, hand-over.
 *
 * Rule 1: a blob that is not here whole, durable and verified is answered as if it were not here.
 * Rule 2: bodies are streamed in and out; the client waits where the disk does.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { ApiError } from '../core/contracts/errors.ts';
import {
  type BlobInfo,
  clientPattern,
  type FetchRequest,
  type InfoProof,
  type InfosReply,
  infosMax,
  ORIGIN_PATHS,
  type Uploader,
  type UploadStatus,
  uploaderHeaders,
} from '../core/contracts/origin.ts';
import { type Digest, parseDigest } from '../core/digest.ts';
import { metainfoValid } from '../core/piece.ts';
import { bodyOf, streamBodies } from '../platform/http/body.ts';
import type { Headers } from '../platform/http/content.ts';
import type { Work } from '../platform/http/drainable.ts';
import { CLIENT_LIMITS, finish } from '../platform/http/exchange.ts';
import { clientSignal, sendContent } from '../platform/http/send.ts';
import { errorBody } from '../platform/http/server.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { Blobs } from './blobs.ts';
import type { Uploads } from './uploads.ts';

export type ApiParts = {
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  /** It was pushed here, or is relied on anew. */
  readonly onCommitted: (entry: BlobEntry) => void;
  readonly onRemoved: (digest: Digest) => void;
};

/**
 * How long a proxy may send nothing of a body that it has begun. Proxies decide how patient they are with their
 * clients (push.clientStall); a writer that is silent gives way to others long before (uploads.ts).
 */
const bodyStallMs = 900_000;

const beginSchema = z.strictObject({ algorithm: z.enum(['sha256', 'sha512']).default('sha256') });
const peerSchema = z.object({
  node: z.string().regex(/^[0-9a-f]{32}$/),
  host: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9._:%-]+$/),
  port: z.int().min(1).max(65_535),
  role: z.enum(['agent', 'origin']),
  zone: z
    .string()
    .max(64)
    .regex(/^[\x20-\x7e]*$/),
});
const metaSchema = z
  .object({ length: z.number(), pieceLength: z.number(), root: z.string() })
  .refine(metainfoValid, 'no metainfo that a blob can have');
const infosSchema = z.strictObject({ digests: z.array(z.string()).max(infosMax) });
const fetchSchema: z.ZodType<FetchRequest> = z.object({ from: peerSchema, meta: metaSchema });

type BlobRoute = { Params: { digest: string } };
type InfoRoute = BlobRoute & { Querystring: { proof?: string } };
type UploadRoute = { Params: { id: string }; Querystring: { offset?: string; digest?: string } };

/** Trackers and other origins ask so often that at level info their questions would be all of the log. */
const quiet = { logLevel: 'warn' } as const;
const blobPath = ORIGIN_PATHS.blob(':digest' as Digest);
const uploadPath = ORIGIN_PATHS.upload(':id');

/** What a request is to an origin that is being stopped: uploads that were begun go on, reads as long as they last. */
export function originWork(method: string, path: string): Work | undefined {
  if (path.startsWith(ORIGIN_PATHS.upload(''))) return { kind: 'uploads', continues: method !== 'POST' };
  const read = method === 'GET' && /^\/v1\/blobs\/[^/]+$/.test(path);
  return read ? { kind: 'downloads', continues: false } : undefined;
}

export function addRoutes(app: FastifyInstance, parts: ApiParts): void {
  addBlobRoutes(app, parts);
  addUploadRoutes(app, parts);
}

function addBlobRoutes(app: FastifyInstance, { blobs, onCommitted, onRemoved }: ApiParts): void {
  app.route<BlobRoute>({
    method: ['GET', 'HEAD'],
    url: blobPath,
    handler: async (request, reply) => {
      const digest = digestIn(request.params.digest);
      const entry = await (request.method === 'HEAD' ? blobs.held(digest) : blobs.readable(digest));
      return sendContent(request, reply, blobs.content(entry, clientSignal(reply)));
    },
  });
  app.delete<BlobRoute>(blobPath, async (request, reply) => {
    const digest = digestIn(request.params.digest);
    await blobs.remove(digest);
    onRemoved(digest);
    return reply.code(204).send();
  });
  app.post<BlobRoute>(ORIGIN_PATHS.proof(':digest' as Digest), async (request, reply) => {
    // Its owners may have removed it: they get it again.
    onCommitted(await blobs.prove(digestIn(request.params.digest)));
    return reply.send({ state: 'held' });
  });
  app.get<InfoRoute>(ORIGIN_PATHS.info(':digest' as Digest), quiet, async (request): Promise<BlobInfo> => {
    return await blobs.info(await blobs.held(digestIn(request.params.digest), proofIn(request.query)));
  });
  app.post<InfoRoute>(ORIGIN_PATHS.infos(), quiet, async (request): Promise<InfosReply> => {
    const { digests } = parse(infosSchema, request.body);
    const proof = proofIn(request.query);
    return { infos: await Promise.all(digests.map((digest) => infoOf(blobs, digestIn(digest), proof))) };
  });
  app.post<BlobRoute>(ORIGIN_PATHS.fetch(':digest' as Digest), quiet, async (request, reply) => {
    const wanted = parse(fetchSchema, request.body);
    const state = await blobs.fetch(digestIn(request.params.digest), wanted);
    return reply.code(state === 'held' ? 200 : 202).send({ state });
  });
}

function addUploadRoutes(app: FastifyInstance, { uploads, blobs, onCommitted }: ApiParts): void {
  app.post<UploadRoute>(uploadPath, async (request, reply) => {
    const { algorithm } = parse(beginSchema, request.body ?? {});
    const { status, begun } = await uploads.begin(request.params.id, algorithm, uploaderOf(request));
    return reply.code(begun ? 201 : 200).send(status);
  });
  app.get<UploadRoute>(uploadPath, (request): UploadStatus => uploads.status(request.params.id));
  app.delete<UploadRoute>(uploadPath, async (request, reply) => {
    await uploads.cancel(request.params.id);
    return reply.code(204).send();
  });
  app.put<UploadRoute>(uploadPath, async (request): Promise<BlobInfo> => {
    const entry = await uploads.commit(request.params.id, digestIn(request.query.digest ?? ''));
    blobs.committed(entry);
    onCommitted(entry);
    return await blobs.info(entry);
  });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    scope.patch<UploadRoute>(uploadPath, (request, reply) => append(request, reply, uploads));
    done();
  });
}

/**
 * What the proxy says of its client. Whoever reaches this API is believed, as in everything else: it belongs on a
 * network of the cluster's own, until callers have identities.
 */
function uploaderOf(request: FastifyRequest): Uploader {
  const client = request.headers[uploaderHeaders.client];
  return {
    client: typeof client === 'string' && clientPattern.test(client) ? client : request.ip,
    kind: request.headers[uploaderHeaders.kind] === 'manifest' ? 'manifest' : 'blob',
  };
}

async function append(
  request: FastifyRequest<UploadRoute>,
  reply: FastifyReply,
  uploads: Uploads,
): Promise<FastifyReply> {
  const { id } = request.params;
  const offset = Number(request.query.offset ?? Number.NaN);
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new ApiError('BLOB_UPLOAD_INVALID', '?offset= must say where the body belongs, in bytes');
  }
  try {
    return reply.send(await uploads.append(id, offset, bodyOf(request.raw, bodyStallMs).chunks()));
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
  await finish(
    { request: request.raw, response: reply.raw, headers, ...CLIENT_LIMITS },
    { status: misplaced ? 409 : error.status, body: Buffer.from(JSON.stringify(body)) },
  );
  reply.hijack();
  return reply;
}

/** As a question for it alone is answered. */
async function infoOf(blobs: Blobs, digest: Digest, proof: InfoProof): Promise<InfosReply['infos'][number]> {
  try {
    return await blobs.info(await blobs.held(digest, proof));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.code === 'BLOB_UNKNOWN' ? null : { error: { code: error.code, message: error.message } };
  }
}

function proofIn(query: { readonly proof?: string }): InfoProof {
  return query.proof === 'sample' ? 'sample' : 'size';
}

function digestIn(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) {
    throw new ApiError(
      'DIGEST_INVALID',
      `'${text.slice(0, 80)}' is no digest: sha256: or sha512: and lower-case hex digits`,
    );
  }
  return digest;
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ApiError('REQUEST_INVALID', z.prettifyError(parsed.error).replaceAll('\n', ' '));
}
