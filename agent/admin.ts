/**
 * The agent's control interface: what is cached, what runs, blobs by plain digest, and Kraken's
 * agent paths, so that its users' scripts keep working. Listens on loopback unless told otherwise.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../core/contracts/errors.ts';
import { type Digest, digestOf, parseDigest } from '../core/digest.ts';
import { repositoryValid, tagValid } from '../core/oci/name.ts';
import { pieceCount } from '../core/piece.ts';
import type { Work } from '../platform/http/drainable.ts';
import { clientSignal, sendContent } from '../platform/http/send.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { IndexReads } from './index-reads.ts';
import type { Pulls } from './pull.ts';

export type AdminParts = {
  readonly pulls: Pulls;
  readonly index: IndexReads;
  readonly entries: () => Iterable<BlobEntry>;
  /** The agent at a glance, as JSON. */
  readonly status: () => unknown;
};

export type CachedBlob = {
  readonly digest: Digest;
  readonly size: number;
  readonly complete: boolean;
  /** Share of its pieces that is here, 0 to 1. */
  readonly share: number;
};

type BlobRoute = { Params: { digest: string; ns?: string } };
type TagRoute = { Params: { tag: string } };

/** What a request is to an agent that is being stopped. */
export function adminWork(method: string, path: string): Work | undefined {
  const blob = /^\/v1\/blobs\/[^/]+\/data$/.test(path) || path.startsWith('/namespace/');
  return method === 'GET' && blob ? { kind: 'downloads', continues: false } : undefined;
}

export function addAdminRoutes(app: FastifyInstance, parts: AdminParts): void {
  const { pulls } = parts;
  app.get('/v1/status', () => parts.status());
  app.get('/v1/blobs', () => ({ blobs: Array.from(parts.entries(), cachedBlob) }));
  app.delete<BlobRoute>('/v1/blobs/:digest', async (request, reply) => {
    const digest = digestIn(request.params.digest);
    if (!(await pulls.remove(digest)))
      throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not in this agent's cache`);
    return reply.code(204).send();
  });
  // The second path is Kraken's; the namespace chose its backend and names nothing here.
  for (const url of ['/v1/blobs/:digest/data', '/namespace/:ns/blobs/:digest']) {
    app.get<BlobRoute>(url, (request, reply) => sendBlob(request, reply, pulls));
    app.head<BlobRoute>(url, (request, reply) => sendSize(request, reply, pulls));
  }
  app.delete<BlobRoute>('/blobs/:digest', async (request, reply) => {
    await pulls.remove(digestIn(request.params.digest));
    return reply.code(200).send();
  });
  app.get<TagRoute>('/tags/:tag', async (request, reply) => {
    const { repo, tag } = tagIn(request.params.tag);
    const record = await parts.index.tag(repo, tag, { requestId: request.id, signal: clientSignal(reply) });
    if (record === undefined) throw new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no tag ${tag}`);
    return reply.type('text/plain; charset=utf-8').send(record.digest);
  });
}

async function sendBlob(request: FastifyRequest<BlobRoute>, reply: FastifyReply, pulls: Pulls): Promise<FastifyReply> {
  const asking = { requestId: request.id, signal: clientSignal(reply) };
  return sendContent(request, reply, await pulls.open(digestIn(request.params.digest), asking));
}

async function sendSize(request: FastifyRequest<BlobRoute>, reply: FastifyReply, pulls: Pulls): Promise<FastifyReply> {
  const digest = digestIn(request.params.digest);
  const size = await pulls.sizeOf(digest, { requestId: request.id });
  if (size === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin knows blob ${digest}`);
  return reply.header('content-length', size).header('accept-ranges', 'bytes').send();
}

function cachedBlob(entry: BlobEntry): CachedBlob {
  const { digest, meta, complete } = entry;
  return { digest, size: meta.length, complete, share: complete ? 1 : heldShare(entry) };
}

function heldShare(entry: BlobEntry): number {
  let held = 0;
  for (let bits of entry.haveBits()) {
    for (; bits !== 0; bits &= bits - 1) held++;
  }
  return held / Math.max(1, pieceCount(entry.meta));
}

/** `sha256:hex`, or bare hex as Kraken takes it. */
function digestIn(text: string): Digest {
  const digest = parseDigest(text) ?? parseDigest(digestOf('sha256', text));
  if (digest === undefined)
    throw new ApiError('DIGEST_INVALID', `'${text.slice(0, 80)}' is no digest: write sha256: and 64 hex digits`);
  return digest;
}

/** Kraken's form: `repo:tag`, URL-encoded. */
function tagIn(text: string): { repo: string; tag: string } {
  const colon = text.lastIndexOf(':');
  const repo = text.slice(0, Math.max(colon, 0));
  const tag = text.slice(colon + 1);
  if (!repositoryValid(repo) || !tagValid(tag)) {
    throw new ApiError('TAG_INVALID', `'${text.slice(0, 80)}' is no repository:tag, URL-encoded`);
  }
  return { repo, tag };
}
