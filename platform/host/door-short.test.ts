/** What is asked for very often is answered by the short way of a door, and nobody can tell that from the usual one. */

import { connect } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { INDEX, type TagRecord } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { TestAuthority } from '../certs/testing.fixtures.ts';
import { serveOften } from '../http/often.ts';
import { serve } from '../http/serve.ts';
import { Drain } from '../lifecycle/drain.ts';
import type { HttpConnections } from '../net/http.ts';
import { tcpHttp } from '../net/http.ts';
import { testCallers } from '../secure/callers.fixtures.ts';
import { Secure } from '../secure/secure.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { openDoor } from './door.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const record = (no: number): TagRecord => ({
  digest: `sha256:${no.toString(16).padStart(64, '0')}` as Digest,
  mediaType: 'm/x',
  size: no,
});
const absent = (): never => {
  throw new ApiError('MANIFEST_UNKNOWN', 'there is no such tag');
};
type Find = (at: { name: string; tag: string }) => Promise<TagRecord | undefined>;

/** An index's door with one route, which is served often, or as any other. */
async function door(find: Find, { short = true, secure }: { short?: boolean; secure?: Secure } = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) });
  const [metrics, drain] = [new Metrics(), new Drain()];
  const port = await openDoor(
    { role: 'index', log, metrics, drain, secure },
    {
      at: { host: '127.0.0.1', port: 0 },
      routes(app) {
        if (short) serveOften(app, INDEX.tag, { find, absent });
        else serve(app, INDEX.tag, async ({ at }) => (await find(at)) ?? absent());
      },
    },
    stack,
  );
  const to = tcpHttp.to(`http://127.0.0.1:${port}`, { connections: 4 });
  stack.defer(() => to.destroy());
  const told = async (): Promise<string[]> =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('shoal_http_request_duration_seconds_count'));
  return { port, to, drain, lines, told };
}

async function ask(to: HttpConnections, path: string, headers: Record<string, string> = {}) {
  const answer = await to.request({ method: 'GET', path, headers, signal: AbortSignal.timeout(30_000) });
  let body = '';
  for await (const chunk of answer.body) body += Buffer.from(chunk).toString();
  const { date: _, ...rest } = answer.headers;
  return { status: answer.status, headers: rest, body };
}

const denied = (['none', 'foreign', 'expired', 'revoked', 'tracker', 'monitor'] as const).map(
  (caller) => [caller, 403] as const,
);

const path = INDEX.tag.path({ name: 'team/app', tag: 'v1' });
const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const finds: Record<string, Find> = {
  'is there': async ({ name, tag }) => (name === 'team/app' && tag === 'v1' ? record(7) : undefined),
  'is not there': async () => undefined,
  'cannot be read': async () => {
    throw new ApiError('UNAVAILABLE', 'the engine is away');
  },
  'fails as nobody foresaw': async () => {
    throw new Error('secret');
  },
  'throws at once': () => {
    throw new ApiError('UNAVAILABLE', 'closed');
  },
};
const paths = [
  `${path}?x=1`,
  '/v1/repos/UPPER/tags/v1',
  '/v1/repos/team%2Fapp/tags/%zz',
  '/v1/repos/team%2Fapp/tags/',
  '/v1/repos/team/app/tags/v1',
];
const cases = [
  ...Object.keys(finds).map((name) => [name, path] as const),
  ...paths.map((asked) => ['is there', asked] as const),
];

test.each(cases)(
  'what %s, asked for by %s, is answered, logged and counted as by the usual way',
  async (name, asked) => {
    const said = [];
    for (const short of [true, false]) {
      let found = 0;
      const find: Find = (at) => {
        found += 1;
        return (finds[name] as Find)(at);
      };
      const { to, lines, told } = await door(find, { short });
      const headers = { 'x-request-id': 'pull-7', traceparent: trace, 'x-shoal-deadline': '20000' };
      const answers = [await ask(to, asked, headers), await ask(to, asked, headers)];
      // What is no URL is no request that anybody logs.
      const logs = asked.includes('%zz') ? 0 : 2;
      await vi.waitFor(() => expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(logs), 60_000);
      const logged = lines.map(({ time: _, ms, spanId, err, ...line }) => ({
        ...{ line, ms: typeof ms, spanId: typeof spanId, err: typeof err },
      }));
      said.push({ answers, logged, counted: await told(), found });
    }
    expect(said[0]).toEqual(said[1]);
  },
);

test('without a request id one is drawn, and a deadline that is over is answered at once', async () => {
  let found = 0;
  const { to } = await door(async () => record(++found));
  const first = await ask(to, path);
  expect(first.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(first.body)).toEqual(record(1));
  expect(JSON.parse((await ask(to, path)).body)).toEqual(record(2));
  expect(await ask(to, path, { 'x-shoal-deadline': '0' })).toMatchObject({ status: 503 });
  expect(found).toBe(2);
});

test('who hangs up meanwhile leaves nothing behind; what is under way when a drain begins is answered, and closes', async () => {
  const gates: ((found: TagRecord) => void)[] = [];
  const { port, to, drain } = await door(() => new Promise((resolve) => gates.push(resolve)));
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await vi.waitFor(() => expect(gates).toHaveLength(1), 60_000);
  socket.destroy();
  const answer = ask(to, path);
  await vi.waitFor(() => expect(gates).toHaveLength(2), 60_000);
  // Its hang-up has been read by then: it came before the second question.
  gates[0]?.(record(1));
  drain.start();
  gates[1]?.(record(2));
  expect(await answer).toMatchObject({ status: 200, headers: { connection: 'close' } });
  expect(await drain.finished(30_000)).toEqual({});
  expect(await ask(to, path)).toMatchObject({ status: 503 });
});

test('where certificates are shown, only who may ask is answered, the first time and every other', async () => {
  const authority = stack.use(await TestAuthority.make());
  const callers = await testCallers(authority, stack.use(await TestAuthority.make()));
  const log = pino({ level: 'silent' });
  const files = await callers.files('index');
  const secure = stack.use(
    new Secure({ files, holder: { role: 'index', cluster: 'test' }, log, metrics: new Metrics() }),
  );
  const { port } = await door(async () => record(7), { secure });
  for (const [caller, status] of [...(['agent', 'proxy'] as const).map((c) => [c, 200] as const), ...denied]) {
    const to = callers.calls(caller).to(`https://127.0.0.1:${port}`, { connections: 1 });
    stack.defer(() => to.destroy());
    for (let turn = 0; turn < 3; turn++) expect([caller, (await ask(to, path)).status]).toEqual([caller, status]);
  }
});
