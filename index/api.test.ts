import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { condemnMax, INDEX, type ManifestPut, type Unproved } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import { openSqliteTags } from '../platform/tags/sqlite/sqlite.ts';
import type { TagStore } from '../platform/tags/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { type IndexSettings, indexRoutes } from './api.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const ctx = CallContext.begin({ requestId: 'test' });
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  mediaType: 'm/x',
  size: 5,
  tags: [],
  blobs: [],
  manifests: [],
  ...more,
});
const long = `${'a'.repeat(100)}/${'b'.repeat(100)}/${'c'.repeat(53)}`;

const settingsDefault: IndexSettings = { allowMissingChildren: [], keepUnlinkedMs: 3_600_000, nowMs: Date.now };

function serve(store: TagStore, settings: Partial<IndexSettings> = {}) {
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  indexRoutes(app, store, { ...settingsDefault, ...settings });
  return app;
}

async function started(
  store: TagStore = stack.use(openMemoryTags()),
  settings?: Partial<IndexSettings>,
): Promise<string> {
  const { port } = stack.use(await listen(serve(store, settings), { host: '127.0.0.1', port: 0 }));
  return `http://127.0.0.1:${port}`;
}

const client = (...urls: string[]): IndexClient => new IndexClient(stack.use(httpMembers(fixedList(urls))));

async function sqlite(): Promise<TagStore> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-index-'));
  stack.defer(() => rm(dir, { recursive: true }));
  return stack.use(
    openSqliteTags({
      file: join(dir, 'tags.db'),
      onBroken: (error) => {
        throw error;
      },
    }),
  );
}

describe('index: client and server', () => {
  test('every call, through real HTTP, for the longest names', async () => {
    const index = client(await started());
    const sha512 = `sha512:${'ab'.repeat(64)}` as Digest;
    const tag = 'T'.repeat(128);
    expect(await index.blob(long, sha512, ctx)).toBeUndefined();
    await index.linkBlob(long, sha512, { size: 9 }, ctx);
    expect(await index.blob(long, sha512, ctx)).toEqual({ digest: sha512, size: 9 });
    expect(await index.mount('b', sha512, 'nowhere', ctx)).toBeUndefined();
    expect(await index.mount('b', sha512, long, ctx)).toEqual({ digest: sha512, size: 9 });
    await index.putManifest(long, sha512, image({ tags: [tag], blobs: [sha512], annotations: { k: 'v' } }), ctx);
    expect(await index.tag(long, tag, ctx)).toEqual({
      digest: sha512,
      mediaType: 'm/x',
      size: 5,
      version: expect.stringMatching(/^1-[0-9a-f]{32}$/),
    });
    expect(await index.tag(long, 'other', ctx)).toBeUndefined();
    expect(await index.manifest(long, sha512, ctx)).toMatchObject({ size: 5 });
    expect(await index.manifest('b', sha512, ctx)).toBeUndefined();
    expect(await index.putTag(long, 'other', { digest: digest(7) }, ctx)).toBeUndefined();
    expect(await index.putTag(long, 'other', { digest: sha512 }, ctx)).toEqual({ version: expect.any(String) });
    expect(await index.tags(long, { n: 1 }, ctx)).toEqual({ tags: ['other'], more: true });
    expect(await index.tags(long, { n: 5, last: 'other' }, ctx)).toEqual({ tags: [tag], more: false });
    await index.putManifest(long, digest(2), image({ subject: sha512, artifactType: 'sig/a+b' }), ctx);
    expect((await index.referrers(long, sha512, { n: 5, artifactType: 'sig/a+b' }, ctx)).manifests).toHaveLength(1);
    expect((await index.referrers(long, sha512, { n: 5, artifactType: 'sbom' }, ctx)).manifests).toHaveLength(0);
    expect((await index.referrers(long, sha512, { n: 5, last: digest(2) }, ctx)).manifests).toHaveLength(0);
    expect(await index.referrers(long, sha512, { n: 0 }, ctx)).toEqual({ manifests: [], more: true });
    expect((await index.referrers(long, sha512, { n: 5 }, ctx)).manifests[0]).toMatchObject({
      digest: digest(2),
      artifactType: 'sig/a+b',
    });
    expect(await index.catalog({ n: 5 }, ctx)).toEqual({ repositories: [long], more: false });
    expect(await index.deleteTag(long, 'other', ctx)).toEqual({ version: expect.any(String) });
    expect(await index.deleteTag(long, 'other', ctx)).toBeUndefined();
    const { version } = (await index.tag(long, tag, ctx)) ?? {};
    const { version: now } = (await index.putTag(long, tag, { digest: sha512, after: version }, ctx)) ?? {};
    const changed = { code: 'TAG_CHANGED', status: 409, detail: { version: now } };
    await expect(index.putTag(long, tag, { digest: sha512, after: version }, ctx)).rejects.toMatchObject(changed);
    await expect(index.deleteTag(long, tag, ctx, version)).rejects.toMatchObject(changed);
    const put = image({ tags: [tag], after: null });
    await expect(index.putManifest(long, sha512, put, ctx)).rejects.toMatchObject(changed);
    expect(await index.deleteTag(long, tag, ctx, now)).toEqual({ version: expect.any(String) });
    expect(await index.putManifest(long, sha512, put, ctx)).toEqual({ version: expect.any(String) });
    expect(await index.deleteManifest(long, sha512, ctx)).toBe(true);
    expect(await index.deleteManifest(long, sha512, ctx)).toBe(false);
    expect(await index.tag(long, tag, ctx)).toBeUndefined();
    expect(await index.unlinkBlob('b', sha512, ctx)).toBe(true);
    expect(await index.unlinkBlob('b', sha512, ctx)).toBe(false);
  });

  test('of thousands of missing references the first hundred are named', async () => {
    const blobs = Array.from({ length: 2000 }, (_, i) => digest(100 + i));
    const put = client(await started()).putManifest('a', digest(1), image({ blobs }), ctx);
    await expect(put).rejects.toMatchObject({
      code: 'MANIFEST_BLOB_UNKNOWN',
      message: expect.stringContaining('and 1999 more'),
      detail: { missing: blobs.slice(0, 100) },
    });
  });

  test('a manifest with missing references names them; an unknown repository is named', async () => {
    const index = client(await started());
    const put = index.putManifest(
      'a',
      digest(1),
      image({ tags: ['1'], blobs: [digest(8)], manifests: [digest(9)] }),
      ctx,
    );
    await expect(put).rejects.toMatchObject({
      code: 'MANIFEST_BLOB_UNKNOWN',
      status: 404,
      detail: { missing: [digest(8), digest(9)] },
    });
    expect(await index.tag('a', '1', ctx)).toBeUndefined();
    await expect(index.tags('a', { n: 1 }, ctx)).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
  });

  test('what is unlinked is condemned in its time, by whoever asks; then a link needs a proof', async () => {
    let nowMs = 1_000;
    const url = await started(await sqlite(), { keepUnlinkedMs: 50, nowMs: () => nowMs });
    const [index, origin] = [client(url), client(url)];
    for (const no of [1, 2]) await index.linkBlob('a', digest(no), { size: 5 }, ctx);
    await index.unlinkBlob('a', digest(1), ctx);
    const asked = [digest(1), digest(2), digest(3)];
    const first = await origin.condemn(asked, ctx);
    expect(first).toEqual({ index: expect.stringMatching(/^[0-9a-f]{32}$/), condemned: [], waiting: 2 });
    nowMs += 50;
    const second = await origin.condemn(asked, ctx);
    expect(second).toEqual({ index: first.index, condemned: [digest(1), digest(3)], waiting: 0 });
    const detail = { generation: expect.any(Number) };
    const refusal = { code: 'BLOB_CONDEMNED', status: 409, detail };
    await expect(index.linkBlob('b', digest(1), { size: 5 }, ctx)).rejects.toMatchObject(refusal);
    await expect(index.putManifest('b', digest(3), image(), ctx)).rejects.toMatchObject(refusal);
    const generationOf = (error: unknown): number => ((error as ApiError).detail as Unproved).generation;
    const proof = await index.linkBlob('b', digest(1), { size: 5 }, ctx).catch(generationOf);
    await index.linkBlob('b', digest(1), { size: 5, proof: proof as number }, ctx);
    await index.putManifest('b', digest(3), image({ proof: proof as number }), ctx);
    expect((await origin.condemn(asked, ctx)).condemned).toEqual([]);
  });

  test('an index without all of its manifests: refused with the name of the setting, taken where that lists the repository', async () => {
    const store = stack.use(openMemoryTags());
    const index = client(await started(store, { allowMissingChildren: ['mirror/*'] }));
    const sparse = image({ tags: ['1'], manifests: [digest(9)] });
    const refused = index.putManifest('library/app', digest(1), sparse, ctx);
    await expect(refused).rejects.toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN', detail: { missing: [digest(9)] } });
    await expect(refused).rejects.toThrow('`manifests.allowMissingChildren`');
    await index.putManifest('mirror/app', digest(1), sparse, ctx);
    expect((await index.tag('mirror/app', '1', ctx))?.digest).toBe(digest(1));
    expect(await index.manifest('mirror/app', digest(9), ctx)).toBeUndefined();
    const lacking = index.putManifest(
      'mirror/app',
      digest(2),
      image({ blobs: [digest(8)], manifests: [digest(9)] }),
      ctx,
    );
    await expect(lacking).rejects.toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN', detail: { missing: [digest(8)] } });
    await expect(lacking).rejects.not.toThrow('allowMissingChildren');
  });

  test('100 tag writes at once: each is read as soon as it is acknowledged, by any client', async () => {
    const url = await started(await sqlite());
    const [writer, reader] = [client(url), client(url)];
    for (let i = 0; i < 4; i++) await writer.putManifest('a', digest(i), image(), ctx);
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        for (let version = 0; version < 4; version++) {
          await patiently(() => writer.putTag('a', `t${i}`, { digest: digest(version) }, ctx));
          expect((await patiently(() => reader.tag('a', `t${i}`, ctx)))?.digest).toBe(digest(version));
        }
      }),
    );
    expect((await reader.tags('a', { n: 1000 }, ctx)).tags).toHaveLength(100);
  });

  test('an index that does not answer is passed over; none at all is UNAVAILABLE and names them', async () => {
    const dead = 'http://127.0.0.1:1';
    const index = client(dead, await started());
    await index.linkBlob('a', digest(1), { size: 1 }, ctx);
    expect(await index.blob('a', digest(1), ctx)).toBeDefined();
    const lost = client(dead, 'http://127.0.0.1:2');
    await expect(lost.tag('a', '1', ctx)).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 });
    await expect(lost.tag('a', '1', ctx)).rejects.toThrow(/127\.0\.0\.1:1.*127\.0\.0\.1:2/);
    const reason = new Error('the client went away');
    await expect(lost.tag('a', '1', ctx.withSignal(AbortSignal.abort(reason)))).rejects.toBe(reason);
  });
});

/** As a client that is told 503 does: this process is the clients, the index and its database, on a disk that may be busy. */
async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
    }
  }
}

describe('index: malformed requests', () => {
  test('each is named, and changes nothing', async () => {
    const store = stack.use(openMemoryTags());
    const app = serve(store);
    stack.defer(() => app.close());
    await store.putManifest('a', digest(1), image({ tags: ['1'] }), 0);
    const wrong: ['GET' | 'PUT' | 'POST' | 'DELETE', string, object | undefined, string][] = [
      ['GET', INDEX.tag.path({ name: 'A', tag: '1' }), undefined, 'NAME_INVALID'],
      ['GET', INDEX.tag.path({ name: '../etc', tag: '1' }), undefined, 'NAME_INVALID'],
      ['GET', INDEX.tag.path({ name: 'a', tag: '-x' }), undefined, 'TAG_INVALID'],
      ['GET', INDEX.manifest.path({ name: 'a', digest: 'sha256:1' as Digest }), undefined, 'DIGEST_INVALID'],
      ['GET', INDEX.tags.path({ name: 'a', n: -1 }), undefined, 'REQUEST_INVALID'],
      ['GET', `${INDEX.tags.path({ name: 'a', n: 5 })}&last=1&last=2`, undefined, 'REQUEST_INVALID'],
      ['PUT', INDEX.putTag.path({ name: 'a', tag: '1' }), {}, 'REQUEST_INVALID'],
      ['PUT', INDEX.putTag.path({ name: 'a', tag: '1' }), { digest: digest(2) }, 'MANIFEST_UNKNOWN'],
      [
        'PUT',
        INDEX.putManifest.path({ name: 'a', digest: digest(2) }),
        { ...image(), tags: ['bad tag'] },
        'MANIFEST_INVALID',
      ],
      [
        'PUT',
        INDEX.putManifest.path({ name: 'a', digest: digest(2) }),
        { ...image(), size: 5 * 1024 * 1024 },
        'MANIFEST_INVALID',
      ],
      ['PUT', INDEX.putManifest.path({ name: 'a', digest: digest(2) }), { ...image(), extra: 1 }, 'MANIFEST_INVALID'],
      ['PUT', INDEX.linkBlob.path({ name: 'a', digest: digest(2) }), { size: -1 }, 'REQUEST_INVALID'],
      ['POST', INDEX.mount.path({ name: 'a', digest: digest(2) }), { from: 'B' }, 'REQUEST_INVALID'],
      ['PUT', INDEX.linkBlob.path({ name: 'a', digest: digest(2) }), { size: 1, proof: 'x' }, 'REQUEST_INVALID'],
      ['POST', INDEX.condemn.pattern, { digests: ['x'] }, 'REQUEST_INVALID'],
      ['POST', INDEX.condemn.pattern, { digests: Array(condemnMax + 1).fill(digest(1)) }, 'REQUEST_INVALID'],
      ['POST', INDEX.mount.path({ name: 'a', digest: digest(2) }), { from: 'b' }, 'BLOB_UNKNOWN'],
      ['GET', INDEX.tag.path({ name: 'a', tag: 'x'.repeat(2000) }), undefined, 'REQUEST_INVALID'],
    ];
    for (const [method, url, payload, code] of wrong) {
      const response = await app.inject(payload === undefined ? { method, url } : { method, url, payload });
      expect(response.json(), `${method} ${url}`).toMatchObject({ errors: [{ code }] });
    }
    expect(await store.catalog({ n: 10 })).toEqual({ repositories: ['a'], more: false });
    expect((await store.tag('a', '1'))?.digest).toBe(digest(1));
  });
});
