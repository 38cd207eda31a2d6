/** Tracker, index, origin and two agents as real processes: what a pull is, end to end. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { AGENT, type AgentStatus } from '../core/contracts/agent.ts';
import { INDEX } from '../core/contracts/index-api.ts';
import { type BlobInfo, ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const repo = 'library/app';
const MiB = 1024 * 1024;
const ephemeral = { host: '127.0.0.1', port: 0 };

let cluster: Cluster;
let tracker: Process;
let index: Process;
let origin: Process;
let agents: Process[];
let startOrigin: () => Promise<Process>;

beforeAll(async () => {
  cluster = await Cluster.make();
  const [originPort, peerPort, trackerPort] = [await freePort(), await freePort(), await freePort()];
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const origins = [`http://127.0.0.1:${originPort}`];
  startOrigin = () =>
    start('origin', 'origin', {
      listen: { ...ephemeral, port: originPort },
      peer: { ...ephemeral, port: peerPort },
      data: cluster.dataOf('origin'),
      trackers,
      origins,
    });
  [tracker, index, origin] = await Promise.all([
    start('tracker', 'tracker', { listen: { ...ephemeral, port: trackerPort }, origins }),
    start('index', 'index', { listen: ephemeral, data: cluster.dataOf('index') }),
    startOrigin(),
  ]);
  agents = await Promise.all([startAgent('agent-1'), startAgent('agent-2')]);
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function start(role: string, name: string, settings: object): Promise<Process> {
  return cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
}

function startAgent(name: string): Promise<Process> {
  return start('agent', name, {
    listen: ephemeral,
    admin: ephemeral,
    peer: ephemeral,
    data: cluster.dataOf(name),
    trackers: [tracker.url('api')],
    index: [index.url('api')],
  });
}

const digestOfBytes = (bytes: Uint8Array): Digest =>
  digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

async function call(method: string, url: string, body?: Uint8Array | object): Promise<Response> {
  const raw = body instanceof Uint8Array;
  const type = raw ? 'application/octet-stream' : 'application/json';
  const init =
    body === undefined ? {} : { body: raw ? body.slice() : JSON.stringify(body), headers: { 'content-type': type } };
  return await fetch(url, { method, ...init });
}

/** Uploads to the origin as a proxy does. */
async function upload(bytes: Uint8Array): Promise<Digest> {
  const id = randomUUID();
  const digest = digestOfBytes(bytes);
  const api = origin.url('api');
  expect((await call('POST', api + ORIGIN.upload.path({ id }), { algorithm: 'sha256' })).status).toBe(201);
  const half = Math.floor(bytes.length / 2);
  for (const [from, to] of [
    [0, half],
    [half, bytes.length],
  ] as const) {
    const appended = await call('PATCH', api + ORIGIN.append.path({ id, offset: from }), bytes.subarray(from, to));
    expect([appended.status, await appended.json()]).toEqual([200, { id, offset: to }]);
  }
  const again = await call('PATCH', api + ORIGIN.append.path({ id, offset: 1 }), bytes.subarray(0, 10));
  expect([again.status, await again.json()]).toMatchObject([409, { id, offset: bytes.length }]);
  for (let times = 0; times < 2; times++) {
    const committed = await call('PUT', api + ORIGIN.commit.path({ id, digest }));
    expect(committed.status).toBe(200);
    const info = (await committed.json()) as BlobInfo;
    expect(info).toMatchObject({ digest, meta: { length: bytes.length }, peer: { role: 'origin' } });
  }
  return digest;
}

/** Puts an image of one layer under `tag`, as a proxy does. */
async function push(
  tag: string,
  layer: Uint8Array,
): Promise<{ layer: Digest; manifest: Digest; manifestBytes: Buffer }> {
  const config = Buffer.from('{}');
  const digests = { config: await upload(config), layer: await upload(layer) };
  const descriptor = (mediaType: string, digest: Digest, size: number) => ({ mediaType, digest, size });
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: descriptor('application/vnd.oci.image.config.v1+json', digests.config, config.length),
      layers: [descriptor('application/vnd.oci.image.layer.v1.tar', digests.layer, layer.length)],
    }),
  );
  const manifest = await upload(manifestBytes);
  const blobs = [digests.config, digests.layer];
  for (const blob of blobs) {
    const size = blob === digests.layer ? layer.length : config.length;
    expect((await call('PUT', index.url('api') + INDEX.linkBlob.path({ name: repo, digest: blob }), { size })).ok).toBe(
      true,
    );
  }
  const put = { mediaType: MEDIA.ociManifest, size: manifestBytes.length, tags: [tag], blobs, manifests: [] };
  expect((await call('PUT', index.url('api') + INDEX.putManifest.path({ name: repo, digest: manifest }), put)).ok).toBe(
    true,
  );
  return { layer: digests.layer, manifest, manifestBytes };
}

const statusOf = async (agent: Process): Promise<AgentStatus> =>
  AGENT.status.reply(await (await fetch(agent.url('admin') + AGENT.status.pattern)).json(), 'the agent');
const getBlob = (agent: Process, digest: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${agent.url('registry')}/v2/${repo}/blobs/${digest}`, { headers });

test('an image is pulled through both agents at once: each byte right, and accounted for', async () => {
  const layer = randomBytes(24 * MiB + 12_345);
  const image = await push('1', layer);
  const pulled = await Promise.all(
    agents.map(async (agent) => {
      const manifest = await fetch(`${agent.url('registry')}/v2/${repo}/manifests/1`);
      expect(manifest.headers.get('content-type')).toBe(MEDIA.ociManifest);
      expect((await bytesOf(manifest)).equals(image.manifestBytes)).toBe(true);
      return await bytesOf(await getBlob(agent, image.layer));
    }),
  );
  for (const bytes of pulled) expect(bytes.equals(layer)).toBe(true);
  for (const agent of agents) {
    await vi.waitFor(
      async () => {
        const done = (await statusOf(agent)).finished.find((pull) => pull.digest === image.layer);
        expect(done?.bytes).toBe(layer.length);
        expect((done?.bytesFromPeers ?? 0) + (done?.bytesFromOrigins ?? 0)).toBe(layer.length);
      },
      { timeout: 15_000 },
    );
  }
});

test('ranges, HEAD, and what is not there', async () => {
  const bytes = randomBytes(3 * MiB + 1);
  const digest = await upload(bytes);
  const [agent] = agents as [Process, Process];
  const head = await fetch(`${agent.url('registry')}/v2/${repo}/blobs/${digest}`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  const cached = (await (await fetch(agent.url('admin') + AGENT.blobs.pattern)).json()) as {
    blobs: { digest: string }[];
  };
  expect(cached.blobs.some((blob) => blob.digest === digest)).toBe(false);

  const part = await getBlob(agent, digest, { range: `bytes=${2 * MiB - 5}-${2 * MiB + 4}` });
  expect(part.status).toBe(206);
  expect((await bytesOf(part)).equals(bytes.subarray(2 * MiB - 5, 2 * MiB + 5))).toBe(true);
  const tail = await getBlob(agent, digest, { range: 'bytes=-7' });
  expect((await bytesOf(tail)).equals(bytes.subarray(bytes.length - 7))).toBe(true);
  expect((await getBlob(agent, digest, { range: `bytes=${bytes.length}-` })).status).toBe(416);

  const unknown = await getBlob(agent, `sha256:${'0'.repeat(64)}`);
  expect(unknown.status).toBe(404);
  const noTag = await fetch(`${agent.url('registry')}/v2/${repo}/manifests/none`);
  expect(noTag.status).toBe(404);
  const empty = await upload(Buffer.alloc(0));
  const nothing = await getBlob(agent, empty);
  expect([nothing.status, (await bytesOf(nothing)).length]).toEqual([200, 0]);
});

test('a tag that was overwritten is seen by the very next read', async () => {
  for (let round = 0; round < 3; round++) {
    const image = await push('moving', randomBytes(1000));
    for (const agent of agents) {
      const response = await fetch(`${agent.url('registry')}/v2/${repo}/manifests/moving`);
      expect(response.headers.get('docker-content-digest')).toBe(image.manifest);
      await response.arrayBuffer();
    }
  }
});

test('a corrupt cache file is never served: the piece is fetched again, also across a restart', async () => {
  const bytes = randomBytes(5 * MiB + 77);
  const digest = await upload(bytes);
  expect((await bytesOf(await getBlob(agents[0] as Process, digest))).equals(bytes)).toBe(true);
  await (agents[0] as Process).stop();
  const shard = join(cluster.dataOf('agent-1'), 'blobs', 'sha256', digest.slice(7, 9));
  const name = (await readdir(shard)).find((file) => file.startsWith(digest.slice(7))) as string;
  await using file = await open(join(shard, name), 'r+');
  for (const at of [10, 2 * MiB, bytes.length - 1]) {
    await file.write(Buffer.from([(bytes[at] as number) ^ 0xff]), 0, 1, at);
  }
  agents[0] = await startAgent('agent-1');
  const [agent] = agents as [Process, Process];
  expect((await bytesOf(await getBlob(agent, digest))).equals(bytes)).toBe(true);
  expect((await bytesOf(await getBlob(agent, digest))).equals(bytes)).toBe(true);
});

test('a pull goes on where it stood when its only origin is killed and comes back', async () => {
  const bytes = randomBytes(64 * MiB);
  const digest = await upload(bytes);
  const pulls = agents.map(async (agent) => {
    const response = await getBlob(agent, digest);
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      if (chunks.push(chunk) === 1) await origin.stop('SIGKILL');
    }
    return Buffer.concat(chunks);
  });
  await vi.waitFor(() => expect(origin.running).toBe(false), { timeout: 10_000 });
  origin = await startOrigin();
  for (const pulled of await Promise.all(pulls)) expect(pulled.equals(bytes)).toBe(true);
}, 180_000);

test('a restarted agent serves its cache with nothing else running', async () => {
  const bytes = randomBytes(2 * MiB + 5);
  const digest = await upload(bytes);
  expect((await bytesOf(await getBlob(agents[1] as Process, digest))).equals(bytes)).toBe(true);
  expect(await (agents[1] as Process).stop()).toBe(0);
  agents[1] = await startAgent('agent-2');
  await Promise.all([origin, tracker, index].map((process) => process.stop()));
  const agent = agents[1] as Process;
  expect((await bytesOf(await getBlob(agent, digest))).equals(bytes)).toBe(true);
  const tag = await fetch(`${agent.url('registry')}/v2/${repo}/manifests/1`);
  expect([tag.status, tag.headers.get('retry-after')]).toEqual([503, '1']);
  const cold = await getBlob(agent, digestOfBytes(randomBytes(10)));
  expect(cold.status).toBe(503);
});
