/** The origin's API over real HTTP, a real store and real workers; the peer is one that nobody answers. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type BlobInfo, type InfosReply, ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { realClock } from '../platform/net/clock.ts';
import type { Pull } from '../platform/peer/node.ts';
import { originPromises } from '../platform/store/options.ts';
import type { Proof } from '../platform/store/pieces/believed.ts';
import { type BlobEntry, BlobStore } from '../platform/store/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { Workers } from '../platform/workers/workers.ts';
import { addRoutes } from './api.ts';
import { fetchesMax, OriginBlobs } from './blobs.ts';
import { Mending } from './mending.ts';
import { RepairPace } from './repair/pace.ts';
import { Uploads } from './uploads.ts';

const peer = { node: '0'.repeat(32), host: '127.0.0.1', port: 1, role: 'origin', zone: '' } as const;
const stack = new AsyncDisposableStack();
const committed: string[] = [];
const pulls = new Set<Digest>();
const dropped: Digest[] = [];
const arrived: Digest[] = [];
/** However busy this machine is. */
const patience = { timeout: 15_000 } as const;
let base: string;
let dir: string;
let workers: Workers;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-origin-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  workers = stack.use(await Workers.start({ count: 1, arenaBytes: 16 * 1024 * 1024 }));
  const store = stack.use(await BlobStore.open({ dir, ...originPromises, workers, budgetBytes: 1e9 }));
  const never = new Promise<never>(() => undefined);
  const node = {
    self: peer,
    pull: (digest: Digest): Pull => {
      pulls.add(digest);
      return {
        digest,
        repo: undefined,
        complete: never,
        entry: undefined,
        stats: {
          bytesFromPeers: 0,
          bytesFromOrigins: 0,
          startedMs: 0,
          firstByteMs: undefined,
          lastByteMs: undefined,
          users: 0,
        },
        use: () => ({ gave: () => undefined, [Symbol.dispose]: () => undefined }),
        learned: () => never,
        waitFor: () => never,
        settled: () => never,
        reader: () => ({ move: () => undefined, close: () => undefined }),
      };
    },
    receives: () => false,
    lost: () => undefined,
    mend: () => never,
    drop: (digest: Digest) => void dropped.push(digest),
    arrived: ({ digest }: BlobEntry) => void arrived.push(digest),
  };
  const log = silentLog();
  const app = createHttp({
    role: 'origin',
    log,
    metrics: new Metrics(),
    readiness: () => Promise.resolve([]),
  });
  const mending = stack.use(
    new Mending({
      ...{ store, node, log, clock: realClock, pace: new RepairPace(1e9, realClock) },
      linked: async (digests) => new Set(digests),
    }),
  );
  mending.begin();
  const blobs = new OriginBlobs({ store, arena: workers.arena, node, mending, log });
  // Only which was used before which counts here.
  let uses = 0;
  const uploads = new Uploads({ store, openMax: 3, idleMs: 1e6, clock: { nowMs: () => ++uses } });
  addRoutes(app, {
    blobs,
    uploads,
    onCommitted: ({ digest }) => void committed.push(digest),
    onRemoved: () => undefined,
  });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}`;
});
afterAll(() => stack.disposeAsync());

const digestOfBytes = (bytes: Uint8Array): Digest =>
  digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { errors: { code: string }[] }).errors[0]?.code;
const json = { 'content-type': 'application/json' };

const begin = (id: string, headers: Record<string, string> = json): Promise<Response> =>
  fetch(base + ORIGIN.upload.path({ id }), { method: 'POST', body: '{}', headers });
const append = (id: string, offset: number, body: Uint8Array): Promise<Response> =>
  fetch(base + ORIGIN.append.path({ id, offset }), { method: 'PATCH', body: body.slice() });
const commit = (id: string, digest: Digest): Promise<Response> =>
  fetch(base + ORIGIN.commit.path({ id, digest }), { method: 'PUT' });

async function upload(bytes: Uint8Array): Promise<Digest> {
  const id = randomUUID();
  await begin(id);
  if (bytes.length > 0) await append(id, 0, bytes);
  const digest = digestOfBytes(bytes);
  expect((await commit(id, digest)).status).toBe(200);
  return digest;
}

test('an upload in parts becomes a blob that is read whole, in ranges, and described', async () => {
  const bytes = randomBytes(3_000_000);
  const id = randomUUID();
  const digest = digestOfBytes(bytes);
  expect((await begin(id)).status).toBe(201);
  expect(await (await append(id, 0, bytes.subarray(0, 1_000_001))).json()).toEqual({ id, offset: 1_000_001 });
  expect((await begin(id)).status).toBe(200);
  expect(await (await fetch(base + ORIGIN.upload.path({ id }))).json()).toEqual({ id, offset: 1_000_001 });
  expect((await fetch(base + ORIGIN.read.path({ digest }))).status).toBe(404);
  await append(id, 1_000_001, bytes.subarray(1_000_001));
  const info = (await (await commit(id, digest)).json()) as BlobInfo;
  expect(info).toMatchObject({ digest, meta: { length: bytes.length, pieceLength: 262_144 }, peer });
  expect(info.inline).toBeUndefined();
  expect(committed).toContain(digest);
  expect(arrived).toContain(digest);

  const whole = await fetch(base + ORIGIN.read.path({ digest }));
  expect(whole.headers.get('content-length')).toBe(String(bytes.length));
  expect((await bytesOf(whole)).equals(bytes)).toBe(true);
  const part = await fetch(base + ORIGIN.read.path({ digest }), { headers: { range: 'bytes=262143-262145' } });
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 262143-262145/${bytes.length}`]);
  expect((await bytesOf(part)).equals(bytes.subarray(262_143, 262_146))).toBe(true);
  const head = await fetch(base + ORIGIN.read.path({ digest }), { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  const outside = await fetch(base + ORIGIN.read.path({ digest }), { headers: { range: `bytes=${bytes.length}-` } });
  expect([outside.status, outside.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`]);
  expect(workers.arena.freeBytes('reader')).toBe(workers.arena.shareBytes('reader'));
});

test.each([0, 1, 16_384])('a blob of %d bytes comes with its info', async (length) => {
  const bytes = randomBytes(length);
  const digest = await upload(bytes);
  const info = (await (await fetch(base + ORIGIN.info.path({ digest }))).json()) as BlobInfo;
  expect(Buffer.from(info.inline as string, 'base64').equals(bytes)).toBe(true);
  expect((await bytesOf(await fetch(base + ORIGIN.read.path({ digest })))).equals(bytes)).toBe(true);
});

test('several blobs are described at once, each as it would be alone', async () => {
  const [one, two] = [await upload(randomBytes(10)), await upload(randomBytes(20_000))];
  const missing = digestOf('sha256', createHash('sha256').update('missing').digest('hex'));
  const ask = (digests: unknown) =>
    fetch(base + ORIGIN.infos.pattern, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ digests }),
    });
  const { infos } = (await (await ask([one, missing, two])).json()) as InfosReply;
  const alone = await Promise.all(
    [one, two].map(async (digest) => await (await fetch(base + ORIGIN.info.path({ digest }))).json()),
  );
  expect(infos).toEqual([alone[0], null, alone[1]]);
  for (const wrong of [['sha256:x'], Array(65).fill(one), 'all', undefined]) {
    const refused = await ask(wrong);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ errors: [{ code: expect.stringMatching(/_INVALID$/) }] });
  }
});

test('bytes at another offset are refused with where the upload stands', async () => {
  const id = randomUUID();
  await begin(id);
  await append(id, 0, randomBytes(10));
  for (const offset of [0, 9, 11]) {
    const refused = await append(id, offset, randomBytes(100_000));
    expect([refused.status, await refused.json()]).toMatchObject([409, { id, offset: 10 }]);
  }
  expect((await append(id, -1, randomBytes(1))).status).toBe(400);
  expect((await fetch(base + ORIGIN.upload.path({ id }), { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(base + ORIGIN.upload.path({ id }), { method: 'DELETE' })).status).toBe(404);
});

test('an upload begun for one algorithm is committed under another', async () => {
  const bytes = randomBytes(600_000);
  const id = randomUUID();
  await begin(id);
  await append(id, 0, bytes);
  const long = digestOf('sha512', createHash('sha512').update(bytes).digest('hex'));
  expect((await commit(id, long)).status).toBe(200);
  expect((await bytesOf(await fetch(base + ORIGIN.read.path({ digest: long })))).equals(bytes)).toBe(true);
});

test('a refusal reaches a client that has megabytes yet to send', async () => {
  const id = randomUUID();
  await begin(id);
  for (const path of [ORIGIN.append.path({ id, offset: 5 }), ORIGIN.append.path({ id: randomUUID(), offset: 0 })]) {
    const length = 64 * 1024 * 1024;
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    const answer = new Promise<string>((resolve, reject) => {
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('error', reject);
      socket.on('end', () => resolve(text));
    });
    socket.write(`PATCH ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`);
    for (let sent = 0; sent < length; sent += 1024 * 1024) socket.write(Buffer.alloc(1024 * 1024));
    expect(await answer).toMatch(/^HTTP\/1.1 (409|404) .*"code":"BLOB_UPLOAD_(RANGE|UNKNOWN)"/s);
    socket.destroy();
  }
  await fetch(base + ORIGIN.upload.path({ id }), { method: 'DELETE' });
});

test('a commit with a wrong digest keeps nothing', async () => {
  const id = randomUUID();
  await begin(id);
  await append(id, 0, randomBytes(1000));
  const wrong = digestOfBytes(randomBytes(1000));
  expect(await codeOf(await commit(id, wrong))).toBe('DIGEST_INVALID');
  expect((await fetch(base + ORIGIN.info.path({ digest: wrong }))).status).toBe(404);
  expect(await codeOf(await commit(id, wrong))).toBe('BLOB_UPLOAD_UNKNOWN');
  expect(await readdir(join(dir, 'uploads'))).toEqual([]);
});

test('an upload that is cut stands where its bytes ended, and goes on from there', async () => {
  const bytes = randomBytes(2_000_000);
  const id = randomUUID();
  await begin(id);
  const headers = { 'content-length': bytes.length, 'content-type': 'application/octet-stream' };
  const cut = httpRequest(base + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', headers });
  cut.on('error', () => undefined);
  cut.write(bytes.subarray(0, 700_000));
  const status = async () => (await (await fetch(base + ORIGIN.upload.path({ id }))).json()) as { offset: number };
  await vi.waitFor(async () => expect((await status()).offset).toBeGreaterThan(0), patience);
  cut.destroy();
  const { offset } = await vi.waitFor(async () => {
    const found = await status();
    expect((await append(id, found.offset, bytes.subarray(found.offset))).status).toBe(200);
    return found;
  }, patience);
  expect(offset).toBeGreaterThan(0);
  expect(offset).toBeLessThanOrEqual(700_000);
  const digest = digestOfBytes(bytes);
  expect((await commit(id, digest)).status).toBe(200);
  expect((await bytesOf(await fetch(base + ORIGIN.read.path({ digest })))).equals(bytes)).toBe(true);
});

test('uploads open at once are limited: one that nobody writes to gives way, a manifest competes with none', async () => {
  const ids = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  for (const id of ids) expect((await begin(id)).status).toBe(201);
  expect(await codeOf(await append(ids[0] as string, 0, randomBytes(10)))).toBe('BLOB_UPLOAD_UNKNOWN');
  const busy = ids.slice(1).map((id) => {
    const sending = httpRequest(base + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH' }).on(
      'error',
      () => undefined,
    );
    sending.write('x');
    return sending;
  });
  // Whatever became of it: the tests after this one need the room.
  onTestFinished(async () => {
    for (const sending of busy) sending.destroy();
    for (const id of ids) await fetch(base + ORIGIN.upload.path({ id }), { method: 'DELETE' });
  });
  await vi.waitFor(async () => {
    for (const id of ids.slice(1))
      expect(await (await fetch(base + ORIGIN.upload.path({ id }))).json()).toEqual({ id, offset: 1 });
  }, patience);
  expect(await codeOf(await begin(randomUUID()))).toBe('TOOMANYREQUESTS');
  const other = { ...json, 'x-shoal-client': '203.0.113.9' };
  expect(await codeOf(await begin(randomUUID(), other))).toBe('TOOMANYREQUESTS');
  const manifest = randomUUID();
  expect((await begin(manifest, { ...other, 'x-shoal-upload': 'manifest' })).status).toBe(201);
  await append(manifest, 0, Buffer.from('{}'));
  expect((await commit(manifest, digestOfBytes(Buffer.from('{}')))).status).toBe(200);
});

test('clients are told apart by what the proxy says, else by their address', async () => {
  const ids = Array.from({ length: 5 }, () => randomUUID());
  const as = (client: string) => ({ ...json, 'x-shoal-client': client });
  await begin(ids[0] as string, as('one'));
  await begin(ids[1] as string, as('two'));
  await begin(ids[2] as string, as('two'));
  // The one that has most loses its oldest, not the oldest of all.
  expect((await begin(ids[3] as string, as('three'))).status).toBe(201);
  const there = async (id: string) => (await fetch(base + ORIGIN.upload.path({ id }))).status;
  expect(await Promise.all(ids.slice(0, 4).map(there))).toEqual([200, 404, 200, 200]);
  // What is no name is not believed: it is the address's own, which has none to lose, and all others have one.
  expect((await begin(ids[4] as string, as('not a name'))).status).toBe(201);
  for (const id of ids) await fetch(base + ORIGIN.upload.path({ id }), { method: 'DELETE' });
});

test('a removed blob is gone, from the swarm too', async () => {
  const digest = await upload(randomBytes(100_000));
  expect((await fetch(base + ORIGIN.read.path({ digest }), { method: 'DELETE' })).status).toBe(204);
  expect(dropped).toContain(digest);
  for (const method of ['GET', 'HEAD', 'DELETE']) {
    expect((await fetch(base + ORIGIN.read.path({ digest }), { method })).status).toBe(404);
  }
});

test('taking over: what is held is 200, what is not is pulled, up to a limit', async () => {
  const held = await upload(randomBytes(50_000));
  const { meta } = (await (await fetch(base + ORIGIN.info.path({ digest: held }))).json()) as BlobInfo;
  const ask = (digest: string, body: unknown = { from: peer, meta }): Promise<Response> =>
    fetch(base + ORIGIN.fetch.path({ digest: digest as Digest }), {
      method: 'POST',
      body: JSON.stringify(body),
      headers: json,
    });
  expect((await ask(held)).status).toBe(200);
  for (const bad of [
    {},
    { from: peer },
    { from: { ...peer, port: 0 }, meta },
    { from: { ...peer, zone: '\u00fc' }, meta },
    { from: { ...peer, host: 'a b' }, meta },
    { from: peer, meta: { ...meta, pieceLength: 3 } },
  ]) {
    expect(await codeOf(await ask(held, bad))).toBe('REQUEST_INVALID');
  }
  expect(pulls.size).toBe(0);
  const absent = Array.from({ length: fetchesMax }, () => digestOfBytes(randomBytes(8)));
  for (const digest of absent) expect((await ask(digest)).status).toBe(202);
  expect((await ask(absent[0] as string)).status).toBe(202);
  expect([...pulls]).toEqual(absent);
  expect(await codeOf(await ask(digestOfBytes(randomBytes(8))))).toBe('TOOMANYREQUESTS');
});

test.each([
  ['GET', '/v1/blobs/sha256:00', 400, 'DIGEST_INVALID'],
  ['GET', '/v1/blobs/..%2f..%2fetc%2fpasswd', 400, 'DIGEST_INVALID'],
  ['GET', `/v1/blobs/sha256:${'0'.repeat(64)}`, 404, 'BLOB_UNKNOWN'],
  ['GET', `/v1/blobs/sha256:${'0'.repeat(64)}/info`, 404, 'BLOB_UNKNOWN'],
  ['GET', '/v1/uploads/no-such-upload-here', 404, 'BLOB_UPLOAD_UNKNOWN'],
  ['POST', '/v1/uploads/..%2f..%2fescape-the-dir', 400, 'BLOB_UPLOAD_INVALID'],
  ['PUT', '/v1/uploads/no-such-upload-here', 400, 'DIGEST_INVALID'],
  ['GET', '/v1/nothing', 404, 'NOT_FOUND'],
])('%s %s is %d %s', async (method, path, status, code) => {
  const response = await fetch(base + path, { method });
  expect([response.status, await codeOf(response)]).toEqual([status, code]);
});

test('a proof: whole and kept, and offered to its owners again; or not here', async () => {
  const digest = await upload(randomBytes(1000));
  const before = committed.length;
  const proof = (of: Digest): Promise<Response> => fetch(base + ORIGIN.prove.path({ digest: of }), { method: 'POST' });
  // Claimed before it is looked at: what the index said of it meanwhile does not let it go.
  const order: string[] = [];
  const { claim, whole } = BlobStore.prototype;
  vi.spyOn(BlobStore.prototype, 'claim').mockImplementation(function (this: BlobStore, of: Digest) {
    order.push(`claim ${of}`);
    claim.call(this, of);
  });
  vi.spyOn(BlobStore.prototype, 'whole').mockImplementation(function (this: BlobStore, of: Digest, by: Proof) {
    order.push(`whole ${of} ${by}`);
    return whole.call(this, of, by);
  });
  expect((await proof(digest)).status).toBe(200);
  vi.restoreAllMocks();
  expect(order.slice(0, 2)).toEqual([`claim ${digest}`, `whole ${digest} sample`]);
  expect(committed.slice(before)).toEqual([digest]);
  const absent = await proof(digestOf('sha256', 'ab'.repeat(32)));
  expect([absent.status, await codeOf(absent)]).toEqual([404, 'BLOB_UNKNOWN']);
  expect(committed).toHaveLength(before + 1);
});
