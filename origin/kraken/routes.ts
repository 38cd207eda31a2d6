/**
 * Kraken's public paths of an origin (core/contracts/kraken-origin.ts), on top of what this origin does anyway.
 *
 * Rule 1: an upload by these paths is what one by a proxy is: hashed as it comes, synced and written back by the same
 *         rules. It lies on this origin alone when it is acknowledged, as at Kraken, and is handed over to its owners then.
 * Rule 2: what is not here is fetched in the background, and asked for again (202).
 */

import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { KRAKEN_ORIGIN } from '../../core/contracts/kraken-origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { repositoryValid } from '../../core/oci/name.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import { callOf } from '../../platform/http/call.ts';
import type { Headers } from '../../platform/http/content.ts';
import { bodyOf, CLIENT_LIMITS, finishExchange, streamBodies } from '../../platform/http/exchange.ts';
import { sendContent } from '../../platform/http/send.ts';
import { type Asked, serve } from '../../platform/http/serve.ts';
import { errorBody } from '../../platform/http/server.ts';
import type { RequestWork } from '../../platform/lifecycle/drain.ts';
import type { BlobEntry } from '../../platform/store/store.ts';
import type { OriginBlobs } from '../blobs.ts';
import type { Uploads } from '../uploads.ts';
import { Cleanup, type CleanupOptions } from './cleanup.ts';
import { Coming, type ComingOptions } from './coming.ts';
import { KrakenMetainfos } from './metainfo.ts';

/** A client may send nothing of a body that it has begun for so long. */
const bodyStallMs = 900_000;
/** HTTP's status. */
const conflict = 409;

export type KrakenParts = {
  readonly blobs: Pick<OriginBlobs, 'held' | 'content' | 'heed' | 'remove'>;
  readonly uploads: Pick<Uploads, 'begin' | 'append' | 'status'>;
  /** As for a proxy: what is promised holds when it resolves. */
  readonly commit: (id: string, blob: BlobIn, call: CallContext) => Promise<unknown>;
  /** As for a proxy that found it here: BLOB_UNKNOWN where it is not. */
  readonly prove: (blob: BlobIn, call: CallContext) => Promise<unknown>;
  readonly onRemoved: (digest: Digest) => void;
  /** ApiError UNAVAILABLE where a backend has yet to get it. */
  readonly mayRemove: (digest: Digest) => Promise<void>;
  /** URLs of the digest's owners, the first one first. */
  readonly ownersOf: (digest: Digest) => readonly string[];
} & ComingOptions &
  CleanupOptions;
type Services = KrakenParts & { readonly coming: Coming; readonly metainfos: KrakenMetainfos };

type InNamespace = { readonly ns: string; readonly digest: Digest };
type InUpload = InNamespace & { readonly uid: string };

/** What a request is to an origin that is being stopped. */
export function krakenWork(method: string, path: string): RequestWork | undefined {
  const { begin, append, commit, read } = KRAKEN_ORIGIN;
  if ([begin, append, commit].some((route) => route.matches(method, path)))
    return { kind: 'uploads', continues: !begin.matches(method, path) };
  return read.matches(method, path) ? { kind: 'downloads', continues: false } : undefined;
}

export function addKrakenRoutes(app: FastifyInstance, parts: KrakenParts): void {
  const cleanup = new Cleanup(parts);
  addReads(app, { ...parts, coming: new Coming(parts), metainfos: new KrakenMetainfos() });
  addUploads(app, parts);
  const { blobs, onRemoved, mayRemove } = parts;
  serve(app, KRAKEN_ORIGIN.remove, async ({ at: { digest }, reply }) => {
    await mayRemove(digest);
    await blobs.remove(digest);
    onRemoved(digest);
    return reply.code(202).send();
  });
  serve(app, KRAKEN_ORIGIN.cleanup, async ({ at, reply }) => reply.send(await cleanup.olderThan(at.ttl_hr)));
  serve(app, KRAKEN_ORIGIN.cleanupTo, async ({ at, reply }) =>
    reply.send({ new_util: await cleanup.downTo(at.target_util_percent) }),
  );
}

function addReads(app: FastifyInstance, parts: Services): void {
  const { blobs, coming, metainfos, ownersOf } = parts;
  /** The entry; or undefined, and the blob is on its way. */
  const fetched = async (blob: BlobIn, call: CallContext): Promise<BlobEntry | undefined> => {
    const entry = await here(blobs, blob.digest);
    if (entry === undefined) await coming.begin(blob, call);
    return entry;
  };
  serve(app, KRAKEN_ORIGIN.locations, ({ at, reply }) =>
    reply.header('origin-locations', ownersOf(at.digest).map(hostOf).join(',')).code(200).send(),
  );
  serve(app, KRAKEN_ORIGIN.read, async ({ at, request, reply }) => {
    const call = callOf(request);
    const entry = await fetched(blobOf(at), call);
    if (entry === undefined) return reply.code(202).send();
    return await sendContent(request, reply, blobs.content(entry, call.signal));
  });
  serve(app, KRAKEN_ORIGIN.prefetch, async ({ at, request, reply }) => {
    const entry = await fetched(blobOf(at), callOf(request));
    return reply.code(entry === undefined ? 202 : 200).send();
  });
  serve(app, KRAKEN_ORIGIN.metainfo, async ({ at, request, reply }) => {
    const call = callOf(request);
    const entry = await fetched(blobOf(at), call);
    if (entry === undefined) return reply.code(202).send();
    return await metainfos.of(blobs.content(entry, call.signal));
  });
  serve(app, KRAKEN_ORIGIN.stat, async ({ at, request, reply }) => {
    const entry = await here(blobs, at.digest);
    const size = entry?.meta.length ?? (at.local ? undefined : await coming.sizeOf(blobOf(at), callOf(request)));
    if (size === undefined) throw new ApiError('BLOB_UNKNOWN', `nobody holds blob ${at.digest}`);
    return reply.header('content-length', size).code(200).send();
  });
  serve(app, KRAKEN_ORIGIN.remote, ({ at }) => {
    throw new ApiError(
      'UNSUPPORTED',
      `a blob is not sent to another cluster (${at.remote.slice(0, 80)}) yet: let both use one backend, or push to both`,
    );
  });
}

function addUploads(app: FastifyInstance, { uploads, prove, commit }: KrakenParts): void {
  serve(app, KRAKEN_ORIGIN.begin, async ({ at, request, reply }) => {
    const call = callOf(request);
    if (await known(() => prove(blobOf(at), call))) {
      const error = new ApiError(
        'BLOB_UPLOAD_INVALID',
        `blob ${at.digest} is here already: there is nothing to upload`,
      );
      return reply.code(conflict).send(errorBody(error));
    }
    const uid = randomUUID();
    await uploads.begin(uid, 'sha256', { client: call.caller?.name ?? request.ip, kind: 'blob' });
    return reply.header('location', uid).code(200).send();
  });
  serve(app, KRAKEN_ORIGIN.commit, async ({ at, request, reply }) => {
    await commit(at.uid, blobOf(at), callOf(request));
    return reply.code(200).send();
  });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    serve(scope, KRAKEN_ORIGIN.append, (asked) => append(asked, uploads));
    done();
  });
}

async function append({ at, request, reply }: Asked<InUpload, undefined>, uploads: KrakenParts['uploads']) {
  try {
    const { start, end } = chunkOf(request);
    const { offset } = await uploads.append(at.uid, start, bodyOf(request.raw, bodyStallMs).chunks());
    if (offset === end) return await reply.code(200).send();
    throw new ApiError(
      'BLOB_UPLOAD_INVALID',
      `the body had ${offset - start} bytes, Content-Range says ${end - start}: the upload stands at ${offset}`,
    );
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return await refuseChunk(request, reply, error);
  }
}

/** The client may be in the middle of a long body: it is heard out, so that it reads why. */
async function refuseChunk(request: FastifyRequest, reply: FastifyReply, error: ApiError): Promise<FastifyReply> {
  const headers = { ...(reply.getHeaders() as Headers), 'content-type': 'application/json; charset=utf-8' };
  await finishExchange(
    { request: request.raw, response: reply.raw, headers, ...CLIENT_LIMITS },
    { status: statusOf(error), body: Buffer.from(JSON.stringify(errorBody(error))) },
  );
  reply.hijack();
  return reply;
}

/** Kraken's `start-end`, the end exclusive; its documents write a comma. */
function chunkOf({ headers }: FastifyRequest): { readonly start: number; readonly end: number } {
  const match = /^(?:bytes[ =])?(\d{1,15})[-,](\d{1,15})$/.exec(headers['content-range'] ?? '');
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  if (match !== null && start <= end) return { start, end };
  throw new ApiError(
    'BLOB_UPLOAD_INVALID',
    'say where the chunk belongs: Content-Range: start-end, the end exclusive, such as 0-1048576',
  );
}

/** What was uploaded is not where the chunk would go: Kraken says conflict. */
const statusOf = (error: ApiError): number => (error.code === 'BLOB_UPLOAD_RANGE' ? conflict : error.status);

function blobOf({ ns, digest }: InNamespace): BlobIn {
  return { digest, repo: repositoryValid(ns) ? ns : undefined };
}

async function here(blobs: KrakenParts['blobs'], digest: Digest): Promise<BlobEntry | undefined> {
  blobs.heed(digest);
  try {
    return await blobs.held(digest);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return undefined;
    throw error;
  }
}

async function known(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return false;
    throw error;
  }
}

function hostOf(url: string): string {
  return new URL(url).host;
}
