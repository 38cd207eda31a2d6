/** A whole cluster as real processes, told to stop while slow clients pull and push. */

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { answerOf, open, send, startParts } from './cluster.fixtures.ts';

const content = randomBytes(48_000_000);
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
/** Longer than what a process was given before it was cut. */
const slowMs = 11_500;
const steps = 100;

let cluster: Cluster;
afterEach(() => cluster?.[Symbol.asyncDispose]());

/** A client that takes the blob at a steady pace, `ms` for all of it. */
async function slowGet(url: string, ms: number): Promise<Buffer> {
  const request = open('GET', url);
  const answer = answerOf(request);
  request.end();
  const parts: Buffer[] = [];
  let bytes = 0;
  const begun = performance.now();
  for await (const part of (await answer) as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    await sleep(Math.max(0, (bytes / content.length) * ms - (performance.now() - begun)));
  }
  return Buffer.concat(parts);
}

async function slowPatch(url: string, ms: number): Promise<IncomingMessage> {
  const request = open('PATCH', url, { 'content-length': String(content.length) });
  const answer = answerOf(request);
  const step = Math.ceil(content.length / steps);
  for (let at = 0; at < content.length; at += step) {
    if (!request.write(content.subarray(at, at + step))) await once(request, 'drain');
    await sleep(ms / steps);
  }
  request.end();
  const response = await answer;
  response.resume();
  return response;
}

const blob = (process: Process): string => `${process.url('registry')}/v2/a/blobs/${digest}`;

async function push(proxy: Process): Promise<void> {
  const put = await send('POST', `${proxy.url('registry')}/v2/a/blobs/uploads/?digest=${digest}`, content);
  expect(put.statusCode).toBe(201);
}

/** Until the agent has found it: on a busy machine it may say 503 first, as to anybody. */
async function found(agent: Process): Promise<void> {
  await expect.poll(async () => (await send('GET', blob(agent))).statusCode, { timeout: 30_000 }).toBe(200);
}

test('what was begun before SIGTERM ends well, what is new is refused, and then they end', async () => {
  cluster = await Cluster.make();
  const { agent, proxy, origins } = await startParts(cluster);
  const origin = origins[0] as Process;
  await push(proxy);
  await found(agent);
  const begun = await send('POST', `${proxy.url('registry')}/v2/b/blobs/uploads/`);
  const location = new URL(String(begun.headers.location), proxy.url('registry')).href;
  const pulls = [agent, proxy].map((process) => slowGet(blob(process), slowMs));
  const patch = slowPatch(location, slowMs);
  await sleep(1_000);
  const stopped = [agent, proxy, origin].map((process) => process.stop('SIGTERM'));
  await sleep(300);
  for (const [process, port] of [
    [agent, 'admin'],
    [agent, 'registry'],
    [proxy, 'registry'],
    [origin, 'api'],
  ] as const) {
    expect((await send('GET', `${process.url(port)}/readiness`)).statusCode).toBe(503);
    expect((await send('GET', `${process.url(port)}/health`)).statusCode).toBe(200);
  }
  for (const refused of [
    await send('GET', blob(agent)),
    await send('GET', blob(proxy)),
    await send('POST', `${proxy.url('registry')}/v2/b/blobs/uploads/`),
  ]) {
    const { connection, 'retry-after': retryAfter } = refused.headers;
    expect([refused.statusCode, connection, retryAfter]).toEqual([503, 'close', '1']);
  }
  for (const pull of await Promise.all(pulls)) expect(pull.equals(content)).toBe(true);
  const patched = await patch;
  expect(patched.statusCode).toBe(202);
  const next = new URL(String(patched.headers.location), proxy.url('registry')).href;
  const put = await send('PUT', `${next}?digest=${digest}`);
  expect(put.statusCode).toBe(201);
  const finished = performance.now();
  expect(await Promise.all(stopped)).toEqual([0, 0, 0]);
  // Promptly: not when the time is up.
  expect(performance.now() - finished).toBeLessThan(8_000);
}, 120_000);

test('when the time is up what is left is cut, and named', async () => {
  cluster = await Cluster.make();
  const { agent, proxy } = await startParts(cluster, { settings: { shutdown: '4s' } });
  await push(proxy);
  await found(agent);
  const pulls = [agent, proxy].map((process) => slowGet(blob(process), 60_000).catch((error: Error) => error));
  await sleep(1_000);
  const begun = performance.now();
  expect(await Promise.all([agent, proxy].map((process) => process.stop('SIGTERM')))).toEqual([0, 0]);
  const ms = performance.now() - begun;
  expect(ms).toBeGreaterThan(2_500);
  expect(ms).toBeLessThan(10_000);
  for (const pull of await Promise.all(pulls)) expect(pull).toBeInstanceOf(Error);
  for (const name of ['agent', 'proxy']) {
    await expect.poll(() => cluster.log(name).catch(() => '')).toContain('"cut":{"downloads":1}');
  }
}, 120_000);
