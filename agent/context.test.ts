/** What comes with a client's request goes with every question that the agent asks for it. */

import { afterEach, expect, test } from 'vitest';
import type { AgentStatus } from '../core/contracts/agent.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { realClock } from '../platform/net/clock.ts';
import { registerRegistry } from '../platform/registry/routes.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { addAdminRoutes } from './admin.ts';
import { PullLog, Pulls } from './pull.ts';
import { AgentRegistry } from './registry.ts';
import { MemoryIndex, MemorySwarm } from './testing/memory.ts';

const traceId = 'ab'.repeat(16);
const headers = {
  'x-request-id': 'from-outside',
  'x-shoal-client': 'somebody-else',
  'x-shoal-deadline': '60000',
  traceparent: `00-${traceId}-${'cd'.repeat(8)}-01`,
};
const stack = new AsyncDisposableStack();
afterEach(() => stack.disposeAsync());

test('request id, client, deadline and trace reach the index and the trackers, whatever is asked', async () => {
  const heard: [method: string, ctx: CallContext][] = [];
  const swarm = stack.use(new MemorySwarm());
  const index = new Proxy(new MemoryIndex(), {
    get: (target, name) => {
      const found: unknown = Reflect.get(target, name);
      if (typeof found !== 'function') return found;
      return (...args: unknown[]) => {
        heard.push([String(name), args.at(-1) as CallContext]);
        return found.apply(target, args);
      };
    },
  });
  const { store, node, arena } = swarm;
  const locate = (blob: Parameters<typeof swarm.tracking.locate>[0], ctx: CallContext) => {
    heard.push(['locate', ctx]);
    return swarm.tracking.locate(blob);
  };
  const [log, metrics] = [silentLog(), new Metrics()];
  const history = new PullLog({ log, metrics, clock: realClock, cacheBytes: () => 0 });
  const pulls = new Pulls({ store, arena, node, tracking: { locate }, log, history, clock: realClock });
  const app = createHttp({ role: 'agent', log, metrics, readiness: () => Promise.resolve([]) });
  registerRegistry(app, new AgentRegistry({ pulls, index, proxy: 'http://proxy:15000' }));
  const preload = () => ({ docker: '/none', containerd: '/none', registry: 'none:1' });
  addAdminRoutes(app, {
    pulls,
    index,
    blobs: () => [],
    get: () => undefined,
    status: () => ({}) as AgentStatus,
    open: true,
    preload,
  });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  const ask = async (method: string, path: string, status: number): Promise<void> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
    expect([method, path, answer.status]).toEqual([method, path, status]);
    await answer.arrayBuffer();
  };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: {}, layers: [] }));
  const digest = swarm.add(manifest);
  const record = { digest, mediaType: MEDIA.ociManifest, size: manifest.length };
  index.tagged.set('a:1', record);
  index.held.set(`a@${digest}`, record);
  const unknown = `sha256:${'e'.repeat(64)}`;
  await ask('GET', '/v2/a/manifests/1', 200);
  await ask('GET', `/v2/a/manifests/${digest}`, 200);
  await ask('HEAD', `/v2/a/manifests/${digest}`, 200);
  await ask('HEAD', `/v2/a/blobs/${unknown}`, 404);
  await ask('GET', `/v2/a/blobs/${unknown}`, 404);
  await ask('GET', '/v2/a/tags/list', 200);
  await ask('GET', '/v2/_catalog', 200);
  await ask('GET', `/v2/a/referrers/${digest}`, 200);
  const registry = heard.splice(0);
  await ask('GET', '/tags/a:1', 200);
  await ask('HEAD', `/v1/blobs/${unknown}/data`, 404);

  const asked = [...new Set(registry.map(([name]) => name))];
  const methods = Object.getOwnPropertyNames(MemoryIndex.prototype).filter((name) => name !== 'constructor');
  expect(asked.toSorted()).toEqual([...methods, 'locate'].toSorted());
  for (const [name, ctx] of [...registry, ...heard]) {
    const { requestId, traceId: trace } = ctx.ids;
    expect([name, requestId, trace]).toEqual([name, 'from-outside', traceId]);
    expect(ctx.leftMs).toBeLessThanOrEqual(60_000);
  }
  for (const [name, ctx] of registry) expect([name, ctx.caller?.name]).toEqual([name, '127.0.0.1']);
  for (const [name, ctx] of heard) expect([name, ctx.caller]).toEqual([name, undefined]);
});
