/** The kind azure against Azurite: the conformance suite of all backends, and what only Azure has. */

import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerSASPermissions } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AzureBackend } from '../../../platform/backends/azure/azure.ts';
import { azureSchema } from '../../../platform/backends/azure/config.ts';
import type { ObjectSource } from '../../../platform/backends/backend.ts';
import { brokenConformance } from '../../../platform/backends/conformance/broken.fixtures.ts';
import { httpConformance } from '../../../platform/backends/conformance/http.fixtures.ts';
import { backendConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { temporary } from '../processes.ts';
import { Relay } from './relay.ts';
import { type AzuriteServer, azuriteAccount, startAzurite } from './servers/azurite.ts';
import { started } from './servers/server.ts';

const log = createLog({ role: 'origin', level: 'silent', name: '' });
const stack = new AsyncDisposableStack();
const { account, key } = azuriteAccount;
const parts = { size: '5MiB', parallel: 3 };
const bytes = randomBytes(33 * 2 ** 20 + 7);
let server: AzuriteServer;
beforeAll(async () => {
  server = await started(stack, startAzurite);
});
afterAll(() => stack.disposeAsync());

function open(container: string, more: object = {}, opening: object = {}): AzureBackend {
  const settings = azureSchema.parse({ ...server.rule.azure, container, ...more });
  return new AzureBackend(settings, { name: 'main', stallMs: 10_000, env: {}, clock: realClock, log, ...opening });
}

async function newContainer(): Promise<string> {
  const container = `b-${randomUUID()}`;
  await server.makeContainer(container);
  return container;
}

describe('as any backend', () => {
  let last = '';
  const make = async () => {
    last = await newContainer();
    return open(last);
  };
  backendConformance(make, { objects: 1_100, loads: true, shared: async () => open(last, {}, { shared: true }) });
});

httpConformance({
  server: () => new URL(server.endpoint).origin,
  make: async ({ base, ca, env, stallMs }) =>
    open(server.rule.azure.container, { endpoint: `${base}/${account}`, ca }, { env, stallMs }),
});

/** What a signature for the container says, from now on for so long. */
async function sasOf(container: string, permissions: string, ms = 600_000): Promise<string> {
  const url = await server.container(container).generateSasUrl({
    permissions: ContainerSASPermissions.parse(permissions),
    startsOn: new Date(Date.now() - 3_600_000),
    expiresOn: new Date(Date.now() + ms),
  });
  return new URL(url).search;
}

const wrongKey = Buffer.from('of nobody at all').toString('base64');
brokenConformance([
  {
    what: 'a key that is wrong',
    make: async () => open('images', { credentials: { sharedKey: wrongKey } }),
    ...{ why: 'credentials', secret: wrongKey },
  },
  {
    what: 'a signature that is over',
    make: async () => open('images', { credentials: { sas: await sasOf('images', 'racwdl', -60_000) } }),
    ...{ why: 'credentials', secret: 'sig=' },
  },
]);

test('large objects go in blocks, as Azure itself sees them, and are read by several requests at once', async () => {
  const container = await newContainer();
  await using backend = open(container, { prefix: 'in/here', parts });
  const source = sourceOf(bytes);
  const written = await backend.write('large', source, never);
  expect(written).toMatchObject({ size: bytes.length, digest: source.digest });
  expect(await backend.stat('large', never)).toEqual(written);
  const read = await bytesOf(backend.read('large', { start: 1, end: bytes.length, version: written.version }, never));
  expect(read.equals(bytes.subarray(1))).toBe(true);
  const blob = server.container(container).getBlockBlobClient('in/here/large');
  const { committedBlocks = [], uncommittedBlocks = [] } = await blob.getBlockList('all');
  expect([committedBlocks.length, uncommittedBlocks.length]).toEqual([7, 0]);
  expect((await blob.downloadToBuffer()).equals(bytes)).toBe(true);
});

/** `bytes`, in whose middle something happens. */
const interrupted = (happens: () => Promise<void>): ObjectSource => ({
  ...sourceOf(bytes),
  async *read() {
    for (let at = 0; at < bytes.length; at += 2 ** 20) {
      if (at === 20 * 2 ** 20) await happens();
      yield bytes.subarray(at, at + 2 ** 20);
    }
  },
});

test('a write that was cut off shows nothing, and is gone on with by another process: blocks go once', async () => {
  const container = await newContainer();
  {
    await using way = await Relay.start(server.endpoint);
    await using backend = open(container, { parts, endpoint: `${way.url}/${account}` });
    // Azurite itself forgets on kill -9 what it took in the last seconds.
    const cutting = interrupted(() => way[Symbol.asyncDispose]());
    await expect(backend.write('large', cutting, never)).rejects.toMatchObject({ why: 'unavailable' });
  }
  const there = server.container(container);
  const { uncommittedBlocks = [] } = await there.getBlockBlobClient('large').getBlockList('uncommitted');
  expect(uncommittedBlocks.length).toBeGreaterThanOrEqual(2);
  await using relay = await Relay.start(server.endpoint);
  await using backend = open(container, { parts, endpoint: `${relay.url}/${account}` });
  expect(await backend.stat('large', never)).toBeUndefined();
  await backend.write('large', sourceOf(bytes), never);
  expect(relay.up).toBeLessThan(bytes.length - 5 * 2 ** 20);
  expect((await there.getBlockBlobClient('large').downloadToBuffer()).equals(bytes)).toBe(true);
});

test('blocks of other bytes are not taken for ours', async () => {
  const container = await newContainer();
  await using backend = open(container, { parts });
  const other = randomBytes(bytes.length);
  const abort = new AbortController();
  const ending = {
    ...interrupted(async () => abort.abort(new Error('enough'))),
    ...{ digest: sourceOf(other).digest },
  };
  const leaving: ObjectSource = {
    ...ending,
    async *read(...all) {
      for await (const chunk of ending.read(...all)) yield Buffer.from(chunk).reverse();
    },
  };
  await expect(backend.write('large', leaving, abort.signal)).rejects.toThrow('enough');
  await backend.write('large', sourceOf(bytes), never);
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
});

test('two that write one blob at once both succeed', async () => {
  const container = await newContainer();
  await using one = open(container, { parts });
  await using other = open(container, { parts });
  const written = await Promise.all([one, other].map((backend) => backend.write('large', sourceOf(bytes), never)));
  for (const each of written) expect(each).toMatchObject({ size: bytes.length, digest: sourceOf(bytes).digest });
  expect((await bytesOf(one.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
});

test('a connection that is cut while an object is read costs what had not come', async () => {
  const container = await newContainer();
  await using relay = await Relay.start(server.endpoint);
  await using backend = open(container, { parts, endpoint: `${relay.url}/${account}` });
  await backend.write('large', sourceOf(bytes), never);
  const before = relay.down;
  relay.cutAfter = 2 * 2 ** 20;
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(relay.down - before).toBeLessThan(1.5 * bytes.length);
});

test('a signature, a connection string and keys in files do; a file that was rewritten is read again', async () => {
  const container = await newContainer();
  const dir = await temporary(stack, 'azure');
  const file = join(dir, 'secret');
  const connection = `AccountName=${account};AccountKey=${key};BlobEndpoint=${server.endpoint}`;
  const place = { account: undefined, endpoint: undefined };
  const sas = await sasOf(container, 'racwdl');
  for (const said of [
    { credentials: { sas } },
    { credentials: { sas: sas.slice(1) }, account: undefined },
    { ...place, credentials: { connectionString: connection } },
    { ...place, credentials: { connectionString: `BlobEndpoint=${server.endpoint};SharedAccessSignature=${sas}` } },
  ]) {
    await using backend = open(container, said);
    await backend.probe(never);
  }
  await writeFile(file, await sasOf(container, 'racwdl', -1000));
  await using backend = open(container, { credentials: { sas: { file } } });
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'credentials' });
  await writeFile(file, `${sas}\n`);
  await expect
    .poll(
      () =>
        backend.put('x', Buffer.from('x'), never).then(
          () => 'done',
          () => 'not yet',
        ),
      { timeout: 10_000 },
    )
    .toBe('done');
});

test('a signature that may only read says so of a write', async () => {
  const container = await newContainer();
  await using reading = open(container, { credentials: { sas: await sasOf(container, 'rl') } });
  await using writing = open(container);
  await writing.put('x', Buffer.from('x'), never);
  expect(String(await bytesOf(reading.read('x', { start: 0, end: 1 }, never)))).toBe('x');
  await expect(reading.put('x', Buffer.from('y'), never)).rejects.toMatchObject({ why: 'denied' });
});

test('bytes of another MD5 are refused by the server itself', async () => {
  const container = await newContainer();
  const blob = server.container(container).getBlockBlobClient('x');
  const wrong = { transactionalContentMD5: Buffer.alloc(16) };
  const refused = expect.objectContaining({ statusCode: 400 });
  await expect(blob.stageBlock('AAAA', 'x', 1, wrong)).rejects.toEqual(refused);
});

test('a container that is not there, or vanishes, is told as such', async () => {
  const container = await newContainer();
  await using backend = open(container);
  await backend.probe(never);
  await server.container(container).delete();
  const gone = { why: 'missing', scope: 'bucket', message: expect.stringContaining('make the container') };
  await expect(backend.stat('x', never)).rejects.toMatchObject(gone);
  await expect(bytesOf(backend.read('x', { start: 0, end: 1 }, never))).rejects.toMatchObject(gone);
  await expect(backend.put('x', Buffer.from('x'), never)).rejects.toMatchObject(gone);
  await expect(backend.write('x', sourceOf(bytes), never)).rejects.toMatchObject(gone);
  await expect(backend.list('', { max: 9 }, never)).rejects.toMatchObject(gone);
  await expect(backend.probe(never)).rejects.toMatchObject(gone);
});

test('a list goes on wherever it is told to, also by one that has never seen it', async () => {
  const container = await newContainer();
  await using backend = open(container);
  const keys = Array.from({ length: 120 }, (_, i) => `k/${String(i).padStart(3, '0')}`);
  await Promise.all(keys.map((one) => backend.put(one, Buffer.from('x'), never)));
  await using fresh = open(container);
  const page = await fresh.list('k/', { after: 'k/077', max: 20 }, never);
  expect(page.objects.map((one) => one.key)).toEqual(keys.slice(78, 98));
  expect((await fresh.list('k/', { after: page.next, max: 50 }, never)).objects.map((one) => one.key)).toEqual(
    keys.slice(98),
  );
});
