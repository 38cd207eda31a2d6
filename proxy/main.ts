/** A proxy: the cluster's read-write registry. It keeps nothing that a crash could lose. */

import type { FastifyInstance } from 'fastify';
import { accessOdd } from '../platform/access/config.ts';
import type { AuditLog } from '../platform/audit/log.ts';
import { openAudit } from '../platform/audit/open.ts';
import { Blocks } from '../platform/blocks/blocks.ts';
import type { HttpClient } from '../platform/clients/http.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { Origins } from '../platform/clients/origins.ts';
import { CLIENT_LIMITS } from '../platform/http/exchange.ts';
import { type RoleContext, runRole } from '../platform/lifecycle/role.ts';
import type { Members } from '../platform/members/members.ts';
import { Membership } from '../platform/members/membership.ts';
import { addMembersRoute } from '../platform/members/route.ts';
import { realClock } from '../platform/net/clock.ts';
import { nobodyIsAsked } from '../platform/registry/gate.ts';
import type { RegistryHandler } from '../platform/registry/reply.ts';
import { registerRegistry, registryWork } from '../platform/registry/routes.ts';
import { keysChecked, policiesAt } from '../platform/signatures/config.ts';
import type { ProxyAccess } from './access/open.ts';
import { type ProxyConfig, proxySchema } from './config.ts';
import { openDoors } from './doors.ts';
import { IndexRules } from './index-rules.ts';
import { addPrefetchRoutes } from './prefetch/routes.ts';
import { ProxyRegistry } from './registry.ts';

await runRole({
  role: 'proxy',
  schema: proxySchema,
  env: process.env,
  checked: keysChecked,
  odd: accessOdd,
  async run(context, stack) {
    const { config, log, metrics } = context;
    const { push, pull, trustedProxies } = config;
    const membership = stack.use(new Membership(context));
    const members = await membership.origins(config.origins);
    const origins = new Origins({ members, copies: push.copies, required: push.required });
    const indexes = await membership.others('index', config.index);
    const index = new IndexClient(indexes);
    const blocked = new Blocks(context, indexes);
    // A proxy keeps nothing: without an index it has nothing to give either.
    await blocked.follow(undefined, stack);
    const audit = await openAudit(config.audit, context, stack);
    const access = await accessOf(context, { indexes, audit }, stack);
    const replicas = stack.use(new IndexRules((ctx) => index.replicaRules(ctx)));
    const quotas = stack.use(new IndexRules((ctx) => index.quotas(ctx)));
    const { receive } = config.replication;
    const policies = policiesAt(config.verify.cosign, 'push');
    const signed =
      policies.length === 0
        ? undefined
        : (await import('./signed.ts')).signedTags({ policies, index, origins, log, metrics, clock: realClock });
    const registry = new ProxyRegistry({
      index,
      origins,
      replicas,
      quotas,
      log,
      originStallMs: push.originStall,
      receive,
      signed,
      blocked,
    });
    const served = audit === undefined ? registry : await audited(registry, audit);
    const limits = {
      ...CLIENT_LIMITS,
      stallMs: push.clientStall,
      pauseMs: pull.pause,
      trustedProxies,
    };
    const door = {
      operated: (app: FastifyInstance) => addMembersRoute(app, membership),
      readiness: () => origins.problems(),
      warnings: () => [
        ...membership.warnings(),
        ...blocked.problems(),
        ...(audit?.problems() ?? []),
        ...(access?.problems() ?? []),
      ],
      workOf: registryWork,
      routes: (app: FastifyInstance) => {
        registerRegistry(app, served, limits, access?.gate);
        access?.addRoutes(app);
        const gated = { gate: access?.gate, trustedProxies };
        addPrefetchRoutes(app, { index, origins, blocked, log, metrics, ...gated, ...config.prefetch });
      },
    };
    return { ports: await openDoors(context, door, stack) };
  },
});

/** Loaded only where it is wanted. */
async function audited(registry: RegistryHandler, audit: AuditLog): Promise<RegistryHandler> {
  const { AuditedRegistry } = await import('./audited.ts');
  return new AuditedRegistry(registry, audit, Date.now);
}

/** Nothing of it is loaded where nobody is asked who he is. Throws StartError. */
async function accessOf(
  context: RoleContext<ProxyConfig>,
  { indexes, audit }: { readonly indexes: Members<HttpClient>; readonly audit: AuditLog | undefined },
  stack: AsyncDisposableStack,
): Promise<ProxyAccess | undefined> {
  const { access } = context.config;
  if (access === undefined) {
    context.log.info(nobodyIsAsked);
    return undefined;
  }
  const [{ openProxyAccess }, { DocumentClient }] = await Promise.all([
    import('./access/open.ts'),
    import('../platform/clients/documents.ts'),
  ]);
  return await openProxyAccess(context, access, { documents: new DocumentClient(indexes), audit, stack });
}
