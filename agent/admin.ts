/**
 * The agent's control interface: what is cached, what runs, blobs by plain digest, and Kraken's
 * agent paths, so that its users' scripts keep working. Listens on loopback unless told otherwise.
 */

import type { FastifyInstance, FastifyReply } from 'fastify';
import { AGENT, type AgentStatus, type CachedBlob, KRAKEN } from '../core/contracts/agent.ts';
import { ApiError } from '../core/contracts/errors.ts';
import { krakenTag } from '../core/contracts/kraken/fields.ts';
import { byDigest, type Digest } from '../core/digest.ts';
import { pieceCount } from '../core/piece.ts';
import { callOf } from '../platform/http/call.ts';
import { sendContent } from '../platform/http/send.ts';
import { type Asked, serve } from '../platform/http/serve.ts';
import type { RequestWork } from '../platform/lifecycle/drain.ts';
import type { StoredBlob } from '../platform/store/room/stored-blob.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { PreloadSettings } from './preload/preload.ts';
import type { Pulls } from './pull.ts';
import type { IndexReads } from './registry.ts';

export type AdminParts = {
  readonly pulls: Pulls;
  readonly index: IndexReads;
  readonly blobs: () => Iterable<StoredBlob>;
  readonly get: (digest: Digest) => Pick<BlobEntry, 'heldCount'> | undefined;
  readonly status: () => AgentStatus;
  /** Whether blobs are given by their digests alone: not where users are told apart, and whoever calls here is not. */
  readonly open: boolean;
  readonly preload: () => PreloadSettings;
};

/** What a request is to an agent that is being stopped. */
export function adminWork(method: string, path: string): RequestWork | undefined {
  const reads = [AGENT.read, KRAKEN.read, KRAKEN.preload].some((route) => route.matches(method, path));
  return reads ? { kind: 'downloads', continues: false } : undefined;
}

export function addAdminRoutes(app: FastifyInstance, parts: AdminParts): void {
  const { pulls } = parts;
  serve(app, AGENT.status, () => parts.status());
  serve(app, AGENT.blobs, () => ({ blobs: Array.from(parts.blobs(), (blob) => cachedBlob(blob, parts)) }));
  serve(app, AGENT.remove, async ({ at: { digest } }) => {
    if (!(await pulls.remove(digest)))
      throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not in this agent's cache`);
  });
  for (const { read, head } of [AGENT, KRAKEN]) {
    serve(app, read, (asked) => sendBlob(asked, parts));
    serve(app, head, (asked) => sendSize(asked, parts));
  }
  serve(app, KRAKEN.remove, async ({ at, reply }) => {
    await pulls.remove(at.digest);
    return reply.code(200).send();
  });
  serve(app, KRAKEN.tag, async ({ at, request, reply }) => {
    const { repo, tag } = krakenTag(at.tag);
    const record = await parts.index.tag(repo, tag, callOf(request));
    if (record === undefined) throw new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no tag ${tag}`);
    return reply.type('text/plain; charset=utf-8').send(record.digest);
  });
  serve(app, KRAKEN.preload, async ({ at, request, reply }) => {
    const { preload } = await import('./preload/preload.ts');
    await preload(at, parts.preload(), callOf(request).signal);
    return reply.code(200).send();
  });
}

type AskedBlob = Asked<{ readonly digest: Digest }, undefined>;

async function sendBlob({ at, request, reply }: AskedBlob, { pulls, open }: AdminParts): Promise<FastifyReply> {
  if (!open) throw closed();
  return sendContent(request, reply, await pulls.open(byDigest(at.digest), callOf(request)));
}

async function sendSize(
  { at: { digest }, request, reply }: AskedBlob,
  { pulls, open }: AdminParts,
): Promise<FastifyReply> {
  if (!open) throw closed();
  const size = await pulls.sizeOf(byDigest(digest), callOf(request));
  if (size === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin knows blob ${digest}`);
  return reply.header('content-length', size).header('accept-ranges', 'bytes').send();
}

function closed(): ApiError {
  const why = 'where `access` is set blobs are given by their digests to operators with a certificate alone';
  return new ApiError('DENIED', `${why}: set \`tls\`, or ask the registry`);
}

function cachedBlob({ digest, meta, complete }: StoredBlob, { get }: Pick<AdminParts, 'get'>): CachedBlob {
  const entry = complete ? undefined : get(digest);
  const share = complete ? 1 : (entry?.heldCount ?? 0) / Math.max(1, pieceCount(meta));
  return { digest, size: meta.length, complete, share };
}
