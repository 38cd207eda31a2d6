/** The rules of uploads.ts over an in-memory store that hashes for real. */

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { type Digest, type DigestAlgorithm, digestOf } from '../core/digest.ts';
import { VirtualClock } from '../platform/net/clock.fixtures.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import { manifestsMax, silentWriterMs, Uploads } from './uploads.ts';

class MemoryStore {
  readonly blobs = new Map<Digest, BlobEntry>();
  cancelled: string[] = [];
  /** Appends fail from here on. */
  full = false;
  commitGate: Promise<void> = Promise.resolve();

  async whole(digest: Digest): Promise<BlobEntry | undefined> {
    return this.blobs.get(digest);
  }

  async beginUpload(id: string, algorithm: DigestAlgorithm) {
    const chunks: Uint8Array[] = [];
    return {
      id,
      get offset() {
        return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      },
      append: async (chunk: Uint8Array) => {
        if (this.full) throw new ApiError('STORAGE_FULL', 'full');
        chunks.push(chunk.slice());
      },
      commit: async (digest: Digest): Promise<BlobEntry> => {
        await this.commitGate;
        const hash = createHash(algorithm);
        for (const chunk of chunks) hash.update(chunk);
        if (digestOf(algorithm, hash.digest('hex')) !== digest) throw new ApiError('DIGEST_INVALID', 'no match');
        const entry = { digest, complete: true } as BlobEntry;
        this.blobs.set(digest, entry);
        return entry;
      },
      cancel: async () => void this.cancelled.push(id),
    };
  }
}

const id = 'upload-0123456789';
const bytes = (text: string) =>
  (async function* () {
    for (const word of text.split(' ')) yield Buffer.from(word);
  })();
const digestOfText = (text: string): Digest => digestOf('sha256', createHash('sha256').update(text).digest('hex'));

function setup(openMax = 4, idleMs = 1000) {
  const store = new MemoryStore();
  const clock = new VirtualClock();
  const uploads = new Uploads({ store, openMax, idleMs, clock });
  return { store, clock, uploads };
}
const code = (error: string) => expect.objectContaining({ code: error });

test('begin, append in parts, commit', async () => {
  const { uploads, store } = setup();
  expect(await uploads.begin(id, 'sha256')).toEqual({ begun: true, status: { id, offset: 0 } });
  expect(await uploads.append(id, 0, bytes('he llo'))).toEqual({ id, offset: 5 });
  expect(await uploads.begin(id, 'sha256')).toEqual({ begun: false, status: { id, offset: 5 } });
  expect(await uploads.append(id, 5, bytes('world'))).toEqual({ id, offset: 10 });
  const digest = digestOfText('helloworld');
  expect((await uploads.commit(id, digest)).digest).toBe(digest);
  expect(uploads.count).toBe(0);
  // The answer was lost, the client asks again.
  expect((await uploads.commit(id, digest)).digest).toBe(digest);
  // The id buys only what it committed.
  store.blobs.set(digestOfText('other'), { complete: true } as BlobEntry);
  await expect(uploads.commit(id, digestOfText('other'))).rejects.toEqual(code('BLOB_UPLOAD_UNKNOWN'));
});

test('a wrong offset changes nothing and says where the upload stands', async () => {
  const { uploads } = setup();
  await uploads.begin(id, 'sha256');
  await uploads.append(id, 0, bytes('abc'));
  for (const offset of [0, 2, 4]) {
    const refused = uploads.append(id, offset, bytes('xyz'));
    await expect(refused).rejects.toEqual(
      expect.objectContaining({ code: 'BLOB_UPLOAD_RANGE', detail: { id, offset: 3 } }),
    );
  }
  expect(uploads.status(id).offset).toBe(3);
});

test('one writer at a time; a cut writer leaves what it wrote', async () => {
  const { uploads } = setup();
  await uploads.begin(id, 'sha256');
  const cut = Promise.withResolvers<never>();
  const first = uploads.append(
    id,
    0,
    (async function* () {
      yield Buffer.from('abc');
      await cut.promise;
    })(),
  );
  await new Promise((resolve) => setImmediate(resolve));
  await expect(uploads.append(id, 3, bytes('x'))).rejects.toEqual(code('BLOB_UPLOAD_RANGE'));
  await expect(uploads.commit(id, digestOfText('abc'))).rejects.toEqual(code('BLOB_UPLOAD_RANGE'));
  cut.reject(new Error('cut'));
  await expect(first).rejects.toThrow('cut');
  expect(await uploads.append(id, 3, bytes('d'))).toEqual({ id, offset: 4 });
});

test('a commit that does not match keeps nothing', async () => {
  const { uploads, store } = setup();
  await uploads.begin(id, 'sha256');
  await uploads.append(id, 0, bytes('abc'));
  await expect(uploads.commit(id, digestOfText('abd'))).rejects.toEqual(code('DIGEST_INVALID'));
  expect(store.blobs.size).toBe(0);
  expect(() => uploads.status(id)).toThrow(code('BLOB_UPLOAD_UNKNOWN'));
});

test('a commit asked for twice while it runs is done once', async () => {
  const { uploads, store } = setup();
  await uploads.begin(id, 'sha256');
  await uploads.append(id, 0, bytes('abc'));
  const gate = Promise.withResolvers<void>();
  store.commitGate = gate.promise;
  const digest = digestOfText('abc');
  const both = [uploads.commit(id, digest), uploads.commit(id, digest)];
  await expect(uploads.cancel(id)).rejects.toEqual(code('BLOB_UPLOAD_INVALID'));
  gate.resolve();
  const [one, two] = await Promise.all(both);
  expect(one).toBe(two);
});

test('a full disk ends the upload and frees it', async () => {
  const { uploads, store } = setup();
  await uploads.begin(id, 'sha256');
  store.full = true;
  await expect(uploads.append(id, 0, bytes('abc'))).rejects.toEqual(code('STORAGE_FULL'));
  expect(store.cancelled).toEqual([id]);
  expect(uploads.count).toBe(0);
});

test('open uploads are limited, idle ones are swept, busy ones are not', async () => {
  const { uploads, store, clock } = setup(2, 1000);
  const other = 'upload-9876543210';
  await uploads.begin(id, 'sha256');
  clock.ms = 900;
  await uploads.begin(other, 'sha256');
  clock.ms = 1000;
  expect(await uploads.sweep()).toEqual([id]);
  expect(store.cancelled).toEqual([id]);
  const gate = Promise.withResolvers<void>();
  const writing = uploads.append(
    other,
    0,
    (async function* () {
      await gate.promise;
      yield Buffer.from('z');
    })(),
  );
  clock.ms = 100_000;
  expect(await uploads.sweep()).toEqual([]);
  gate.resolve();
  await writing;
});

/** A body that stays open until `end` is called. */
function held(first = 'a') {
  const gate = Promise.withResolvers<void>();
  const body = (async function* () {
    yield Buffer.from(first);
    await gate.promise;
  })();
  return { body, end: gate.resolve };
}
const of = (client: string, n: number): string => `upload-of-${client}-${String(n).padStart(8, '0')}`;
const blobOf = (client: string) => ({ client, kind: 'blob' }) as const;

test('260 uploads that one client began and left keep nobody from pushing; its own oldest go first', async () => {
  const { uploads, store, clock } = setup(256, 1e9);
  for (let n = 0; n < 260; n++) {
    clock.ms += 1;
    await uploads.begin(of('greedy', n), 'sha256', blobOf('greedy'));
  }
  expect(uploads.count).toBeLessThanOrEqual(256);
  const own = store.cancelled.length;
  expect(store.cancelled).toEqual(Array.from({ length: own }, (_, n) => of('greedy', n)));
  for (let n = 0; n < 40; n++) {
    await uploads.begin(of('other', n), 'sha256', blobOf('other'));
    await uploads.append(of('other', n), 0, bytes('abc'));
  }
  expect(store.cancelled).toEqual(Array.from({ length: store.cancelled.length }, (_, n) => of('greedy', n)));
  expect(store.cancelled.length).toBeGreaterThan(own);
  // Whoever comes back to one that gave way is told to begin a new one.
  await expect(uploads.append(of('greedy', 0), 0, bytes('abc'))).rejects.toEqual(code('BLOB_UPLOAD_UNKNOWN'));
  const digest = digestOfText('abc');
  for (let n = 0; n < 40; n++) expect((await uploads.commit(of('other', n), digest)).digest).toBe(digest);
});

test('two clients that both push: the one with more of it is refused, the other never', async () => {
  const { uploads } = setup(64, 1e9);
  const writing: Promise<unknown>[] = [];
  const ends: (() => void)[] = [];
  const push = async (client: string, n: number): Promise<string> => {
    const error = await uploads.begin(of(client, n), 'sha256', blobOf(client)).then(
      () => undefined,
      (failure: ApiError) => failure.code,
    );
    if (error !== undefined) return error;
    const { body, end } = held();
    ends.push(end);
    writing.push(uploads.append(of(client, n), 0, body));
    return 'taken';
  };
  const greedy = [];
  for (let n = 0; n < 100; n++) greedy.push(await push('greedy', n));
  expect(greedy.filter((answer) => answer === 'taken')).toHaveLength(56);
  expect(new Set(greedy)).toEqual(new Set(['taken', 'TOOMANYREQUESTS']));
  for (let n = 0; n < 2; n++) expect(await push('other', n)).toBe('taken');
  for (const end of ends) end();
  await Promise.all(writing);
});

test('manifests have room of their own, and no more than a manifest of it', async () => {
  const { uploads, store } = setup(2, 1e9);
  const { body, end } = held();
  const writing: Promise<unknown>[] = [];
  for (let n = 0; n < 2; n++) {
    await uploads.begin(of(`client${n}`, n), 'sha256', blobOf(`client${n}`));
    writing.push(uploads.append(of(`client${n}`, n), 0, body));
  }
  await expect(uploads.begin(id, 'sha256', blobOf('another'))).rejects.toEqual(code('TOOMANYREQUESTS'));
  const manifest = { client: 'another', kind: 'manifest' } as const;
  await uploads.begin(id, 'sha256', manifest);
  await uploads.append(id, 0, bytes('{}'));
  expect((await uploads.commit(id, digestOfText('{}'))).digest).toBe(digestOfText('{}'));
  for (let n = 0; n < manifestsMax + 9; n++)
    await uploads.begin(of('greedy', n), 'sha256', { ...manifest, client: 'x' });
  await uploads.begin(id, 'sha256', manifest);
  const large = (async function* () {
    for (let n = 0; n < 5; n++) yield Buffer.alloc(1 << 20);
  })();
  await expect(uploads.append(id, 0, large)).rejects.toEqual(code('SIZE_INVALID'));
  expect(store.cancelled).toContain(id);
  end();
  await Promise.all(writing);
});

test('blobs take nothing from manifests, and manifests nothing from blobs', async () => {
  const { uploads, store } = setup(2, 1e9);
  for (let n = 0; n < 8; n++) await uploads.begin(of('a', n), 'sha256', { client: 'a', kind: 'manifest' });
  for (const client of ['b', 'c']) await uploads.begin(of(client, 1), 'sha256', blobOf(client));
  for (let n = 8; n < 16; n++) await uploads.begin(of('a', n), 'sha256', { client: 'a', kind: 'manifest' });
  expect(store.cancelled).toEqual([]);
  await uploads.begin(of('d', 1), 'sha256', blobOf('d'));
  expect(store.cancelled).toEqual([of('b', 1)]);
});

test('a writer that is silent gives way, to one that goes on and to one that begins; one that is not never', async () => {
  const { uploads, clock, store } = setup(1, 1e9);
  await uploads.begin(id, 'sha256');
  const first = uploads.append(id, 0, held('abc').body);
  first.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  clock.ms += silentWriterMs - 1;
  await expect(uploads.append(id, 3, bytes('d'))).rejects.toEqual(code('BLOB_UPLOAD_RANGE'));
  await expect(uploads.begin(of('b', 1), 'sha256', blobOf('b'))).rejects.toEqual(code('TOOMANYREQUESTS'));
  clock.ms += 1;
  expect(await uploads.append(id, 3, bytes('d'))).toEqual({ id, offset: 4 });
  await expect(first).rejects.toEqual(code('BLOB_UPLOAD_RANGE'));
  const second = uploads.append(id, 4, held('e').body);
  second.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  clock.ms += silentWriterMs;
  await uploads.begin(of('b', 1), 'sha256', blobOf('b'));
  await expect(second).rejects.toEqual(code('BLOB_UPLOAD_UNKNOWN'));
  expect(store.cancelled).toEqual([id]);
});

test.each(['', 'short', 'UPPER-CASE-LETTERS', '../../etc/passwd-x', 'a'.repeat(65)])(
  '%s is no upload id',
  async (bad) => {
    await expect(setup().uploads.begin(bad, 'sha256')).rejects.toEqual(code('BLOB_UPLOAD_INVALID'));
  },
);
