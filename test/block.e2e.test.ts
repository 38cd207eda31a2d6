/** The kill switch as operators and hosts meet it: real processes, five agents, `shoal block`. */

import { execFile } from 'node:child_process';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { PROBES } from '../core/contracts/probes.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { answerOf, open, type Parts, startParts } from './cluster.fixtures.ts';
import { type Made, madeImage, madeIndex, pushBlob, pushImage } from './images.fixtures.ts';

const run = promisify(execFile);
const soon = { timeout: 60_000, interval: 50 };
const repo = 'library/app';
/** Far more than lies in sockets on the way to a client that reads nothing. */
const layerBytes = 32 << 20;
const loopback = { host: '127.0.0.1', port: 0 };

let cluster: Cluster;
let parts: Parts;
let agents: Process[];
const image = madeImage([layerBytes, 1_000]);
const [, layer] = image.blobs as [Made, Made];
const other = madeImage([2_000]);

beforeAll(async () => {
  cluster = await Cluster.make();
  const port = await freePort();
  const index = [`http://127.0.0.1:${port}`];
  parts = await startParts(cluster, {
    index: { listen: { ...loopback, port } },
    each: (name) => (name.startsWith('origin') ? { index } : {}),
  });
  const more = Array.from({ length: 4 }, (_, i) => startAgent(`agent-${i + 2}`));
  agents = [parts.agent, ...(await Promise.all(more))];
  await pushImage(parts.proxy, repo, image, ['latest']);
  await pushImage(parts.proxy, repo, other, ['other']);
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

/** Configured as the first one. */
function startAgent(name: string): Promise<Process> {
  return cluster.start(entryUrl('../agent/main.ts', import.meta.url), name, {
    ...{ role: 'agent', listen: loopback, admin: loopback, peer: loopback, data: cluster.dataOf(name) },
    ...{ trackers: parts.trackers, index: [parts.index.url('api')] },
  });
}

const shoal = async (...args: string[]): Promise<string> => {
  const cli = fileURLToPath(entryUrl('../cli/main.ts', import.meta.url));
  return (await run(process.execPath, [cli, ...args, '--index', parts.index.url('api')])).stdout;
};
const ask = (at: Process, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(at.url('registry') + path, { ...init, headers: { accept: MEDIA.ociManifest, ...init.headers } });
const blobAt = (digest: Digest): string => OCI_PATHS.blob(repo, digest);
const manifestAt = (reference: string): string => OCI_PATHS.manifest(repo, reference);

async function status(at: Process, path: string, method = 'GET'): Promise<number> {
  const answer = await ask(at, path, { method });
  await answer.arrayBuffer();
  return answer.status;
}

async function refusal(answer: Response): Promise<{ status: number; code: string; message: string }> {
  const { errors } = (await answer.json()) as { errors: [{ code: string; message: string }] };
  return { status: answer.status, ...errors[0] };
}

/** A pull that has begun, and whose client takes nothing for now. */
type Pulling = { readonly request: ClientRequest; readonly answer: IncomingMessage };
async function pulling(at: Process, path: string): Promise<Pulling> {
  const request = open('GET', at.url('registry') + path);
  request.end();
  const answer = await answerOf(request);
  expect(answer.statusCode).toBe(200);
  answer.pause();
  return { request, answer };
}

/** How much comes once it is read on, and how it ends. */
async function restOf({ answer }: Pulling): Promise<{ bytes: number; cut: boolean }> {
  let bytes = 0;
  try {
    for await (const chunk of answer) bytes += (chunk as Buffer).length;
    return { bytes, cut: false };
  } catch {
    return { bytes, cut: true };
  }
}

const DENIED = { status: 403, code: 'DENIED' };

test('a layer that is blocked is cut where it is being pulled, and given by nobody', { timeout: 240_000 }, async () => {
  for (const agent of agents) expect(await status(agent, blobAt(layer.digest))).toBe(200);
  const begun = await Promise.all([...agents, parts.proxy].map((one) => pulling(one, blobAt(layer.digest))));
  expect(await shoal('block', layer.digest, '--reason', 'CVE-2026-1')).toContain('is blocked');
  const since = performance.now();
  const refused = agents.map((agent) =>
    vi.waitFor(async () => {
      expect(await status(agent, blobAt(layer.digest), 'HEAD')).toBe(403);
      return performance.now() - since;
    }, soon),
  );
  const ms = await Promise.all(refused);
  await vi.waitFor(async () => expect(await status(parts.proxy, blobAt(layer.digest), 'HEAD')).toBe(403), soon);
  process.stdout.write(`blocked on five hosts after ${ms.map((one) => Math.round(one)).join(', ')} ms\n`);
  for (const { bytes, cut } of await Promise.all(begun.map(restOf))) {
    expect(cut).toBe(true);
    expect(bytes).toBeLessThan(layerBytes);
  }
  for (const at of [...agents, parts.proxy]) {
    const told = await refusal(await ask(at, blobAt(layer.digest)));
    expect(told).toMatchObject({ ...DENIED, message: expect.stringContaining('(CVE-2026-1)') });
    // What it is a part of is not blocked itself.
    expect(await status(at, manifestAt('latest'))).toBe(200);
    expect(await status(at, blobAt(other.blobs[1]?.digest as Digest))).toBe(200);
  }
  const metrics = await (await fetch(agents[0]?.url('admin') + PROBES.metrics.pattern)).text();
  expect(metrics).toMatch(new RegExp(`shoal_blocked_refused_total{digest="${layer.digest}"} [1-9]`));
  expect(metrics).toContain('shoal_blocked_digests 1');
});

test('origins neither give it nor tell of it', async () => {
  const [origin] = parts.origins as [Process];
  const of = (path: string, method = 'GET') => fetch(origin.url('api') + path, { method });
  await vi.waitFor(async () => expect((await of(ORIGIN.read.path({ digest: layer.digest }))).status).toBe(403), soon);
  for (const path of [ORIGIN.info.path({ digest: layer.digest }), ORIGIN.read.path({ digest: layer.digest })])
    expect(await refusal(await of(path))).toMatchObject(DENIED);
  expect((await of(ORIGIN.head.path({ digest: layer.digest }), 'HEAD')).status).toBe(403);
});

test('it is not pushed, mounted, or referred to any more', async () => {
  await expect(pushBlob(parts.proxy, 'other/app', layer)).rejects.toThrow(/403.*DENIED/s);
  const mount = `${OCI_PATHS.uploads('other/app')}?mount=${layer.digest}&from=${repo}`;
  expect(await refusal(await ask(parts.proxy, mount, { method: 'POST' }))).toMatchObject(DENIED);
  await expect(pushImage(parts.proxy, repo, { ...image, blobs: [] }, ['again'])).rejects.toThrow(/403.*DENIED/s);
});

test('a host that comes later does not get it, from whomever', async () => {
  const late = await startAgent('agent-late');
  await vi.waitFor(async () => expect(await status(late, blobAt(layer.digest))).toBe(403), soon);
  const admin = await (await fetch(`${late.url('admin')}/v1/status`)).json();
  expect(admin).toMatchObject({ cache: { blobs: 0 } });
});

test('a manifest that is blocked is not given by its tag either, nor an index that is', async () => {
  const index = madeIndex([other]);
  await pushImage(parts.proxy, repo, index, ['many']);
  await shoal('block', other.digest);
  await shoal('block', index.digest, '--reason', 'whole index');
  for (const at of [...agents, parts.proxy])
    for (const path of [manifestAt('other'), manifestAt(other.digest), manifestAt('many'), manifestAt(index.digest)])
      for (const method of ['GET', 'HEAD'])
        await vi.waitFor(async () => expect(await status(at, path, method), `${method} ${path}`).toBe(403), soon);
  const { blocked } = JSON.parse(await shoal('block', 'ls', '--json'));
  expect(blocked.map((one: { digest: Digest }) => one.digest)).toEqual([layer.digest, other.digest, index.digest]);
  expect(await shoal('block', 'ls')).toMatch(/whole index/);
  for (const digest of [other.digest, index.digest]) await shoal('unblock', digest);
});

test('a host that starts while no index answers goes on with what it knew', { timeout: 240_000 }, async () => {
  const [first, second] = agents as [Process, Process];
  parts.index.hang();
  try {
    await second.stop('SIGKILL');
    const again = await startAgent('agent-2');
    agents[1] = again;
    expect(await refusal(await ask(again, blobAt(layer.digest)))).toMatchObject(DENIED);
    expect(await status(first, blobAt(layer.digest))).toBe(403);
  } finally {
    parts.index.wake();
  }
});

test('once it is unblocked every host gives what it has, without a download', { timeout: 240_000 }, async () => {
  await Promise.all(parts.origins.map((origin) => origin.stop('SIGKILL')));
  expect(await shoal('unblock', layer.digest)).toContain('is given again');
  for (const agent of agents)
    await vi.waitFor(async () => {
      const answer = await ask(agent, blobAt(layer.digest));
      expect(answer.status).toBe(200);
      expect((await answer.arrayBuffer()).byteLength).toBe(layerBytes);
    }, soon);
  expect(await shoal('unblock', layer.digest)).toContain('was not blocked');
});

test('what is no digest is refused by the command', async () => {
  await expect(shoal('block', 'latest')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is no digest'),
  });
  await expect(shoal('block', layer.digest, '--reason', 'x'.repeat(300))).rejects.toMatchObject({ code: 2 });
  expect(await shoal('block', 'ls')).toBe('nothing is blocked\n');
});
