/**
 * The index's HTTP interface (core/contracts/index-api.ts) over a TagStore.
 *
 * Rule 1: a write is answered once it is on disk, and is seen by every read that begins after the answer.
 * Rule 2: a write that its caller gave up before it was begun, while this process hung, is not done.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../core/contracts/errors.ts';
import {
  INDEX,
  type ManifestPut,
  type MissingReferences,
  type TagChanged,
  type TagVersion,
  type TagWritten,
  type Unproved,
} from '../core/contracts/index-api.ts';
import type { NamedAt } from '../core/contracts/named.ts';
import type { ReconcileReply, ReconcileStep } from '../core/contracts/reconcile.ts';
import type { Digest } from '../core/digest.ts';
import { repositoryMatches } from '../core/oci/pattern.ts';
import type { ReplicaRules } from '../core/rendezvous/replicas.ts';
import { dropAbandoned } from '../platform/http/abandoned.ts';
import { callOf } from '../platform/http/call.ts';
import { serveOften } from '../platform/http/often.ts';
import { serve } from '../platform/http/serve.ts';
import type { DeleteOn, TagReads, TagStore, TagWrites } from '../platform/tags/store.ts';
import type { TagOutcome } from '../platform/tags/versions.ts';
import { madeHere, refuseNeeded, refuseWrongAs, tagsWritten } from './elsewhere.ts';
import type { SingleReads } from './herd.ts';
import type { KrakenSettings } from './kraken/config.ts';
import { krakenIndexRoutes } from './kraken/routes.ts';
import { byName } from './named.ts';
import { readOnlyError, readOnlyStore } from './read-only.ts';
import { replicaRoutes } from './replicas.ts';
import type { Succeeded } from './succession.ts';
import { unlinkedRoutes } from './unlinked.ts';

/** Missing references that an answer lists: error bodies are kept under 64 KiB. */
const missingToldMax = 100;

/** What the routes ask of a store: its own, or one that goes through to backends. */
export type IndexStore = Pick<TagStore, keyof TagReads | keyof TagWrites | 'named'>;

export type IndexSettings = {
  /** Patterns of repositories that take an index whose manifests are not all there. */
  readonly allowMissingChildren: readonly string[];
  /** A digest without a link for so long is condemned when an origin asks. */
  readonly keepUnlinkedMs: number;
  /** Of the clock on the wall: it is kept across restarts. */
  readonly nowMs: () => number;
  /** How one tag, and one manifest's record, is read; undefined: from the store, each by itself. */
  readonly reads?: SingleReads | undefined;
  /** How many origins are to hold what lies where; undefined: whatever they themselves say. */
  readonly replicas?: ReplicaRules | undefined;
  /** Undefined: no repository has a backend. */
  readonly reconcile?: ((step: ReconcileStep, signal: AbortSignal) => Promise<ReconcileReply>) | undefined;
  /** Whether it was restored from a backup; undefined: it never was. */
  readonly succeeded?: Pick<Succeeded, 'succession' | 'trust'> | undefined;
  /** Clients' writes are refused. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** What a tag is on that is put by Kraken's paths. Default: what the index knows as a manifest. */
  readonly kraken?: KrakenSettings | undefined;
  /** Somebody asks for that blob: whether it may be told of. Default: it may. */
  readonly inUse?: ((repo: string, digest: Digest) => Promise<boolean>) | undefined;
};

export function indexRoutes(app: FastifyInstance, writable: IndexStore, settings: IndexSettings): void {
  const { readOnly = false } = settings;
  const store = readOnly ? readOnlyStore(writable) : writable;
  dropAbandoned(app);
  tagRoutes(app, store, settings);
  manifestRoutes(app, store, settings);
  blobRoutes(app, store, settings);
  unlinkedRoutes(app, store, settings);
  replicaRoutes(app, store, settings.replicas);
  krakenIndexRoutes(app, store, settings);
  serve(app, INDEX.holders, ({ at }) => store.holders(at.digest, at));
  serve(app, INDEX.catalog, ({ at }) => store.catalog(at));
  serve(app, INDEX.reconcile, ({ body, request }) => {
    const { reconcile } = settings;
    if (readOnly && body.apply) throw readOnlyError();
    if (reconcile !== undefined) return reconcile(body, callOf(request).signal);
    throw new ApiError(
      'REQUEST_INVALID',
      'this index has no backend to be reconciled with: its `backends:` names none',
    );
  });
}

function tagRoutes(app: FastifyInstance, store: IndexStore, { nowMs, ...settings }: IndexSettings): void {
  const reads = settings.reads ?? store;
  serve(app, INDEX.tags, async ({ at }) => {
    const page = await store.tags(at.name, at);
    if (page === undefined) throw new ApiError('NAME_UNKNOWN', `there is no repository ${at.name}`);
    return page;
  });
  serveOften(app, INDEX.tag, { find: ({ name, tag }) => reads.tag(name, tag), absent: absentTag });
  serve(app, INDEX.putTag, ({ at, body }) => {
    refuseWrongAs(body.as, nowMs());
    return byName(store, at, {
      write: (writes) => writes.putTag(at.name, at.tag, body),
      answer: (outcome) => written(outcome ?? absentManifest(at.name, body.digest), at),
    });
  });
  const remove = (at: { name: string; tag: string } & NamedAt, on?: DeleteOn): Promise<TagWritten> =>
    byName(store, at, {
      write: (writes) => writes.deleteTag(at.name, at.tag, on),
      answer: (outcome) => written(outcome ?? absentTag(at), at),
    });
  serve(app, INDEX.deleteTag, ({ at }) => remove(at));
  serve(app, INDEX.deleteTagAt, ({ at }) => remove(at, at.version));
  serve(app, INDEX.deleteTagAs, ({ at }) => {
    refuseWrongAs(at.version, nowMs());
    return remove(at, { as: at.version });
  });
}

function manifestRoutes(app: FastifyInstance, store: IndexStore, settings: IndexSettings): void {
  const reads = settings.reads ?? store;
  serveOften(app, INDEX.manifest, {
    find: ({ name, digest }) => reads.manifest(name, digest),
    absent: ({ name, digest }) => absentManifest(name, digest),
  });
  serve(app, INDEX.putManifest, ({ at, body }) => {
    const { name, digest } = at;
    refuseWrongAs(body.as, settings.nowMs());
    const put = { ...body, sparse: repositoryMatches(settings.allowMissingChildren, name) };
    return byName(store, at, {
      write: (writes) => writes.putManifest(name, digest, put, settings.nowMs()),
      answer({ missing, changed, unproved, ...done }) {
        if (missing.length > 0) incomplete(name, put, missing);
        if (changed !== undefined) throw tagChanged({ name, tag: changed.tag }, changed.version);
        if (unproved !== undefined) condemned(digest, unproved);
        return tagsWritten(done);
      },
    });
  });
  serve(app, INDEX.deleteManifest, ({ at }) =>
    byName(store, at, {
      write: (writes) => writes.deleteManifest(at.name, at.digest, settings.nowMs()),
      answer: (done) => (done ? undefined : absentManifest(at.name, at.digest)),
    }),
  );
  serve(app, INDEX.deleteManifestAs, async ({ at }) => {
    const { name, digest, version } = at;
    refuseWrongAs(version, settings.nowMs());
    if (await madeHere(store, version)) absentManifest(name, digest);
    return byName(store, at, {
      write: (writes) => writes.deleteManifest(name, digest, settings.nowMs(), version),
      answer(done) {
        if (done === false) absentManifest(name, digest);
        if (done !== true) refuseNeeded(name, digest, done);
      },
    });
  });
  serve(app, INDEX.referrers, ({ at }) => store.referrers(at.name, at.digest, at));
}

function blobRoutes(app: FastifyInstance, store: IndexStore, settings: IndexSettings): void {
  serve(app, INDEX.blob, async ({ at: { name, digest } }) => {
    const link = (await store.blob(name, digest)) ?? absentBlob(name, digest);
    // A push skips what it is told of: that stays for a while.
    return (await (settings.inUse?.(name, digest) ?? true)) ? link : absentBlob(name, digest);
  });
  serve(app, INDEX.linkBlob, async ({ at: { name, digest }, body }) => {
    const unproved = await store.linkBlob(name, digest, body);
    if (unproved !== undefined) condemned(digest, unproved);
  });
  serve(app, INDEX.unlinkBlob, ({ at }) =>
    byName(store, at, {
      write: (writes) => writes.unlinkBlob(at.name, at.digest, settings.nowMs()),
      answer: (done) => (done ? undefined : absentBlob(at.name, at.digest)),
    }),
  );
  serve(app, INDEX.mount, async ({ at: { name, digest }, body: { from } }) => {
    return (await store.mount(name, digest, from)) ?? absentBlob(from, digest);
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

function written(outcome: TagOutcome, at: { name: string; tag: string }): TagWritten {
  if ('changed' in outcome) throw tagChanged(at, outcome.changed);
  return 'kept' in outcome ? { version: outcome.kept, kept: true } : outcome;
}

function tagChanged({ name, tag }: { name: string; tag: string }, version: TagVersion | null): ApiError {
  const where = version === null ? 'is not there' : `is at ${version} now`;
  const detail: TagChanged = { version };
  return new ApiError('TAG_CHANGED', `tag ${tag} of repository ${name} ${where}: read it again`, detail);
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
