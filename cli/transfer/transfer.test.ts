import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { MemoryRegistry } from '../../platform/clients/registry/fixtures.ts';
import { Persistence } from '../../platform/clients/registry/persistence.ts';
import { pullBlob } from '../../platform/clients/registry/pull.ts';
import { pushBlob } from '../../platform/clients/registry/push.ts';
import { parseTarget } from '../../platform/clients/registry/ref.ts';
import { Registry } from '../../platform/clients/registry/registry.ts';
import { get } from '../commands/get.ts';
import { listCommand, removeCommand } from '../commands/list.ts';
import { put } from '../commands/put.ts';

let server: MemoryRegistry;
let registry: Registry;
let dir: string;
const signal = new AbortController().signal;
const quiet = { isTTY: false, write: () => true };
beforeEach(async () => {
  server = await MemoryRegistry.start();
  registry = new Registry(server.base);
  dir = mkdtempSync(join(tmpdir(), 'shoal-cli-'));
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

function content(bytes: number): { bytes: Buffer; digest: Digest } {
  const random = prng(bytes);
  const made = Buffer.from(Uint8Array.from({ length: bytes }, () => random.below(256)));
  return { bytes: made, digest: digestOf('sha256', createHash('sha256').update(made).digest('hex')) };
}

async function* slices(bytes: Buffer, from: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}

const persistence = () => new Persistence({ silenceMs: 2_000, signal });

test('a pull that is cut goes on by Range, and counts every byte once', async () => {
  const { bytes, digest } = content(200_000);
  server.blobs.set(digest, bytes);
  server.cutReads = [70_000, 0, 60_000];
  let counted = 0;
  const add = (n: number) => {
    counted += n;
  };
  await pullBlob(registry, { repo: 'r', digest, size: bytes.length, onBytes: (n) => add(n) }, persistence());
  expect(counted).toBe(200_000);
  // One for each part; one more for each cut that comes before the answer's first byte is read, which is tried at once.
  expect(server.seen.length).toBeGreaterThanOrEqual(4);
  expect(server.seen.length).toBeLessThanOrEqual(7);
});

test('get -o takes a file, a directory that is there, and one that shall be', async () => {
  const { bytes, digest } = content(5_000);
  writeFileSync(join(dir, 'model.bin'), bytes);
  const at = { proxy: server.base, agent: server.base, screen: quiet, signal };
  await put({ ...at, file: join(dir, 'model.bin'), repo: 'models/m', tag: '1' });
  for (const [output, file] of [
    ['new/', 'new/model.bin'],
    ['new', 'new/model.bin'],
    ['as.bin', 'as.bin'],
  ] as const) {
    await get({ ...at, target: 'models/m:1', output: `${dir}/${output}` });
    expect(readFileSync(join(dir, file)).equals(bytes), output).toBe(true);
  }
  await get({ ...at, target: digest, output: `${dir}/blobs/` });
  expect(readFileSync(join(dir, 'blobs', digest.slice('sha256:'.length))).equals(bytes)).toBe(true);
});

test('wrong bytes are never taken for the blob', async () => {
  const { digest } = content(1000);
  server.blobs.set(digest, Buffer.alloc(1000));
  await expect(pullBlob(registry, { repo: 'r', digest }, persistence())).rejects.toMatchObject({
    code: 'DIGEST_INVALID',
  });
});

test('a push that is cut goes on where the registry stands; one that is lost begins anew', async () => {
  const { bytes, digest } = content(300_000);
  server.cutWrites = [100_000, 50_000];
  let counted = 0;
  const add = (n: number) => {
    counted += n;
  };
  const push = {
    repo: 'r',
    digest,
    size: bytes.length,
    read: (from: number) => slices(bytes, from),
    onBytes: (n: number) => add(n),
  };
  await pushBlob(registry, push, persistence());
  expect(server.blobs.get(digest)?.equals(bytes)).toBe(true);
  expect(counted).toBe(300_000);
  expect(server.seen.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  await pushBlob(registry, push, persistence());
  expect(server.seen.at(-1)).toBe(`HEAD /v2/r/blobs/${digest}`);

  const other = content(300_001);
  server.cutWrites = [100_000];
  const gone = { ...push, digest: other.digest, size: 300_001, read: (from: number) => slices(other.bytes, from) };
  gone.onBytes = () =>
    void (
      server.cutWrites.length === 0 &&
      server.seen.length < 20 &&
      server.seen.length % 7 === 0 &&
      server.uploads.clear()
    );
  await pushBlob(registry, gone, persistence());
  expect(server.blobs.get(other.digest)?.equals(other.bytes)).toBe(true);
});

test('an empty blob is pushed without a PATCH', async () => {
  const { bytes, digest } = content(0);
  await pushBlob(registry, { repo: 'r', digest, size: 0, read: (from) => slices(bytes, from) }, persistence());
  expect(server.seen.map((line) => line.split(' ')[0])).toEqual(['HEAD', 'POST', 'PUT']);
});

test('what another try cannot change is not tried again; silence has an end', async () => {
  const { digest } = content(10);
  await expect(pullBlob(registry, { repo: 'r', digest }, persistence())).rejects.toMatchObject({
    code: 'BLOB_UNKNOWN',
  });
  expect(server.seen).toHaveLength(1);
  await using nobody = new Registry('http://127.0.0.1:1');
  const short = new Persistence({ silenceMs: 60_000, coldMs: 50, signal });
  await expect(pullBlob(nobody, { repo: 'r', digest }, short)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('put and get: a file by digest and by name, resumed from its part, verified', async () => {
  const { bytes, digest } = content(150_000);
  const file = join(dir, 'model.bin');
  writeFileSync(file, bytes);
  const said = await put({ file, repo: 'library/files', tag: 'v1', proxy: server.base, screen: quiet, signal });
  expect(said).toContain(digest);
  const out = join(dir, 'out.bin');
  writeFileSync(`${out}.part`, bytes.subarray(0, 50_000));
  server.seen.length = 0;
  await get({ target: digest, output: out, agent: server.base, screen: quiet, signal });
  expect(readFileSync(out).equals(bytes)).toBe(true);

  await get({
    target: 'localhost:5000/library/files:v1',
    output: `${out}2`,
    agent: server.base,
    screen: quiet,
    signal,
  });
  expect(readFileSync(`${out}2`).equals(bytes)).toBe(true);
});

test('get of an image is an OCI layout', async () => {
  const layer = content(20_000);
  const config = content(500);
  server.blobs.set(layer.digest, layer.bytes).set(config.digest, config.bytes);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { digest: config.digest, size: 500, mediaType: 'c' },
    layers: [{ digest: layer.digest, size: 20_000, mediaType: 'l' }],
  });
  server.manifests.set('library/app/manifests/1', {
    type: 'application/vnd.oci.image.manifest.v1+json',
    bytes: Buffer.from(manifest),
  });
  const layout = join(dir, 'layout');
  await get({ target: 'library/app:1', output: layout, agent: server.base, screen: quiet, signal });
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
  const hex = index.manifests[0]?.digest.slice(7) ?? '';
  expect(readFileSync(join(layout, 'blobs/sha256', hex), 'utf8')).toBe(manifest);
  expect(readFileSync(join(layout, 'blobs/sha256', layer.digest.slice(7))).equals(layer.bytes)).toBe(true);
});

test('ls pages through; rm takes a tag, or a blob by digest', async () => {
  const lines: string[] = [];
  for await (const line of listCommand('library/app', { proxy: server.base, signal })) lines.push(line);
  expect(lines).toEqual(['library/app:1', 'library/app:2', 'library/app:3']);
  const { bytes, digest } = content(5);
  server.blobs.set(digest, bytes);
  expect(await removeCommand(`library/app@${digest}`, undefined, { proxy: server.base, signal })).toBe(
    `removed library/app@${digest}`,
  );
  expect(server.blobs.size).toBe(0);
  await expect(removeCommand('library/app:9', undefined, { proxy: server.base, signal })).rejects.toMatchObject({
    code: 'MANIFEST_UNKNOWN',
  });
});

test('targets: digests, references with and without a host, and what is neither', () => {
  const { digest } = content(1);
  expect(parseTarget(digest)).toEqual({ kind: 'blob', digest });
  expect(parseTarget('localhost:15000/library/app:1')).toEqual({
    kind: 'manifest',
    repo: 'library/app',
    reference: '1',
  });
  expect(parseTarget('library/app')).toEqual({ kind: 'manifest', repo: 'library/app', reference: 'latest' });
  expect(parseTarget(`library/app@${digest}`)).toEqual({ kind: 'manifest', repo: 'library/app', reference: digest });
  expect(parseTarget(`localhost:5000/library/app:1@${digest}`)).toEqual({
    kind: 'manifest',
    repo: 'library/app',
    reference: digest,
    tag: '1',
  });
  for (const bad of [
    '',
    'sha256:00',
    `a:b c@${digest}`,
    `a@${digest}@${digest}`,
    `a@${digest}:1`,
    'UPPER',
    'a/../b:1',
    'a:b:c',
    'a@b',
    'a: b',
  ])
    expect(() => parseTarget(bad), bad).toThrow("'");
});
