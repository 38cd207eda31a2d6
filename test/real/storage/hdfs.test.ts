/** The kind hdfs on Hadoop's own NameNodes and a DataNode. */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backendConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { hdfsSchema } from '../../../platform/backends/hdfs/config.ts';
import { HdfsBackend } from '../../../platform/backends/hdfs/hdfs.ts';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { Child, nodeCommand } from '../../../platform/lifecycle/child.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { ofShort } from '../short.ts';
import { Generated } from './generated.ts';
import { HdfsServer } from './servers/hdfs.ts';
import { started } from './servers/server.ts';

const MiB = 2 ** 20;
const log = createLog({ role: 'origin', level: 'silent', name: '' });
const bytes = Buffer.from('some bytes of an object');
const stack = new AsyncDisposableStack();
let server: HdfsServer;
// 30 MB are in four blocks.
const conf = { 'dfs.blocksize': `${8 * MiB}`, 'dfs.permissions.enabled': 'true' };
beforeAll(async () => {
  server = await started(stack, (dir) => HdfsServer.begin(dir, { nameNodes: 2, conf }));
}, 240_000);
afterAll(() => stack.disposeAsync());

/** In a directory of its own. */
async function settingsOf(more: object = {}): Promise<{ readonly directory: string }> {
  const directory = `/in/${randomUUID()}`;
  await server.makeDirectory(directory);
  return { ...server.rule.hdfs, directory, ...more };
}
const open = (settings: object, stallMs = 60_000): HdfsBackend =>
  new HdfsBackend(hdfsSchema.parse(settings), { name: 'main', stallMs, env: {}, clock: realClock, log });
const made = async () => open(await settingsOf());

describe('as any backend', () => backendConformance(made, { objects: 60 }));

test.each(ofShort([30_000_000, 1024 * MiB], (bytes) => bytes < 100 * MiB))(
  'an object of %i bytes, in several blocks, confirmed by its checksum',
  { timeout: 600_000 },
  async (size) => {
    await using backend = await made();
    const source = new Generated(size).source();
    const written = await backend.write('large', source, never);
    expect(await backend.stat('large', never)).toMatchObject({ size, version: written.version });
    const hash = createHash('sha256');
    for await (const chunk of backend.read('large', { start: 0, end: size, version: written.version }, never))
      hash.update(chunk);
    expect(`sha256:${hash.digest('hex')}`).toBe(source.digest);
    const [start, end] = [8 * MiB - 5, 8 * MiB + 5];
    const around = await bytesOf(backend.read('large', { start, end }, never));
    const both = await bytesOf(source.read(7 * MiB, 9 * MiB, never));
    expect(around.equals(both.subarray(MiB - 5, MiB + 5))).toBe(true);
  },
);

test('a writer that is killed in the middle leaves what was there, and the next one writes it', {
  timeout: 120_000,
}, async () => {
  const settings = await settingsOf();
  await using backend = open(settings);
  await backend.put('key', bytes, never);
  const entry = new URL('hdfs-writer.ts', import.meta.url);
  for (const key of ['key', 'new']) {
    const args = [JSON.stringify(settings), key, `${64 * MiB}`];
    const child = Child.start({ name: 'writer', command: nodeCommand(entry, args), output: 'lines' });
    const { promise: far, resolve } = Promise.withResolvers<void>();
    child.onLine((line) => Number(line) >= 20 * MiB && resolve());
    await far;
    await child.end(0);
  }
  expect(await backend.stat('new', never)).toBeUndefined();
  expect(await bytesOf(backend.read('key', { start: 0, end: bytes.length }, never))).toEqual(bytes);
  expect((await server.control('files', { path: `${settings.directory}/_uploads` })).trim().split('\n')).toHaveLength(
    2,
  );
  expect((await backend.list('', { max: 9 }, never)).objects.map(({ key }) => key)).toEqual(['key']);
  await backend.write('new', sourceOf(bytes), never);
  expect(await backend.stat('new', never)).toMatchObject({ size: bytes.length });
});

test('two users: each in its own directory, and not in that of the other', async () => {
  const alice = await settingsOf({ user: 'alice' });
  await server.makeDirectory(alice.directory, 'alice');
  await using own = open(alice);
  await own.probe(never);
  await own.put('a/b', bytes, never);
  await using bob = open({ ...alice, user: 'bob' });
  expect(await bytesOf(bob.read('a/b', { start: 0, end: 4 }, never))).toEqual(bytes.subarray(0, 4));
  const denied = { why: 'denied', message: expect.stringMatching(/user=bob.*give the user the right/) };
  await expect(bob.probe(never)).rejects.toMatchObject(denied);
  await expect(bob.put('a/b', Buffer.from('x'), never)).rejects.toMatchObject(denied);
  await expect(bob.put('c', Buffer.from('x'), never)).rejects.toMatchObject(denied);
  expect(await own.stat('a/b', never)).toMatchObject({ size: bytes.length });
});

test('in safe mode what is there is read, and a write is unavailable until it ends', async () => {
  await using backend = await made();
  await backend.put('key', bytes, never);
  await server.control('safemode', { on: 'true' });
  try {
    expect(await bytesOf(backend.read('key', { start: 0, end: bytes.length }, never))).toEqual(bytes);
    await expect(backend.put('key', Buffer.from('x'), never)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(/safe mode/),
    });
  } finally {
    await server.control('safemode', { on: 'false' });
  }
  await backend.put('key', Buffer.from('x'), never);
});

test('while all of HDFS hangs each call ends in time, and it goes on afterwards', async () => {
  const settings = await settingsOf();
  await using patient = open(settings);
  await patient.put('key', bytes, never);
  await using backend = open(settings, 3_000);
  process.kill(server.pid, 'SIGSTOP');
  try {
    const begunMs = performance.now();
    const calls = [backend.stat('key', never), backend.put('key', Buffer.from('x'), never)];
    for (const call of calls) await expect(call).rejects.toMatchObject({ why: 'stalled' });
    expect(performance.now() - begunMs).toBeLessThan(10_000);
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
  expect(await bytesOf(patient.read('key', { start: 0, end: bytes.length }, never))).toEqual(bytes);
});

/** Of a large object the DataNode may cut the connection before its words are read: that is `unavailable`. */
test('a quota that is used up is full', async () => {
  const settings = await settingsOf();
  await server.control('quota', { path: settings.directory, bytes: `${4 * MiB}` });
  await using backend = open(settings);
  const full = { why: 'full', message: expect.stringMatching(/quota/) };
  await expect(backend.put('key', bytes, never)).rejects.toMatchObject(full);
  expect(await backend.stat('key', never)).toBeUndefined();
});

test('where there are snapshots there are no conditions', async () => {
  const settings = await settingsOf();
  await server.control('snapshots', { path: settings.directory });
  await using backend = open(settings);
  await backend.probe(never);
  expect(backend.can.conditions).toBe(false);
});

/** The last: one NameNode is gone afterwards. */
test('another NameNode becomes the active one, and then the first one dies: reads and writes go on', async () => {
  await using backend = await made();
  const first = await backend.put('key', bytes, never);
  await server.control('active', { n: '1' });
  expect(await backend.stat('key', never)).toEqual(first);
  const second = await backend.put('key', Buffer.from('second'), never, { version: first.version });
  await server.control('stop', { n: '0' });
  expect(await bytesOf(backend.read('key', { start: 0, end: 6 }, never))).toEqual(Buffer.from('second'));
  await backend.put('key', bytes, never, { version: second.version });
  await using anew = open({ ...server.rule.hdfs, nameNodes: server.nameNodes });
  await anew.probe(never);
});
