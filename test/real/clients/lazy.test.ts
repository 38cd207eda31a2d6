/**
 * Ranges out of the blue on a blob that no agent has, as snapshotters read that pull lazily: the end of a layer first,
 * then wherever a file lies. The agent's downlink is limited, so that what came before a range is told by its counters,
 * however fast this machine is.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, shoal, startCluster } from '../cluster.ts';
import { answers, freeBasePort, keepRunning, run, temporary } from '../processes.ts';

const blobBytes = 320 << 20;
const rangeBytes = 100;
const stack = new AsyncDisposableStack();
const blob = randomBytes(blobBytes);
let cluster: Cluster;
let dir = '';

beforeAll(async () => {
  dir = await temporary(stack, 'lazy');
  cluster = await startCluster(stack, 1);
});
afterAll(() => stack.disposeAsync());

type Agent = { readonly registry: string; readonly admin: string };

/** Another agent of the cluster, with an empty cache, that takes 16 MB/s from peers. */
async function coldAgent(name: string): Promise<Agent> {
  const base = (await freeBasePort(1)) + 1_000;
  const settings = {
    name,
    data: join(dir, name),
    'listen.port': base,
    'peer.port': base + 1,
    'admin.port': base + 2,
    'peer.limits.down': '16MB/s',
  };
  const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const config = join(cluster.dir, 'data/config/agent-1.yaml');
  const agent = stack.use(keepRunning([...shoal, 'agent', '--config', config, ...sets], join(dir, `${name}.log`)));
  await agent.until(() => answers(`http://127.0.0.1:${base + 2}/readiness`), 30_000);
  return { registry: `127.0.0.1:${base}`, admin: `127.0.0.1:${base + 2}` };
}

/** Another digest each time, so that nobody has given any piece of it yet. */
async function push(): Promise<string> {
  randomBytes(16).copy(blob);
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
  const file = join(dir, 'blob');
  await writeFile(file, blob);
  const url = `http://${cluster.proxy}/v2/lazy/blob/blobs/uploads/?digest=${digest}`;
  const body = ['-H', 'content-type: application/octet-stream', '--data-binary', `@${file}`];
  const printed = await run('curl', ['-sS', ...body, '-w', '%{http_code}', url]);
  expect(printed).toBe('201');
  return digest;
}

async function range(agent: Agent, digest: string, start: number): Promise<Buffer> {
  const out = join(dir, 'range');
  const wanted = ['-r', `${start}-${start + rangeBytes - 1}`, '-o', out, '-w', '%{http_code}', '-m', '120'];
  expect(await run('curl', ['-sS', ...wanted, `http://${agent.registry}/v2/lazy/blob/blobs/${digest}`])).toBe('206');
  return readFile(out);
}

/** Bytes of pieces that came to the agent. */
async function received({ admin }: Agent): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('shoal_peer_received_bytes_total'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const expected = (start: number): Buffer => blob.subarray(start, start + rangeBytes);

test('curl -r far inside a cold blob does not wait for what lies before it', async () => {
  const agent = await coldAgent('far');
  const digest = await push();
  const start = Math.floor(blobBytes * 0.95);
  expect((await range(agent, digest, start)).equals(expected(start))).toBe(true);
  // Before there were wishes nine tenths had come by then.
  expect(await received(agent)).toBeLessThan(blobBytes / 4);
});

test('the end, then twenty ranges one after the other, all over a cold blob', async () => {
  const agent = await coldAgent('lazy');
  const digest = await push();
  const starts = [blobBytes - rangeBytes, ...Array.from({ length: 20 }, (_, i) => ((i * 37) % 80) * (blobBytes / 80))];
  for (const start of starts) expect((await range(agent, digest, start)).equals(expected(start))).toBe(true);
  expect(await received(agent)).toBeLessThan(blobBytes / 2);
});
