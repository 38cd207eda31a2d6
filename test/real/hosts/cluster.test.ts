/** The example configurations as they are, each role a process on a host (network namespace) of its own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Child } from '../../../platform/lifecycle/child.ts';
import { root, shoal } from '../cluster.ts';
import { writeDirImage } from '../image.ts';
import { keepRunning, run, temporary } from '../processes.ts';
import { type Host, makeHosts } from './namespaces.ts';

const readyMsMax = 30_000;
const layerBytes = [48 << 20, 16 << 20, 1 << 20];
const imageBytes = layerBytes.reduce((sum, bytes) => sum + bytes);
const stack = new AsyncDisposableStack();
let dir = '';
let hosts: Host[] = [];
const roles = ['proxy', 'origin', 'tracker', 'index', 'proxy', 'agent', 'agent', 'agent'] as const;
const READINESS = { proxy: 15000, origin: 15002, tracker: 15003, index: 15004, agent: 16002 } as const;
const services: Child[] = [];

const host = (n: number): Host => hosts[n] as Host;
/** Runs a program on a host to its end. */
const runOn = (n: number, ...command: string[]): Promise<string> => {
  const [ip = '', ...args] = host(n).on(...command);
  return run(ip, args);
};
const copyOn = (n: number, from: string, to: string): Promise<string> =>
  runOn(n, 'skopeo', 'copy', '--insecure-policy', '--src-tls-verify=false', '--dest-tls-verify=false', from, to);

/** Asks for a URL from that host; the body. */
const ask = (n: number, url: string): Promise<string> => runOn(n, 'busybox', 'wget', '-q', '-O', '-', url);

async function start(n: number): Promise<Child> {
  const role = roles[n] ?? 'agent';
  const env = {
    SHOAL_PROXY: host(0).address,
    SHOAL_ORIGIN: host(1).address,
    SHOAL_TRACKER: host(2).address,
    SHOAL_INDEX: host(3).address,
    SHOAL_DATA: join(dir, `host${n}`),
  };
  const config = join(root, `examples/cluster/${role}.yaml`);
  const service = keepRunning(host(n).on(...shoal, role, '--config', config), join(dir, `${role}${n}.log`), env);
  stack.use(service);
  const at = `http://127.0.0.1:${READINESS[role]}/readiness`;
  await service.until(async () => (await ask(n, at)) !== '', readyMsMax);
  return service;
}

beforeAll(async () => {
  dir = await temporary(stack, 'hosts');
  hosts = await makeHosts(stack, '10.77.0', roles.length);
  // Bottom up, as an operator would.
  for (const n of [1, 2, 3, 0, 4, 5, 6, 7]) services[n] = await start(n);
});
afterAll(() => stack.disposeAsync());

test('an image pushed through one proxy arrives on every host, each from its own agent', async () => {
  await writeDirImage(join(dir, 'image'), layerBytes);
  await copyOn(5, `dir:${join(dir, 'image')}`, `docker://${host(0).address}:15000/library/app:1`);
  const pulled = [5, 6, 7].map((n) =>
    copyOn(n, 'docker://127.0.0.1:16000/library/app:1', `dir:${join(dir, `got${n}`)}`),
  );
  await Promise.all(pulled);
  const pushed = await readFile(join(dir, 'image/manifest.json'), 'utf8');
  for (const n of [5, 6, 7]) expect(await readFile(join(dir, `got${n}/manifest.json`), 'utf8')).toBe(pushed);
});

test('both proxies are the same registry', async () => {
  const at = (n: number): string => `http://${host(n).address}:15000/v2/library/app/tags/list`;
  expect(JSON.parse(await ask(7, at(4)))).toEqual(JSON.parse(await ask(7, at(0))));
});

test('pieces came from other agents too, not from the origin alone', async () => {
  const received = await Promise.all(
    [5, 6, 7].map(async (n) => {
      const metrics = await ask(n, 'http://127.0.0.1:16002/metrics');
      return Number(/^shoal_peer_received_bytes_total\{role="agent"\} (\d+)/m.exec(metrics)?.[1] ?? 0);
    }),
  );
  expect(received.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(imageBytes / 2);
});

test('an agent that was killed comes back with its cache and serves it without the origin', async () => {
  process.kill(services[6]?.pid ?? 0, 'SIGKILL');
  services[6] = await start(6);
  await services[1]?.[Symbol.asyncDispose]();
  await copyOn(6, 'docker://127.0.0.1:16000/library/app:1', `dir:${join(dir, 'again')}`);
  const pushed = await readFile(join(dir, 'image/manifest.json'), 'utf8');
  expect(await readFile(join(dir, 'again/manifest.json'), 'utf8')).toBe(pushed);
});
