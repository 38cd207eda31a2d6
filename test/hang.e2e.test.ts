/** A whole cluster as real processes, some of which hang (SIGSTOP): what each request costs then. */

import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { type Parts, send, startParts } from './cluster.fixtures.ts';

/** Two seconds are what anyone waits for; the rest is what a busy machine may add. Each of these once took ten and more. */
const boundMs = 8_000;
/** Where it is known already. */
const knownMs = 4_000;

const layer = randomBytes(600_000);
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const mediaType = 'application/vnd.oci.image.manifest.v1+json';
const descriptor = { mediaType: 'application/octet-stream', digest: digestOf(layer), size: layer.length };
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: descriptor, layers: [descriptor] }));

let cluster: Cluster;
const hanging = new Set<Process>();
afterEach(async () => {
  for (const process of hanging) process.wake();
  hanging.clear();
  await cluster?.[Symbol.asyncDispose]();
});

async function start(options: Parameters<typeof startParts>[1] = {}): Promise<Parts> {
  cluster = await Cluster.make();
  return await startParts(cluster, options);
}

function hang(process: Process): void {
  process.hang();
  hanging.add(process);
}

function goOn(process: Process): void {
  process.wake();
  hanging.delete(process);
}

const at = (process: Process, path: string): string => `${process.url('registry')}/v2/a/${path}`;

async function push(proxy: Process, bytes: Uint8Array): Promise<IncomingMessage> {
  return await send('POST', at(proxy, `blobs/uploads/?digest=${digestOf(bytes)}`), bytes);
}

async function pushImage(proxy: Process, tag: string): Promise<void> {
  expect((await push(proxy, layer)).statusCode).toBe(201);
  const put = await send('PUT', at(proxy, `manifests/${tag}`), manifest, { 'content-type': mediaType });
  expect(put.statusCode).toBe(201);
}

async function timed(
  act: () => Promise<IncomingMessage>,
): Promise<{ status: number | undefined; ms: number; again: string | undefined }> {
  const begun = performance.now();
  const { statusCode, headers } = await act();
  return { status: statusCode, ms: performance.now() - begun, again: headers['retry-after'] };
}

test('an index: tags are 503 within two seconds, then within a half, and right as soon as it goes on; digests work', async () => {
  const { agent, proxy, index } = await start();
  await pushImage(proxy, '1');
  expect((await send('GET', at(agent, 'manifests/1'))).statusCode).toBe(200);
  hang(index);
  for (const registry of [agent, proxy]) {
    const first = await timed(() => send('GET', at(registry, 'manifests/1')));
    expect(first).toMatchObject({ status: 503, again: '1' });
    expect(first.ms).toBeLessThan(boundMs);
    for (const path of ['manifests/1', 'tags/list']) {
      const next = await timed(() => send('GET', at(registry, path)));
      expect(next.status).toBe(503);
      expect(next.ms).toBeLessThan(knownMs);
    }
  }
  for (const path of [`manifests/${digestOf(manifest)}`, `blobs/${digestOf(layer)}`]) {
    const read = await timed(() => send('GET', at(agent, path)));
    expect(read.status).toBe(200);
    expect(read.ms).toBeLessThan(knownMs);
  }
  for (const write of [() => push(proxy, layer), () => send('DELETE', at(proxy, 'manifests/1'))]) {
    const refused = await timed(write);
    expect(refused).toMatchObject({ status: 503, again: '1' });
    expect(refused.ms).toBeLessThan(knownMs);
  }
  goOn(index);
  for (const registry of [agent, proxy]) {
    const read = await timed(() => send('GET', at(registry, 'manifests/1')));
    expect(read).toMatchObject({ status: 200 });
  }
}, 120_000);

test('one origin of two: reads and pushes go on with the other one, and with both once it goes on', async () => {
  const { agent, proxy, origins } = await start({ origins: 2, push: { copies: 2, required: 1 } });
  await pushImage(proxy, '1');
  const [one, two] = origins as [Process, Process];
  hang(one);
  const fresh = Array.from({ length: 6 }, () => randomBytes(700_000));
  const slowest: number[] = [];
  for (const bytes of fresh) {
    const pushed = await timed(() => push(proxy, bytes));
    expect(pushed.status).toBe(201);
    const pulled = await timed(() => send('GET', at(agent, `blobs/${digestOf(bytes)}`)));
    expect(pulled.status).toBe(200);
    slowest.push(Math.max(pushed.ms, pulled.ms));
  }
  for (const ms of slowest) expect(ms).toBeLessThan(boundMs);
  for (const ms of slowest.slice(1)) expect(ms).toBeLessThan(knownMs);
  const read = await timed(() => send('GET', at(proxy, 'manifests/1')));
  expect(read.status).toBe(200);
  expect(read.ms).toBeLessThan(knownMs);
  goOn(one);
  const held = async (bytes: Uint8Array): Promise<boolean> =>
    (
      await Promise.all(
        [one, two].map((origin) => send('GET', `${origin.url('api')}/v1/blobs/${digestOf(bytes)}/info`)),
      )
    ).every(({ statusCode }) => statusCode === 200);
  // Pushes go to both again, without anyone having to ask.
  await expect
    .poll(
      async () => {
        const bytes = randomBytes(1_000);
        return (await push(proxy, bytes)).statusCode === 201 && (await held(bytes));
      },
      { timeout: 30_000 },
    )
    .toBe(true);
}, 120_000);

test('where both origins are required a push fails clearly and soon, and nothing is acknowledged', async () => {
  const { proxy, origins } = await start({ origins: 2, push: { copies: 2, required: 2 } });
  hang(origins[1] as Process);
  for (const limitMs of [boundMs, knownMs]) {
    const refused = await timed(() => push(proxy, layer));
    expect(refused).toMatchObject({ status: 503, again: '1' });
    expect(refused.ms).toBeLessThan(limitMs);
  }
  expect((await send('HEAD', at(proxy, `blobs/${digestOf(layer)}`))).statusCode).toBe(404);
  goOn(origins[1] as Process);
  await expect.poll(async () => (await push(proxy, layer)).statusCode, { timeout: 30_000 }).toBe(201);
}, 120_000);
