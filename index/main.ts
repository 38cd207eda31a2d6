/** An index: tag to digest, and what each repository holds. State: that of its engine (platform/tags/open.ts). */

import type { FastifyInstance } from 'fastify';
import { openAudit } from '../platform/audit/open.ts';
import { openBackends, proveBackends } from '../platform/backends/open.ts';
import { openDoor } from '../platform/host/door.ts';
import { type RoleContext, runRole } from '../platform/lifecycle/role.ts';
import { realClock } from '../platform/net/clock.ts';
import { besideStore } from '../platform/tags/bucket/rule.ts';
import { openTags } from '../platform/tags/open.ts';
import { proveStore } from '../platform/tags/prove.ts';
import type { TagStore } from '../platform/tags/store.ts';
import { indexRoutes } from './api.ts';
import type { Backing, BackingParts } from './backing/open.ts';
import { indexSchema } from './config.ts';
import { documentRoutes } from './documents/routes.ts';
import { DocumentWatch } from './documents/watch.ts';
import type { EventsParts } from './events/open.ts';
import { eventTargets } from './events/targets.ts';
import { openGc } from './gc/open.ts';
import { readTogether } from './herd.ts';
import { OriginsHeld } from './kraken/held.ts';
import { openOrigins } from './origins.ts';
import { OutboxHeard } from './outbox/heard.ts';
import type { OpenedOutbox, OutboxParts } from './outbox/open.ts';
import { allTargets, backendTargets } from './outbox/targets.ts';
import { atStart } from './patience.ts';
import { quotaRoutes } from './quotas/routes.ts';
import type { QuotaWatch, QuotaWatchParts } from './quotas/watch.ts';
import type { Replication, ReplicationParts } from './replication/open.ts';
import { replicationTargets } from './replication/targets.ts';
import { Succeeded } from './succession.ts';

await runRole({
  role: 'index',
  schema: indexSchema,
  env: process.env,
  prove: async (config, checked) => [await proveStore(config, checked), ...(await proveBackends(config, checked))],
  async run(context, stack) {
    const { config } = context;
    const rules = besideStore(config.backends, config.store);
    const backends = await openBackends({ ...context, config: { backends: rules } }, () => 1, stack);
    const heard = new OutboxHeard(context);
    const { lanes } = heard;
    const targets = allTargets([
      backends && backendTargets(backends),
      replicationTargets(config.replicate),
      eventTargets(config.events),
    ]);
    const { store, nowMs, counted, commits, doomed, untagged } = await openTags({
      ...config,
      ...context,
      targets: targets && { ...targets, ...heard.options },
    });
    stack.use(store);
    const outbox = await outboxOf({ ...context, store, targets, heard });
    const backed = backends && (await backing({ ...context, store, doomed, backends, lanes, nowMs }, stack));
    await eventsOf({ ...context, events: config.events, port: config.listen.port, store, lanes, nowMs }, stack);
    const readiness = (): Promise<string[]> =>
      store.catalog({ n: 1 }).then(
        async () => (await backends?.problems()) ?? [],
        (error: unknown) => [(error as Error).message],
      );
    const answering = backed?.answering ?? store;
    const shared = config.store.kind !== 'sqlite';
    // What a backend has changes without a write here.
    const alone = backed === undefined ? commits : undefined;
    const reads = readTogether(answering, { clock: realClock, metrics: context.metrics, shared, commits: alone });
    const watch =
      counted && config.quotas.length > 0
        ? stack.use(await quotaWatch({ ...context, rules: config.quotas, used: counted.used }))
        : undefined;
    const origins = await openOrigins(context, stack);
    const { replicate } = config;
    const replication = await replicating({ ...context, replicate, origins, store, lanes, nowMs }, stack);
    const { required, tagTypes } = config.kraken;
    const succeeded = stack.use(new Succeeded(store));
    const watched = documentsOf(context, store, stack);
    const audit = await openAudit(config.audit, context, stack);
    const operators = audit && (await import('./audit/operated.ts')).auditOperators;
    const gc = await openGc({ ...context, store, doomed, untagged, backends, origins, succeeded, nowMs }, stack);
    const routes = (app: FastifyInstance): void => {
      if (audit !== undefined) operators?.(app, audit);
      outbox?.addRoutes(app);
      gc.addRoutes(app);
      replication?.addRoutes(app);
      documentRoutes(app, { watch: watched, nowMs, readOnly: config.readOnly, audit });
      quotaRoutes(app, { rules: config.quotas, counted });
      watch?.observe(app);
      indexRoutes(app, answering, {
        ...config.manifests,
        keepUnlinkedMs: config.keepUnlinked,
        nowMs,
        reads: gc.noting(reads),
        replicas: config.replicas,
        succeeded,
        reconcile: backed?.reconcile,
        readOnly: config.readOnly,
        kraken: { tagTypes, held: origins && new OriginsHeld(origins, required), again: replication?.again },
        inUse: gc.inUse,
      });
    };
    const warnings = (): string[] => audit?.problems() ?? [];
    return { ports: { api: await openDoor(context, { at: config.listen, readiness, warnings, routes }, stack) } };
  },
});

function documentsOf({ drain, metrics }: RoleContext<unknown>, store: TagStore, stack: AsyncDisposableStack) {
  const watch = stack.use(new DocumentWatch({ store: store.documents, clock: realClock }));
  drain.onStart(() => watch[Symbol.dispose]());
  metrics.observed(
    'documents_waiting',
    'Questions for the next version of a document that are kept open',
    () => watch.waiting,
  );
  return watch;
}

/** Loaded only where somebody is told of writes, or was. */
async function outboxOf(parts: OutboxParts): Promise<OpenedOutbox | undefined> {
  if (parts.targets === undefined && (await atStart(() => parts.store.outbox())).length === 0) return undefined;
  const { openOutbox } = await import('./outbox/open.ts');
  return await atStart(() => openOutbox(parts));
}

/** Loaded only where there are receivers. */
async function eventsOf(parts: EventsParts, stack: AsyncDisposableStack): Promise<void> {
  if (parts.events.endpoints.length === 0) return;
  const { openEvents } = await import('./events/open.ts');
  await openEvents(parts, stack);
}

/** Loaded only where there are quotas. */
async function quotaWatch(parts: QuotaWatchParts): Promise<QuotaWatch> {
  const { QuotaWatch } = await import('./quotas/watch.ts');
  return new QuotaWatch(parts);
}

/** Loaded only where there are backends. */
async function backing(parts: BackingParts, stack: AsyncDisposableStack): Promise<Backing> {
  const { openBacking } = await import('./backing/open.ts');
  return openBacking(parts, stack);
}

/** Loaded only where there are remotes. */
async function replicating(parts: ReplicationParts, stack: AsyncDisposableStack): Promise<Replication | undefined> {
  if (parts.replicate === undefined || parts.origins === undefined) return undefined;
  const { openReplication } = await import('./replication/open.ts');
  return openReplication(parts, stack);
}
