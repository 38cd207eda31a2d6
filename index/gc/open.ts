/** What goes by itself, in an index's process: whom it is asked by, its metrics, and when it begins (docs/gc.md). */

import type { FastifyInstance } from 'fastify';
import { type GcRules, INDEX_GC } from '../../core/contracts/gc/routes.ts';
import type { Digest } from '../../core/digest.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import { serve } from '../../platform/http/serve.ts';
import type { DoomedStore } from '../../platform/tags/doomed.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { UntaggedStore } from '../../platform/tags/untagged.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { SingleReads } from '../herd.ts';
import type { IndexOrigins } from '../origins.ts';
import type { Succeeded } from '../succession.ts';
import type { GcSettings } from './config.ts';
import type { BackendDeletion } from './deletion.ts';
import type { Retention } from './retention.ts';
import { Sweep } from './sweep.ts';

/** To be asked for again within this changes nothing: it is far below any grace. */
const useMs = 60_000;
/** Of one transaction. */
const forgottenMax = 1_000;
/** Origins ask about all that they hold: at level info their questions would be all of the log. */
const quiet = { logLevel: 'warn' } as const;

export type GcParts = {
  readonly store: TagStore;
  readonly succeeded: Pick<Succeeded, 'doubted' | 'succession'>;
  readonly nowMs: () => number;
  readonly config: {
    readonly gc: GcSettings;
    readonly keepUnlinked: number;
    readonly readOnly: boolean;
    readonly store: { readonly kind: string };
  };
  readonly backends: Pick<Backends, 'all'> | undefined;
  /** Undefined: the engine does not know what was linked. */
  readonly doomed: DoomedStore | undefined;
  /** Undefined: it does not know since when manifests have no tag. */
  readonly untagged: UntaggedStore | undefined;
  readonly origins: IndexOrigins | undefined;
  readonly metrics: Metrics;
  readonly log: LineLog;
};

export type Gc = {
  readonly addRoutes: (app: FastifyInstance) => void;
  /** Somebody asks for the repository's blob, which it has: whether it is there for a grace from now on. */
  readonly inUse: (repo: string, digest: Digest) => Promise<boolean>;
  /** The same reads, with who asks for a manifest noted. */
  readonly noting: (reads: SingleReads) => SingleReads;
};

/** It has begun; ends with the stack. */
export async function openGc(parts: GcParts, stack: AsyncDisposableStack): Promise<Gc> {
  const { store, nowMs, config, metrics, log } = parts;
  const { enabled, grace, every, rate, keep } = config.gc;
  const graceMs = Math.max(grace, config.keepUnlinked);
  const off = (): string | undefined => {
    if (!enabled) return '`gc.enabled` of the index is false';
    if (config.readOnly) return 'the index is read only';
    return parts.succeeded.doubted
      ? 'the index was restored from a backup, and nobody has said yet that nothing is missing: `shoal reconcile --apply`, or `shoal index trust`'
      : undefined;
  };
  const keeps = (repo: string): boolean => repositoryMatches(keep, repo);
  const links = metrics.counter('gc_links_total', 'Links of blobs that nothing referred to for the grace, and went');
  const sweep = new Sweep({
    ...{ store, nowMs, graceMs, everyMs: every, rate, keeps, off, log },
    went: (expired) => links.inc(expired.links),
  });
  stack.use(sweep);
  sweep.begin();
  const deletion = await deleting({ ...parts, graceMs, off }, stack);
  const { retention, noting } = await retaining({ ...parts, graceMs, off }, stack);
  const rules = (): GcRules => ({ graceMs, everyMs: every, rate, off: off() });
  return {
    addRoutes: (app) => addRoutes(app, { ...parts, graceMs, keeps, rules, sweep, deletion, retention }),
    noting,
    // What is about to go anyway is told of while it is there.
    inUse: async (repo, digest) => {
      if (off() !== undefined) return true;
      const sinceMs = await store.idleSince(repo, digest);
      const now = nowMs();
      if (sinceMs === undefined || now - sinceMs < Math.min(useMs, graceMs / 10)) return true;
      return await store.use(repo, digest, now);
    },
  };
}

/** Where a backend says `delete`: it has begun. Elsewhere what was noted for it is of no use any more. */
async function deleting(
  parts: GcParts & { readonly graceMs: number; readonly off: () => string | undefined },
  stack: AsyncDisposableStack,
): Promise<BackendDeletion | undefined> {
  const { doomed, origins, metrics, store } = parts;
  const { every: everyMs, rate } = parts.config.gc;
  const backends = parts.backends?.all.filter(({ deletes }) => deletes) ?? [];
  await doomed?.deletesFrom(backends.map(({ name }) => name));
  if (doomed === undefined || origins === undefined || backends.length === 0) return undefined;
  const { BackendDeletion } = await import('./deletion.ts');
  const { deletionMetrics } = await import('./metrics.ts');
  const { mending } = await import('./mend.ts');
  const mend = mending(store, origins);
  const deletion = new BackendDeletion({
    ...parts,
    doomed,
    backends,
    mend,
    everyMs,
    rate,
    metrics: deletionMetrics(metrics),
  });
  stack.use(deletion);
  deletion.begin();
  return deletion;
}

/** Where there are rules: it has begun. Elsewhere nobody notes who asks: what was noted is forgotten. */
async function retaining(
  parts: GcParts & { readonly graceMs: number; readonly off: () => string | undefined },
  stack: AsyncDisposableStack,
): Promise<{ readonly retention: Retention | undefined; readonly noting: Gc['noting'] }> {
  const { untagged, metrics, nowMs, off } = parts;
  const { retention: rules, every: everyMs, rate } = parts.config.gc;
  if (untagged === undefined || rules.length === 0) {
    while (!parts.config.readOnly && (await untagged?.forgetUntagged(forgottenMax)) === true);
    return { retention: undefined, noting: (reads) => reads };
  }
  const [{ Retention }, { retentionMetrics }, { notingAsked }] = await Promise.all([
    import('./retention.ts'),
    import('./metrics.ts'),
    import('./asked.ts'),
  ]);
  const retention = stack.use(
    new Retention({ ...parts, ...retentionMetrics(metrics), untagged, rules, everyMs, rate }),
  );
  retention.begin();
  const leastMs = Math.max(parts.graceMs, Math.min(...rules.map((rule) => rule.untagged)));
  return { retention, noting: (reads) => notingAsked(reads, { untagged, nowMs, leastMs, off }) };
}

type RouteParts = GcParts & {
  readonly graceMs: number;
  readonly keeps: (repo: string) => boolean;
  readonly rules: () => GcRules;
  readonly sweep: Sweep;
  readonly deletion: BackendDeletion | undefined;
  readonly retention: Retention | undefined;
};

function addRoutes(
  app: FastifyInstance,
  { store, succeeded, nowMs, config, graceMs, keeps, rules, sweep, deletion, retention }: RouteParts,
): void {
  // A bucket has no list of idle links: each digest is judged when it is asked about.
  const listed = config.store.kind !== 'bucket';
  serve(app, INDEX_GC.rules, rules, quiet);
  serve(
    app,
    INDEX_GC.condemn,
    async ({ body }) => {
      const succeeds = await succeeded.succession();
      const off = rules().off !== undefined || succeeds?.trusted === false;
      const at = { nowMs: nowMs(), unlinkedMs: graceMs, idle: { keeps } };
      if (!listed && !off) return { ...(await store.condemn(body.digests, at)), succeeds };
      // A read, which costs no writer anything, says of nearly all that they have links.
      const { index, unlinked } = await store.unlinked(body.digests);
      if (off || unlinked.length === 0) return { index, succeeds, condemned: [], waiting: unlinked.length };
      return { ...(await store.condemn(unlinked, at)), succeeds };
    },
    quiet,
  );
  serve(
    app,
    INDEX_GC.useless,
    async ({ body: { digests } }) => {
      const [{ index }, useless] = await Promise.all([
        store.unlinked([]),
        store.uselessSince(digests, nowMs() - graceMs),
      ]);
      return { index, succeeds: await succeeded.succession(), useless };
    },
    quiet,
  );
  serve(app, INDEX_GC.step, async ({ body }) => {
    const retired = await retention?.step(body.apply);
    const swept = await sweep.step(body.apply);
    const step = { ...swept, retention: retired?.retention, more: swept.more || retired?.more === true };
    if (deletion === undefined) return step;
    const { more, ...backends } = await deletion.step(body.apply);
    return { ...step, backends, more: step.more || more };
  });
}
