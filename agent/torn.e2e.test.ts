/** An agent that was killed in the middle of a pull, and whose file of it is not what it should be: clients do not notice. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestHex, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const blobBytes = 3_000_000;
const ephemeral = { host: '127.0.0.1', port: 0 };

let cluster: Cluster;
let tracker: Process;
let index: Process;
let origin: Process;

beforeAll(async () => {
  cluster = await Cluster.make();
  const [originPort, trackerPort] = [await freePort(), await freePort()];
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const origins = [`http://127.0.0.1:${originPort}`];
  const listen = { ...ephemeral, port: originPort };
  [tracker, index, origin] = await Promise.all([
    start('tracker', 'tracker', { listen: { ...ephemeral, port: trackerPort }, origins }),
    start('index', 'index', { listen: ephemeral, data: cluster.dataOf('index') }),
    start('origin', 'origin', { listen, peer: ephemeral, data: cluster.dataOf('origin'), trackers, origins }),
  ]);
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function start(role: string, name: string, settings: object): Promise<Process> {
  return cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
}

function startAgent(limits: object): Promise<Process> {
  return start('agent', 'agent', {
    ...{ listen: ephemeral, admin: ephemeral, peer: { ...ephemeral, limits }, data: cluster.dataOf('agent') },
    ...{ trackers: [tracker.url('api')], index: [index.url('api')] },
  });
}

async function pushed(bytes: Buffer): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const id = randomUUID();
  const at = (path: string): string => origin.url('api') + path;
  const json = { 'content-type': 'application/json' };
  await fetch(at(ORIGIN.upload.path({ id })), { method: 'POST', headers: json, body: '{"algorithm":"sha256"}' });
  const raw = { 'content-type': 'application/octet-stream' };
  const body = new Uint8Array(bytes);
  await fetch(at(ORIGIN.append.path({ id, offset: 0 })), { method: 'PATCH', headers: raw, body });
  expect((await fetch(at(ORIGIN.commit.path({ id, digest })), { method: 'PUT' })).status).toBe(200);
  return digest;
}

/** The name of its file, where it is there in part. */
function partOf(digest: Digest): string | undefined {
  const dir = join(cluster.dataOf('agent'), 'blobs/sha256', digestHex(digest).slice(0, 2));
  const name = readdirSync(dir).find((one) => one.startsWith(digestHex(digest)) && one.endsWith('.part'));
  return name === undefined ? undefined : join(dir, name);
}

test('whose list of piece hashes is damaged: every client that asks at once gets the blob', async () => {
  const bytes = randomBytes(blobBytes);
  const digest = await pushed(bytes);
  const slow = await startAgent({ down: '500kB/s' });
  const blob = (agent: Process): string => `${agent.url('registry')}/v2/library/app/blobs/${digest}`;
  const cut = fetch(blob(slow)).then((response) => response.arrayBuffer());
  cut.catch(() => undefined);
  // Some pieces are noted to be there.
  await vi.waitFor(() => expect(readdirSync(join(partOf(digest) ?? 'none', '..')).join()).toMatch(/\.have/), 20_000);
  await slow.stop('SIGKILL');
  const file = openSync(partOf(digest) as string, 'r+');
  writeSync(file, Buffer.alloc(64), 0, 64, blobBytes);
  closeSync(file);
  const agent = await startAgent({});
  const gets = await Promise.all(
    [1, 2, 3].map(async () => {
      const response = await fetch(blob(agent));
      return [response.status, Buffer.from(await response.arrayBuffer()).equals(bytes)];
    }),
  );
  expect(gets).toEqual([1, 2, 3].map(() => [200, true]));
});
