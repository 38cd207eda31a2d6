/**
 * The index's HTTP interface (core/contracts/index-api.ts) over a TagStore.
 *
 * Rule 1: a write is answered once it is durable, and is seen by every read that begins after the answer.
 * Rule 2: a write that its caller gave up before it was begun, while this process hung, is not done.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../core/contracts/errors.ts';
import { INDEX_PATHS, type ManifestPut, type MissingReferences, type Unproved } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { repositoryMatches } from '../core/oci/pattern.ts';
import { dropAbandoned } from '../platform/http/abandoned.ts';
import type { TagStore } from '../platform/tags/store.ts';
import {
  digestOf,
  pageOf,
  readBlobLinkPut,
  readCondemn,
  readManifestPut,
  readMount,
  readTagPut,
  referrersOf,
  repositoryOf,
  tagOf,
} from './requests.ts';

/** Missing references that an answer lists: error bodies are kept under 64 KiB. */
const missingToldMax = 100;

type Request = FastifyRequest<{
  Params: { name: string; tag: string; digest: string };
  Querystring: { n?: unknown; last?: unknown; artifactType?: unknown };
}>;

export type IndexSettings = {
  /** Patterns of repositories that take an index whose manifests are not all there. */
  readonly allowMissingChildren: readonly string[];
  /** A digest without a link for so long is condemned when an origin asks. */
  readonly keepUnlinkedMs: number;
  /** Of the clock on the wall: it is kept across restarts. */
  readonly nowMs: () => number;
};

export function indexRoutes(app: FastifyInstance, store: TagStore, settings: IndexSettings): void {
  dropAbandoned(app);
  tagRoutes(app, store);
  manifestRoutes(app, store, settings);
  blobRoutes(app, store, settings);
  app.post(INDEX_PATHS.condemn, async ({ body }) =>
    store.condemn(readCondemn(body).digests, { nowMs: settings.nowMs(), unlinkedMs: settings.keepUnlinkedMs }),
  );
  app.get(INDEX_PATHS.catalog, async (request: Request) => store.catalog(pageOf(request.query)));
}

function tagRoutes(app: FastifyInstance, store: TagStore): void {
  app.get('/v1/repos/:name/tags', async ({ params, query }: Request) => {
    const page = await store.tags(repositoryOf(params.name), pageOf(query));
    if (page === undefined) throw new ApiError('NAME_UNKNOWN', `there is no repository ${params.name}`);
    return page;
  });
  app.get('/v1/repos/:name/tags/:tag', async ({ params }: Request) => {
    const record = await store.tag(repositoryOf(params.name), tagOf(params.tag));
    return record ?? absentTag(params);
  });
  app.put('/v1/repos/:name/tags/:tag', async ({ params, body }: Request, reply) => {
    const { digest } = readTagPut(body);
    const set = await store.putTag(repositoryOf(params.name), tagOf(params.tag), digest);
    return set ? done(reply) : absentManifest(params.name, digest);
  });
  app.delete('/v1/repos/:name/tags/:tag', async ({ params }: Request, reply) => {
    const gone = await store.deleteTag(repositoryOf(params.name), tagOf(params.tag));
    return gone ? done(reply) : absentTag(params);
  });
}

function manifestRoutes(app: FastifyInstance, store: TagStore, settings: IndexSettings): void {
  app.get('/v1/repos/:name/manifests/:digest', async ({ params }: Request) => {
    const record = await store.manifest(repositoryOf(params.name), digestOf(params.digest));
    return record ?? absentManifest(params.name, params.digest);
  });
  app.put('/v1/repos/:name/manifests/:digest', async ({ params, body }: Request, reply) => {
    const repo = repositoryOf(params.name);
    const put = { ...readManifestPut(body), sparse: repositoryMatches(settings.allowMissingChildren, repo) };
    const digest = digestOf(params.digest);
    const { missing, unproved } = await store.putManifest(repo, digest, put, settings.nowMs());
    if (missing.length > 0) return incomplete(repo, put, missing);
    return unproved === undefined ? done(reply) : condemned(digest, unproved);
  });
  app.delete('/v1/repos/:name/manifests/:digest', async ({ params }: Request, reply) => {
    const gone = await store.deleteManifest(repositoryOf(params.name), digestOf(params.digest), settings.nowMs());
    return gone ? done(reply) : absentManifest(params.name, params.digest);
  });
  app.get('/v1/repos/:name/referrers/:digest', async ({ params, query }: Request) => {
    return store.referrers(repositoryOf(params.name), digestOf(params.digest), referrersOf(query));
  });
}

function blobRoutes(app: FastifyInstance, store: TagStore, settings: IndexSettings): void {
  app.get('/v1/repos/:name/blobs/:digest', async ({ params }: Request) => {
    const link = await store.blob(repositoryOf(params.name), digestOf(params.digest));
    return link ?? absentBlob(params.name, params.digest);
  });
  app.put('/v1/repos/:name/blobs/:digest', async ({ params, body }: Request, reply) => {
    const digest = digestOf(params.digest);
    const unproved = await store.linkBlob(repositoryOf(params.name), digest, readBlobLinkPut(body));
    return unproved === undefined ? done(reply) : condemned(digest, unproved);
  });
  app.delete('/v1/repos/:name/blobs/:digest', async ({ params }: Request, reply) => {
    const gone = await store.unlinkBlob(repositoryOf(params.name), digestOf(params.digest), settings.nowMs());
    return gone ? done(reply) : absentBlob(params.name, params.digest);
  });
  app.post('/v1/repos/:name/blobs/:digest/mount', async ({ params, body }: Request) => {
    const { from } = readMount(body);
    const link = await store.mount(repositoryOf(params.name), digestOf(params.digest), from);
    return link ?? absentBlob(from, params.digest);
  });
}

function incomplete(repo: string, put: ManifestPut, missing: readonly Digest[]): never {
  // Of thousands, the first are enough to go on with.
  const detail: MissingReferences = { missing: missing.slice(0, missingToldMax) };
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : '';
  // What lacks manifests only could be taken as it is.
  const allow = missing.every((digest) => put.manifests.includes(digest) && !put.blobs.includes(digest))
    ? `, or allow indexes without all of their manifests there (\`manifests.allowMissingChildren\` of the index)`
    : '';
  throw new ApiError(
    'MANIFEST_BLOB_UNKNOWN',
    `repository ${repo} does not hold ${missing[0]}${more}: push it first${allow}`,
    detail,
  );
}

function condemned(digest: Digest, generation: number): never {
  const detail: Unproved = { generation };
  throw new ApiError(
    'BLOB_CONDEMNED',
    `nothing has linked to ${digest} for long, and origins may be removing it: prove that they have it, or push it again`,
    detail,
  );
}

function done(reply: FastifyReply): FastifyReply {
  return reply.code(204).send();
}

function absentTag(params: { name: string; tag: string }): never {
  throw new ApiError('MANIFEST_UNKNOWN', `repository ${params.name} has no tag ${params.tag}`);
}

function absentManifest(name: string, digest: string): never {
  throw new ApiError('MANIFEST_UNKNOWN', `repository ${name} does not hold the manifest ${digest}`);
}

function absentBlob(name: string, digest: string): never {
  throw new ApiError('BLOB_UNKNOWN', `repository ${name} does not hold ${digest}`);
}
