/**
 * Doors of real processes: who may connect, where they listen, and what answers at those that users reach.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ACCESS, HTTP_PORTS } from '../core/access/table.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const loopback = { host: '127.0.0.1', port: 0 };
const patience = { timeout: 60_000, interval: 100 };
const entry = (role: string): URL => entryUrl(`../${role}/main.ts`, import.meta.url);
let cluster: Cluster;
let index: Process;

beforeAll(async () => {
  cluster = await Cluster.make();
  index = await cluster.start(entry('index'), 'index', {
    role: 'index',
    listen: loopback,
    data: cluster.dataOf('index'),
  });
}, 120_000);
afterAll(async () => await cluster?.[Symbol.asyncDispose]());

type Asked = { readonly method?: string; readonly path?: string; readonly from?: string; readonly socketPath?: string };

/** The status, and the code of an error; or that the connection was cut. */
function ask(
  port: number,
  { method = 'GET', path = PROBES.health.pattern, from, socketPath }: Asked = {},
): Promise<string> {
  return new Promise((resolve) => {
    const where = socketPath === undefined ? { host: '127.0.0.1', port } : { socketPath };
    const asked = request({ ...where, method, path, agent: false, ...(from !== undefined && { localAddress: from }) });
    asked.once('error', () => resolve('cut'));
    asked.once('response', async (answer) => {
      const text = (await answer.toArray()).join('');
      const { errors } = text.startsWith('{"errors"') ? (JSON.parse(text) as { errors: { code: string }[] }) : {};
      resolve(`${answer.statusCode} ${errors?.[0]?.code ?? ''}`.trim());
    });
    asked.end();
  });
}

/** Every route of every port, asked there: those that answer anything but that there is no such route. */
async function answersAt(port: number): Promise<string[]> {
  const routes = new Map(
    HTTP_PORTS.flatMap((of) => ACCESS[of].map(([route]) => [`${route.method} ${route.pattern}`, route])),
  );
  const found: string[] = [];
  for (const [name, { method, pattern }] of routes) {
    const path = pattern.replaceAll(/:[a-z]+/gi, 'x').replace('*', 'x');
    // A HEAD has no body that says more.
    if ((await ask(port, { method, path })) !== (method === 'HEAD' ? '404' : '404 NOT_FOUND')) found.push(name);
  }
  return found.filter((name) => !/ \/v2/.test(name)).sort();
}

describe('what users reach', { timeout: 120_000 }, () => {
  const users = ['GET /health', 'GET /readiness'];
  const notified = [
    'POST /proxy/v1/registry/prefetch',
    'POST /proxy/v2/registry/prefetch',
    'POST /registry/notifications',
  ];
  const settings = () => ({ role: 'proxy', index: [index.url('api')], origins: ['http://127.0.0.1:9'] });

  test('an agent tells users nothing but its registry', async () => {
    const agent = await cluster.start(entry('agent'), 'agent', {
      ...{ role: 'agent', listen: loopback, admin: loopback, peer: loopback, index: [index.url('api')] },
      ...{ data: cluster.dataOf('agent'), trackers: ['http://127.0.0.1:9'] },
    });
    expect(await answersAt(agent.ports['registry'] as number)).toEqual(users);
    expect(await answersAt(agent.ports['admin'] as number)).toContain('GET /metrics');
  });

  test('a proxy tells what is internal at `admin`; without one only where nobody else reaches it', async () => {
    const local = await cluster.start(entry('proxy'), 'local', { ...settings(), listen: loopback });
    expect(await answersAt(local.ports['registry'] as number)).toEqual(
      [...users, 'GET /metrics', 'GET /v1/members', ...notified].sort(),
    );
    const open = await cluster.start(entry('proxy'), 'open', { ...settings(), listen: { host: '0.0.0.0', port: 0 } });
    expect(await answersAt(open.ports['registry'] as number)).toEqual([...users, ...notified]);
    expect(await cluster.log('open')).toContain('set `admin`');
    const split = await cluster.start(entry('proxy'), 'split', {
      ...settings(),
      listen: '127.0.0.1:0',
      admin: loopback,
    });
    expect(await answersAt(split.ports['registry'] as number)).toEqual([...users, ...notified]);
    expect(await answersAt(split.ports['admin'] as number)).toEqual(
      [...users, 'GET /metrics', 'GET /v1/members'].sort(),
    );
  });
});

test('`allow` holds at every address, follows its configuration, and leaves sockets alone', {
  timeout: 180_000,
}, async () => {
  const socketPath = join(cluster.dir, 'tracker.sock');
  const [port, second] = [await freePort(), await freePort()];
  const settings = (allow: unknown) => ({
    ...{ role: 'tracker', name: 'tracker', origins: ['http://127.0.0.1:9'] },
    listen: { host: '127.0.0.1', port, also: [`127.0.0.2:${second}`, `unix:${socketPath}`], allow },
  });
  const tracker = await cluster.start(entry('tracker'), 'tracker', settings(['127.0.0.3', 'fd00::/8']));
  expect(tracker.ports).toEqual({ api: port });
  const asked = (): Promise<string[]> =>
    Promise.all([ask(port, { from: '127.0.0.3' }), ask(port, { from: '127.0.0.4' }), ask(0, { socketPath })]);
  expect(await asked()).toEqual(['200', 'cut', '200']);
  const file = join(cluster.dir, 'tracker.yaml');
  await writeFile(file, stringify(settings(['127.0.0.4/32'])));
  await expect.poll(asked, patience).toEqual(['cut', '200', '200']);
  await writeFile(file, stringify(settings(['nowhere'])));
  await expect.poll(async () => await cluster.log('tracker'), patience).toContain('cannot be used: all is as it was');
  expect(await asked()).toEqual(['cut', '200', '200']);
  expect((await cluster.log('tracker')).match(/is not in `allow`/g)?.length).toBeLessThan(10);
  await writeFile(file, stringify({ ...settings(undefined), lease: '31s' }));
  await expect.poll(asked, patience).toEqual(['200', '200', '200']);
  await expect.poll(async () => await cluster.log('tracker'), patience).toContain('counts from the next start');

  const twice = cluster.start(entry('tracker'), 'twice', { ...settings(undefined), listen: `unix:${socketPath}` });
  await expect(twice).rejects.toThrow(`cannot listen on unix:${socketPath}: another process listens there`);
  await tracker.stop('SIGKILL');
  const again = await cluster.start(entry('tracker'), 'again', {
    ...settings(undefined),
    listen: [`unix:${socketPath}`],
  });
  expect([again.ports, await ask(0, { socketPath })]).toEqual([{ api: 0 }, '200']);
});

test('`allow` of peers cuts off who is not in it before a byte is said', { timeout: 120_000 }, async () => {
  const peer = { host: '127.0.0.1', port: 0, allow: ['127.0.0.3'] };
  const agent = await cluster.start(entry('agent'), 'allowing', {
    ...{
      role: 'agent',
      listen: loopback,
      admin: { ...loopback, allow: ['127.0.0.1'] },
      peer,
      index: [index.url('api')],
    },
    ...{ data: cluster.dataOf('allowing'), trackers: ['http://127.0.0.1:9'] },
  });
  const heard = (localAddress: string): Promise<number> =>
    new Promise((resolve) => {
      let bytes = 0;
      const socket = connect({ host: '127.0.0.1', port: agent.ports['peer'] as number, localAddress });
      socket.on('data', (data) => {
        bytes += data.length;
        socket.destroy();
      });
      socket.once('error', () => undefined).once('close', () => resolve(bytes));
      socket.write('nonsense that is long enough to be the beginning of a frame of some kind');
    });
  expect(await heard('127.0.0.4')).toBe(0);
  const metrics = await fetch(`${agent.url('admin')}${PROBES.metrics.pattern}`);
  expect(await metrics.text()).toContain('shoal_connections_refused_total{listener="peer"} 1');
  await heard('127.0.0.3');
  expect(await ask(agent.ports['admin'] as number, { from: '127.0.0.3' })).toBe('cut');
  expect(await readFile(join(cluster.dir, 'allowing.log'), 'utf8')).not.toContain('127.0.0.3","listener":"peer"');
});
