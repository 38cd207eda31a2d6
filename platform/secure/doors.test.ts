/**
 * Every endpoint of every port x every caller, over real connections. What each role may do is written down here from the
 * role's side, and not read from the table that the doors go by: whatever is not listed must be refused.
 */

import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CallerRole } from '../../core/access/identity.ts';
import { ACCESS, HTTP_PORTS, type HttpPort } from '../../core/access/table.ts';
import { pemOf, TestAuthority } from '../certs/testing.fixtures.ts';
import { createHttp, type Listening, listen } from '../http/server.ts';
import { Credentials } from '../net/credentials.ts';
import type { HttpConnections } from '../net/http.ts';
import { tcpHttp } from '../net/http.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { CALLERS, NOBODIES, type TestCaller, type TestCallers, testCallers, testCluster } from './callers.fixtures.ts';
import { guard } from './guard.ts';
import { operatorHttp } from './operator.ts';
import { Secure } from './secure.ts';
import { whoIsIn } from './who.ts';

/** `port METHOD pattern`, `*` at the end for whatever follows. */
const ANYBODY = [
  ...HTTP_PORTS.flatMap((port) => [`${port} GET /health`, `${port} GET /readiness`]),
  ...['registry', 'proxy'].flatMap((port) =>
    ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].map((m) => `${port} ${m} /v2*`),
  ),
  ...['/registry/notifications', '/proxy/v1/registry/prefetch', '/proxy/v2/registry/prefetch'].map(
    (path) => `proxy POST ${path}`,
  ),
];
const METRICS = HTTP_PORTS.map((port) => `${port} GET /metrics`);
const READS_TAGS = ['tags/:tag', 'tags', 'manifests/:digest', 'referrers/:digest', 'blobs/:digest']
  .map((what) => `index GET /v1/repos/:name/${what}`)
  .concat('index GET /v1/catalog');
const WRITES_TAGS = [
  'PUT /v1/repos/:name/tags/:tag',
  'DELETE /v1/repos/:name/tags/:tag',
  'DELETE /v1/repos/:name/tags/:tag/versions/:version',
  'DELETE /v1/repos/:name/tags/:tag/written/:version',
  'PUT /v1/repos/:name/manifests/:digest',
  'DELETE /v1/repos/:name/manifests/:digest',
  'DELETE /v1/repos/:name/manifests/:digest/written/:version',
  'PUT /v1/repos/:name/blobs/:digest',
  'DELETE /v1/repos/:name/blobs/:digest',
  'POST /v1/repos/:name/blobs/:digest/mount',
].map((what) => `index ${what}`);
const [KEY, BLOCKS] = ['index GET /v1/documents/access-key', 'index GET /v1/documents/blocks'];
const [RIGHTS, TOLD] = ['index GET /v1/documents/access', 'index GET /v1/documents/access-public'];
const FINDS = ['origin GET /v1/blobs/:digest/info', 'origin POST /v1/infos', 'origin GET /v1/identity'];
const PUSHES = [
  'origin POST /v1/uploads/:id',
  'origin GET /v1/uploads/:id',
  'origin DELETE /v1/uploads/:id',
  'origin PATCH /v1/uploads/:id',
  'origin PUT /v1/uploads/:id',
  'origin POST /v1/blobs/:digest/proof',
  'origin POST /v1/blobs/:digest/fetch',
];
const READS_BLOBS = ['origin GET /v1/blobs/:digest', 'origin HEAD /v1/blobs/:digest'];
const ANNOUNCES = ['tracker POST /v1/announce', 'tracker POST /v1/leave'];
const LOCATES = 'tracker GET /v1/blobs/:digest';

const MAY: Readonly<Record<Exclude<CallerRole, 'admin'>, readonly string[]>> = {
  agent: [...FINDS, ...READS_TAGS, ...ANNOUNCES, LOCATES, TOLD, BLOCKS],
  tracker: [...FINDS, BLOCKS],
  proxy: [
    ...FINDS,
    ...READS_BLOBS,
    ...PUSHES,
    ...READS_TAGS,
    ...WRITES_TAGS,
    LOCATES,
    ...[RIGHTS, KEY, TOLD, BLOCKS],
    ...['index PUT /v1/documents/access-key', 'index PUT /v1/documents/access-public'],
    // Which cluster the index is of.
    'index POST /v1/unlinked',
    'index POST /v1/replicas',
    'index GET /v1/replicas',
    'index GET /v1/quotas',
    'index GET /v1/room/:repo',
    'origin POST /namespace/:ns/blobs/:digest/prefetch',
  ],
  index: [...FINDS, ...READS_BLOBS, ...PUSHES, ...READS_TAGS, ...WRITES_TAGS, LOCATES, BLOCKS],
  origin: [
    BLOCKS,
    ...FINDS,
    ...READS_BLOBS,
    'origin POST /v1/blobs/:digest/write-back',
    'origin POST /v1/blobs/:digest/fetch',
    'origin POST /v1/repair/sums',
    'origin POST /v1/repair/shared',
    'origin POST /v1/repair/offers',
    ...READS_TAGS,
    'index GET /v1/digests/:digest/repositories',
    'index GET /v1/gc',
    'index POST /v1/gc/condemned',
    'index POST /v1/gc/useless',
    'index POST /v1/condemned',
    'index POST /v1/unlinked',
    'index POST /v1/replicas',
    'index GET /v1/replicas',
    ...ANNOUNCES,
    LOCATES,
  ],
  monitor: [],
};
/** An operator does not do the components' work: everything else. */
const NOT_ADMIN = [
  ...WRITES_TAGS.filter((what) => what !== 'index DELETE /v1/repos/:name/tags/:tag'),
  ...PUSHES,
  ...ANNOUNCES,
  'origin POST /v1/blobs/:digest/write-back',
  'origin POST /v1/repair/sums',
  'origin POST /v1/repair/shared',
  'origin POST /v1/repair/offers',
  'index POST /v1/condemned',
  'index POST /v1/gc/condemned',
  'index POST /v1/gc/useless',
  'index POST /v1/unlinked',
  'index POST /v1/replicas',
  KEY,
  'index PUT /v1/documents/access-key',
  'index PUT /v1/documents/access-public',
];

const among = (list: readonly string[], what: string): boolean =>
  list.some((one) => (one.endsWith('*') ? what.startsWith(one.slice(0, -1)) : one === what));

function expected(caller: TestCaller, what: string): boolean {
  if (among(ANYBODY, what)) return true;
  if (NOBODIES.some((nobody) => nobody === caller)) return false;
  if (METRICS.includes(what)) return true;
  if (caller === 'admin') return !among(NOT_ADMIN, what);
  return among(MAY[caller as Exclude<CallerRole, 'admin'>], what);
}

const running = new AsyncDisposableStack();
const ports = {} as Record<HttpPort, Listening>;
let callers: TestCallers;
let weak: TestAuthority;

/** Doors that answer 204 to whoever gets in. */
beforeAll(async () => {
  const [authority, other] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  weak = authority;
  running.use(authority);
  running.use(other);
  callers = await testCallers(authority, other);
  for (const port of HTTP_PORTS) {
    const role = port === 'registry' ? 'agent' : port;
    const secure = running.use(
      new Secure({
        files: await callers.files(role),
        holder: { role, cluster: 'test' },
        log: silentLog(),
        metrics: new Metrics(),
      }),
    );
    const app = createHttp({
      role,
      log: silentLog(),
      metrics: new Metrics(),
      readiness: async () => [],
      caller: (s) => secure.caller(s),
    });
    secure.guard(app, port);
    for (const [{ method, pattern }] of ACCESS[port]) {
      if (['/health', '/readiness', '/metrics'].includes(pattern)) continue;
      app.route({ method, url: pattern, handler: (_, reply) => reply.code(204).send() });
    }
    ports[port] = running.use(await listen(app, { host: '127.0.0.1', port: 0 }, secure.doors(port)));
  }
});
afterAll(() => running.disposeAsync());

async function ask(to: HttpConnections, method: 'GET', path: string): Promise<{ status: number; text: string }> {
  const answer = await to.request({ method, path, signal: AbortSignal.timeout(10_000) });
  let text = '';
  for await (const chunk of answer.body) text += Buffer.from(chunk).toString();
  return { status: answer.status, text };
}

test.each(CALLERS)('%s gets in where it may, and nowhere else', { timeout: 60_000 }, async (caller) => {
  const wrong: string[] = [];
  for (const port of HTTP_PORTS) {
    const to = callers.calls(caller).to(`http://127.0.0.1:${ports[port].port}`, { connections: 1 });
    for (const [{ method, pattern }] of ACCESS[port]) {
      const what = `${port} ${method} ${pattern}`;
      const { status, text } = await ask(to, method as 'GET', pattern.replaceAll(/:\w+|\*/g, 'x'));
      const may = expected(caller, what);
      if (may !== status < 300) wrong.push(`${what}: ${status}`);
      else if (!may && (status !== 403 || (method !== 'HEAD' && !text.includes('DENIED'))))
        wrong.push(`${what}: ${status} ${text}`);
    }
    await to.destroy();
  }
  expect(wrong).toEqual([]);
});

describe('a door', () => {
  test('does not open with a route that is not in the table', () => {
    const metrics = new Metrics();
    const credentials = new Credentials(callers.material('index'), whoIsIn(testCluster, Date.now));
    const app = createHttp({ role: 'index', log: silentLog(), metrics, readiness: async () => [] });
    guard(app, { port: 'index', credentials, metrics });
    expect(() => app.get('/v1/secret-door', () => 'open')).toThrow('GET /v1/secret-door');
  });

  test.each(['agent', 'origin', 'tracker', 'index'] as const)('of %s takes no plain HTTP', async (port) => {
    const plain = tcpHttp.to(`http://127.0.0.1:${ports[port].port}`, { connections: 1 });
    await expect(ask(plain, 'GET', '/health')).rejects.toThrow();
    await plain.destroy();
  });

  test.each(['registry', 'proxy'] as const)('of %s takes plain HTTP, as nobody', async (port) => {
    const plain = tcpHttp.to(`http://127.0.0.1:${ports[port].port}`, { connections: 1 });
    expect(await ask(plain, 'GET', '/health')).toMatchObject({ status: 200 });
    expect(await ask(plain, 'GET', '/v2/')).toMatchObject({ status: 204 });
    expect(await ask(plain, 'GET', '/metrics')).toMatchObject({ status: 403 });
    await plain.destroy();
  });
});

test('the refusal says for whom the route is, and why the caller is none of these', async () => {
  const said = async (caller: TestCaller): Promise<string> => {
    const to = callers.calls(caller).to(`http://127.0.0.1:${ports.index.port}`, { connections: 1 });
    const { text } = await ask(to, 'GET', '/v1/catalog');
    await to.destroy();
    return text;
  };
  const reasons: Partial<Record<TestCaller, string>> = {
    none: 'it showed no certificate',
    foreign: 'its authority is not one of ours',
    expired: 'it has expired',
    revoked: 'it is revoked',
    'self-signed': 'its certificate is not believed',
    'other cluster': 'admin/eve is of cluster elsewhere, and this is test',
    'two roles': 'its subject names 2 roles as OU',
    tracker: 'tracker/tracker-1 is none of these',
  };
  for (const [caller, reason] of Object.entries(reasons)) expect(await said(caller as TestCaller)).toContain(reason);
});

test('a weak key is not believed, whoever signed it', async () => {
  const { certificate: cert, key } = pemOf(weak.byOpenSsl('/OU=admin/CN=eve', ['rsa:1024']));
  const ciphers = 'DEFAULT:@SECLEVEL=0';
  const socket = connect({ host: '127.0.0.1', port: ports.index.port, cert, key, ciphers, rejectUnauthorized: false });
  socket.end('GET /v1/catalog HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  expect(text).toContain('403 Forbidden');
  expect(text).toContain('its certificate is not believed');
});

test("a connection whose caller's certificate ends soon ends after its answer, so that a renewed one is shown", async () => {
  const closes = async (untilMs: number): Promise<string | undefined> => {
    const { certificate } = await weak.issue('admin', { untilMs });
    const to = operatorHttp(join(certificate, '..')).to(`http://127.0.0.1:${ports.index.port}`, { connections: 1 });
    const answer = await to.request({ method: 'GET', path: '/v1/catalog', signal: AbortSignal.timeout(10_000) });
    await answer.discard();
    await to.destroy();
    expect(answer.status).toBe(204);
    return answer.headers['connection'];
  };
  expect(await closes(Date.now() + 120_000)).toBe('close');
  expect(await closes(Date.now() + 86_400_000)).toBe('keep-alive');
});
