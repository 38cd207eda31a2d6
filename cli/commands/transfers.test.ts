/** The shell's transfers as a user meets them: what is left over, what is there already, who only reads. */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { MemoryRegistry } from '../../platform/clients/registry/fixtures.ts';
import { get } from './get.ts';
import { listCommand, removeCommand } from './list.ts';
import { put } from './put.ts';

let server: MemoryRegistry;
let dir: string;
const signal = new AbortController().signal;
const quiet = { isTTY: false, write: () => true };
beforeEach(async () => {
  server = await MemoryRegistry.start();
  dir = mkdtempSync(join(tmpdir(), 'shoal-cli-'));
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

function content(bytes: number): { bytes: Buffer; digest: Digest } {
  const random = prng(bytes);
  const made = Buffer.from(Uint8Array.from({ length: bytes }, () => random.below(256)));
  return { bytes: made, digest: digestOf('sha256', createHash('sha256').update(made).digest('hex')) };
}

test('a part that was left of something else is begun anew, and the fault is not the agent', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  const at = { target: digest, agent: server.base, screen: quiet, signal };
  const wrongAt = (offset: number) =>
    Buffer.concat([bytes.subarray(0, offset), Buffer.from('!'), bytes.subarray(offset + 1)]);
  const parts = {
    short: Buffer.from('something else'),
    'larger than the blob': Buffer.alloc(400_000),
    'as large as the blob': Buffer.alloc(300_000),
    'wrong at its end': wrongAt(149_999).subarray(0, 150_000),
    'wrong far from its end': wrongAt(7).subarray(0, 150_000),
  };
  for (const [name, part] of Object.entries(parts)) {
    const out = join(dir, `${name}.bin`);
    writeFileSync(`${out}.part`, part);
    let said = '';
    const screen = { isTTY: false, write: (text: string) => (said += text) };
    server.seen.length = 0;
    await get({ ...at, screen, output: out });
    expect(readFileSync(out).equals(bytes), name).toBe(true);
    expect(said, name).toContain('was left of something else');
    expect(existsSync(`${out}.part`), name).toBe(false);
    // At most one look at its end before the whole. A server that is slow is pinged beside that.
    const reads = server.seen.filter((request) => request.endsWith(digest));
    expect(reads.length, `${name}: ${server.seen.join(', ')}`).toBeLessThanOrEqual(3);
  }
});

test('that a part is of something else is seen at its end, not when all the rest has come', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  const out = join(dir, 'out');
  writeFileSync(`${out}.part`, Buffer.alloc(150_000));
  // No more than the overlap, ever.
  server.heldReads = [64 * 1024];
  await get({ target: digest, output: out, agent: server.base, screen: quiet, signal });
  expect(readFileSync(out).equals(bytes)).toBe(true);
});

test('two that get the same file at once never mix: the second is told, and a lock of the dead holds nobody up', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  const out = join(dir, 'out');
  const at = { target: digest, output: out, agent: server.base, screen: quiet, signal };
  // A process that lives, and is not this one.
  writeFileSync(`${out}.part`, bytes.subarray(0, 100_000));
  writeFileSync(`${out}.part.lock`, `${process.ppid}\n`);
  await expect(get(at)).rejects.toThrow(`process ${process.ppid} writes there`);
  rmSync(`${out}.part`);
  await expect(get(at)).rejects.toThrow(`process ${process.ppid} writes there`);
  expect(readdirSync(dir)).toEqual(['out.part.lock']);
  const gone = spawnSync('true').pid;
  for (const owner of [gone, process.pid, '']) {
    writeFileSync(`${out}.part.lock`, `${owner}`);
    await get(at);
    expect(readFileSync(out).equals(bytes)).toBe(true);
    expect(readdirSync(dir)).toEqual(['out']);
    rmSync(out);
  }
});

test.runIf(process.platform === 'linux')('a full disk is named with the file, and how to go on', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  const out = join(dir, 'out');
  symlinkSync('/dev/full', `${out}.part`);
  const getting = get({ target: digest, output: out, agent: server.base, screen: quiet, signal });
  await expect(getting).rejects.toThrow(`${out}.part: there is no room left on the disk`);
  expect(readdirSync(dir)).toEqual(['out.part']);
});

test('a part whose end is right goes on from there, and the overlap is not written twice', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  for (const length of [1, 65_536, 150_000, 299_999, 300_000]) {
    const out = join(dir, `${length}.bin`);
    writeFileSync(`${out}.part`, bytes.subarray(0, length));
    server.cutReads = [1000, 40_000];
    await get({ target: digest, output: out, agent: server.base, screen: quiet, signal });
    expect(readFileSync(out).equals(bytes), `${length}`).toBe(true);
    server.cutReads = [];
  }
});

test('an agent that gives wrong bytes is named, and nothing of them is kept', async () => {
  const { bytes, digest } = content(1000);
  server.blobs.set(digest, bytes.fill(7));
  const out = join(dir, 'out');
  await expect(get({ target: digest, output: out, agent: server.base, screen: quiet, signal })).rejects.toMatchObject({
    code: 'DIGEST_INVALID',
    message: expect.stringContaining(server.base),
  });
  expect(readdirSync(dir)).toEqual([]);
});

test('of a blob that is not there, no part and no directory is left', async () => {
  const { digest } = content(1000);
  const output = `${join(dir, 'new')}/`;
  await expect(get({ target: digest, output, agent: server.base, screen: quiet, signal })).rejects.toMatchObject({
    code: 'BLOB_UNKNOWN',
  });
  expect(readdirSync(dir)).toEqual([]);
  const empty = content(0);
  server.blobs.set(empty.digest, empty.bytes);
  await get({ target: empty.digest, output, agent: server.base, screen: quiet, signal });
  expect(readdirSync(output)).toEqual([empty.digest.slice('sha256:'.length)]);
});

test('a file that is there and right is not fetched again; one that is not right is', async () => {
  const { bytes, digest } = content(100_000);
  server.blobs.set(digest, bytes);
  const out = join(dir, 'out');
  const at = { target: digest, output: out, agent: server.base, screen: quiet, signal };
  await get(at);
  server.seen.length = 0;
  expect(await get(at)).toContain('was there already');
  expect(server.seen.filter((line) => line.startsWith('GET'))).toEqual([]);
  writeFileSync(out, Buffer.from(bytes).fill(1, 5, 6));
  expect(await get(at)).not.toContain('was there already');
  expect(readFileSync(out).equals(bytes)).toBe(true);
});

test('get -o - is the bytes and nothing else; a pipe is written to, not replaced', async () => {
  const { bytes, digest } = content(300_000);
  server.blobs.set(digest, bytes);
  server.cutReads = [70_000];
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    highWaterMark: 1000,
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      setImmediate(done);
    },
  });
  const at = { target: digest, agent: server.base, screen: quiet, signal };
  await get({ ...at, output: '-', stdout });
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  const pipe = join(dir, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const [read] = await Promise.all([readFile(pipe), get({ ...at, output: pipe })]);
  expect(read.equals(bytes)).toBe(true);
  expect(statSync(pipe).isFIFO()).toBe(true);
});

test('put to one that only reads fails, though it says that it has the blob; to a registry that has it, nothing is sent', async () => {
  const { bytes, digest } = content(5_000);
  const file = join(dir, 'file');
  writeFileSync(file, bytes);
  server.blobs.set(digest, bytes);
  const at = { file, repo: 'library/files', proxy: server.base, screen: quiet, signal };
  expect(await put(at)).toContain(digest);
  expect(server.seen.filter((line) => line.startsWith('P'))).toEqual(['POST /v2/library/files/blobs/uploads/']);
  server.readOnly = true;
  await expect(put(at)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('a file that somebody writes to while it is put is named, and no fault of the network', async () => {
  const file = join(dir, 'file');
  writeFileSync(file, Buffer.alloc(3_000_000));
  let grown = false;
  // The digest is known when the first bytes leave.
  const screen = {
    isTTY: true,
    write: () => {
      if (!grown) appendFileSync(file, 'more');
      grown = true;
    },
  };
  const putting = put({ file, repo: 'library/files', proxy: server.base, screen, signal });
  await expect(putting).rejects.toThrow(`${file}: changed while it was read`);
  expect(server.blobs.size).toBe(0);
});

test('the digest that put printed is found behind its repository as well', async () => {
  const { bytes, digest } = content(1_000);
  server.blobs.set(digest, bytes);
  const options = { agent: server.base, screen: quiet, signal };
  await get({ ...options, target: `models/m@${digest}`, output: join(dir, 'file') });
  expect(readFileSync(join(dir, 'file')).equals(bytes)).toBe(true);
  const absent = content(1_001).digest;
  await expect(get({ ...options, target: `models/m@${absent}`, output: join(dir, 'none') })).rejects.toMatchObject({
    code: 'MANIFEST_UNKNOWN',
  });
});

test('a host in front of a repository is dropped everywhere', async () => {
  const file = join(dir, 'file');
  writeFileSync(file, 'x');
  const at = { proxy: server.base, screen: quiet, signal };
  await put({ ...at, file, repo: 'localhost:15000/library/files', tag: '1' });
  expect(server.manifests.has('library/files/manifests/1')).toBe(true);
  server.seen.length = 0;
  for await (const line of listCommand('registry.example/library/files', at)) expect(line).toMatch(/^library\/files:/);
  expect(server.seen[0]).toBe('GET /v2/library/files/tags/list');
  await removeCommand('localhost:15000/library/files:1', undefined, at);
  const { digest } = content(5);
  await expect(removeCommand(digest, 'localhost:15000/library/files', at)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(server.seen.at(-1)).toBe(`DELETE /v2/library/files/blobs/${digest}`);
  await expect(put({ ...at, file, repo: 'library/files:1' })).rejects.toThrow('without tag and digest, library/files');
});

test('get of a build cache: what an index lists beside manifests are blobs', async () => {
  const layer = content(20_000);
  const config = content(500);
  server.blobs.set(layer.digest, layer.bytes).set(config.digest, config.bytes);
  const inner = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { digest: config.digest, size: 500, mediaType: 'c' },
      layers: [{ digest: layer.digest, size: 20_000, mediaType: 'l' }],
    }),
  );
  const innerDigest = `sha256:${createHash('sha256').update(inner).digest('hex')}`;
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      { digest: layer.digest, size: 20_000, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' },
      { digest: config.digest, size: 500, mediaType: 'application/vnd.buildkit.cacheconfig.v0' },
      { digest: innerDigest, size: inner.length, mediaType: type },
    ],
  };
  server.manifests.set('library/cache/manifests/1', {
    type: index.mediaType,
    bytes: Buffer.from(JSON.stringify(index)),
  });
  server.manifests.set(`library/cache/manifests/${innerDigest}`, { type, bytes: inner });
  const layout = join(dir, 'cache');
  await get({ target: 'library/cache:1', output: layout, agent: server.base, screen: quiet, signal });
  for (const { digest } of [layer, config, { digest: innerDigest }])
    expect(existsSync(join(layout, 'blobs/sha256', digest.slice(7))), digest).toBe(true);
  expect(readdirSync(join(layout, 'blobs/sha256'))).toHaveLength(4);
});

test('a manifest whose digests are none writes nothing outside of the layout', async () => {
  const manifest = {
    schemaVersion: 2,
    config: { digest: 'sha256:../../../evil', size: 4, mediaType: 'c' },
    layers: [],
  };
  const type = 'application/vnd.oci.image.manifest.v1+json';
  server.manifests.set('library/app/manifests/1', { type, bytes: Buffer.from(JSON.stringify(manifest)) });
  const layout = join(dir, 'layout');
  await expect(
    get({ target: 'library/app:1', output: layout, agent: server.base, screen: quiet, signal }),
  ).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  expect(readdirSync(dir)).toEqual([]);
});

test('rm of a tag and a digest at once is refused: one of them takes every other tag away', async () => {
  const { digest } = content(1);
  const at = { proxy: server.base, signal };
  await expect(removeCommand(`library/app:1@${digest}`, undefined, at)).rejects.toThrow(
    'library/app:1 removes the tag',
  );
  expect(server.seen).toEqual([]);
});
