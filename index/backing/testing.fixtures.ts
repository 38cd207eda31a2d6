/** Clusters of one index each, on one bucket: real databases, the real write-back and read-through, and origins' part by hand. */

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { parseManifest } from '../../core/oci/manifest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import { type Backed, Backends, backedBy } from '../../platform/backends/backends.ts';
import { type KeyLayout, registryLayout } from '../../platform/backends/layout.ts';
import { bytesOf, sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { openSqliteTags } from '../../platform/tags/sqlite/sqlite.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { IndexStore } from '../api.ts';
import { OutboxHeard } from '../outbox/heard.ts';
import { type OpenedOutbox, openOutbox } from '../outbox/open.ts';
import { backendTargets } from '../outbox/targets.ts';
import { type Backing, openBacking } from './open.ts';
import { linkOf, recordOf } from './records.ts';
import type { BackedStore } from './store.ts';

const never = new AbortController().signal;

export type Site = {
  readonly store: TagStore;
  readonly answering: BackedStore;
  readonly reconcile: Backing['reconcile'];
  readonly addRoutes: OpenedOutbox['addRoutes'];
  readonly metrics: Metrics;
  /** As kill -9 and a start: nothing of the process is left but its database. */
  restart(): Promise<Site>;
  stop(): Promise<void>;
};

export type SiteOptions = {
  readonly durability?: 'origins' | 'backend';
  readonly nowMs?: () => number;
  readonly layout?: KeyLayout;
  readonly dir?: string;
  readonly shared?: boolean;
  /** Default: all repositories. */
  readonly patterns?: readonly string[];
  /** Default: the keys of a bucket. */
  readonly backed?: Backed;
};

export async function temporary(stack: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-backing-'));
  stack.defer(() => rm(dir, { recursive: true }));
  return dir;
}

/** A cluster's index, with whatever its directory holds. The backend is nobody's: it outlives it. */
export async function site(stack: AsyncDisposableStack, backend: Backend, options: SiteOptions = {}): Promise<Site> {
  const dir = options.dir ?? (await temporary(stack));
  const { durability = 'origins', nowMs = Date.now, layout, shared, patterns = ['**'] } = options;
  const own = stack.use(new AsyncDisposableStack());
  const { backed = backedBy(backend, { durability, required: false, shared }, layout) } = options;
  const backends = new Backends([{ patterns, backed }]);
  const targets = backendTargets(backends);
  const onBroken = (error: Error): never => {
    throw error;
  };
  const metrics = new Metrics();
  const log = silentLog();
  const heard = new OutboxHeard({ log, metrics });
  const outbox = { ...targets, ...heard.options, nowMs };
  const store = own.use(openSqliteTags({ file: join(dir, 'tags.db'), onBroken, outbox }));
  const { lanes } = heard;
  const { addRoutes } = await openOutbox({ store, targets, heard, log });
  const { answering, reconcile } = await openBacking(
    { store, doomed: store.doomed, backends, lanes, log, metrics, nowMs },
    own,
  );
  return {
    store,
    answering,
    reconcile,
    addRoutes,
    metrics,
    stop: () => own.disposeAsync(),
    restart: async () => {
      await own.disposeAsync();
      return site(stack, backend, { ...options, dir });
    },
  };
}

export type Image = { readonly digest: Digest; readonly bytes: Uint8Array; readonly blobs: readonly Uint8Array[] };

/** An image with two blobs, whose bytes are those of `name`. */
export function image(name: string, more: object = {}): Image {
  const blobs = [Buffer.from(`{"config":"${name}"}`), Buffer.from(`layer of ${name}`)];
  const [config, layer] = blobs.map((bytes, i) => ({
    mediaType: i === 0 ? 'application/vnd.oci.image.config.v1+json' : MEDIA.ociLayer,
    digest: digestOfBytes(bytes),
    size: bytes.length,
  }));
  const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers: [layer], ...more };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return { digest: digestOfBytes(bytes), bytes, blobs };
}

/** An index of these. */
export function imageIndex(images: readonly Image[]): Image {
  const manifests = images.map(({ digest, bytes }) => ({ mediaType: MEDIA.ociManifest, digest, size: bytes.length }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests }));
  return { digest: digestOfBytes(bytes), bytes, blobs: [] };
}

export function digestOfBytes(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** What origins write back. */
export async function writeBlobs(backend: Backend, { bytes, blobs }: Image): Promise<void> {
  for (const blob of [...blobs, bytes])
    await backend.write(registryLayout.blobKey(digestOfBytes(blob)), sourceOf(blob), never);
}

/** As a proxy tells an index. */
export async function push(to: IndexStore, repo: string, pushed: Image, tags: readonly string[] = []): Promise<void> {
  for (const blob of pushed.blobs) await to.linkBlob(repo, digestOfBytes(blob), { size: blob.length });
  const parsed = parseManifest(pushed.bytes, undefined);
  const outcome = await to.putManifest(
    repo,
    pushed.digest,
    {
      mediaType: parsed.mediaType,
      size: pushed.bytes.length,
      tags,
      blobs: parsed.blobs.map(({ digest }) => digest),
      manifests: parsed.manifests.map(({ digest }) => digest),
      subject: parsed.subject?.digest,
      artifactType: parsed.artifactType,
      annotations: parsed.annotations,
    },
    0,
  );
  if (outcome.missing.length > 0) throw new Error(`it lacks ${outcome.missing.join()}`);
}

/** What the backend says of a tag: as a registry reads it, and as we do. */
export async function inBucket(backend: Backend, repo: string, tag: string) {
  const { links } = registryLayout;
  const of = { repo, kind: 'tag', name: tag } as const;
  const read = async (key: string): Promise<Buffer | undefined> => {
    const about = await backend.stat(key, never);
    return about && (await bytesOf(backend.read(key, { start: 0, end: about.size }, never)));
  };
  return { link: linkOf(await read(links.linkKey(of))), record: recordOf(await read(links.recordKey(of))) };
}

/** Rows that wait. */
export async function depth(of: Site): Promise<number> {
  return (await of.store.outbox()).reduce((sum, { rows }) => sum + rows, 0);
}
