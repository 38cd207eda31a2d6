/** A proxy: the cluster's read-write registry. It keeps nothing that a crash could lose. */

import { IndexClient } from '../platform/clients/index-client.ts';
import { Origins } from '../platform/clients/origins.ts';
import { drainable } from '../platform/http/drainable.ts';
import { CLIENT_LIMITS } from '../platform/http/exchange.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { runRole } from '../platform/lifecycle/role.ts';
import { registerRegistry, registryWork } from '../platform/registry/routes.ts';
import { proxySchema } from './config.ts';
import { ProxyRegistry } from './registry.ts';

await runRole({
  role: 'proxy',
  schema: proxySchema,
  env: process.env,
  async run({ config, log, metrics, drain }, stack) {
    const { push, pull } = config;
    const origins = stack.use(new Origins({ urls: config.origins, copies: push.copies, required: push.required }));
    const index = stack.use(new IndexClient({ urls: config.index }));
    const registry = new ProxyRegistry({ index, origins, log, originStallMs: push.originStall });
    const app = createHttp({ role: 'proxy', log, metrics, readiness: () => origins.problems() });
    drainable(app, drain, { role: 'proxy', workOf: registryWork });
    registerRegistry(app, registry, {
      ...CLIENT_LIMITS,
      stallMs: push.clientStall,
      pauseMs: pull.pause,
      trustedProxies: config.trustedProxies,
    });
    const { port } = stack.use(await listen(app, config.listen));
    return { ports: { registry: port } };
  },
});
