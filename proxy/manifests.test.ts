/** Manifests, lists and deletion of OCI distribution 1.1, over real HTTP. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Digest } from '../core/digest.ts';
import { manifestBytesMax } from '../core/oci/limits.ts';
import { MEDIA } from '../core/oci/media.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';

const repo = 'library/app';
const ctx = CallContext.begin({ requestId: 'test' });
const layer = Buffer.from('layer');
const config = Buffer.from('{}');

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const descriptor = (bytes: Uint8Array, mediaType: string) => ({
  mediaType,
  digest: digestOfBytes(bytes),
  size: bytes.length,
});
function imageOf(extra: object = {}, mediaType: string = MEDIA.ociManifest): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [descriptor(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')],
      ...extra,
    }),
  );
}
const indexOf = (manifests: Buffer[], mediaType: string = MEDIA.ociIndex, type: string = MEDIA.ociManifest): Buffer =>
  Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, manifests: manifests.map((one) => descriptor(one, type)) }),
  );

const put = (reference: string, body: Uint8Array, type: string = MEDIA.ociManifest, at = repo): Promise<Answer> =>
  cluster.proxy.send('PUT', `/v2/${at}/manifests/${reference}`, { body, headers: { 'content-type': type } });
const get = (reference: string, at = repo): Promise<Answer> =>
  cluster.proxy.send('GET', `/v2/${at}/manifests/${reference}`);

async function pushImage(tag: string, extra: object = {}): Promise<{ bytes: Buffer; digest: Digest }> {
  await cluster.push(repo, layer);
  await cluster.push(repo, config);
  const bytes = imageOf(extra);
  const answer = await put(tag, bytes);
  expect(answer.status).toBe(201);
  return { bytes, digest: digestOfBytes(bytes) };
}

describe('manifests', () => {
  test.each([
    [MEDIA.ociManifest, MEDIA.ociIndex],
    [MEDIA.dockerManifest, MEDIA.dockerList],
  ])('%s and %s: pushed by tag and digest, read back by both, bytes unchanged', async (image, list) => {
    await cluster.push(repo, layer);
    await cluster.push(repo, config);
    const bytes = imageOf({}, image);
    const digest = digestOfBytes(bytes);
    const answer = await put('v1', bytes, image);
    expect([answer.status, answer.headers['docker-content-digest']]).toEqual([201, digest]);
    expect(answer.headers.location).toBe(`/v2/${repo}/manifests/${digest}`);
    const index = indexOf([bytes], list, image);
    expect((await put(digestOfBytes(index), index, list)).status).toBe(201);
    for (const [reference, expected, type] of [
      ['v1', bytes, image],
      [digest, bytes, image],
      [digestOfBytes(index), index, list],
    ] as const) {
      const got = await get(reference);
      expect([got.status, got.headers['content-type'], got.body.equals(expected)]).toEqual([200, type, true]);
      expect(got.headers['docker-content-digest']).toBe(digestOfBytes(expected));
      const head = await cluster.proxy.send('HEAD', `/v2/${repo}/manifests/${reference}`);
      expect([head.status, head.body.length, head.headers['content-length']]).toEqual([
        200,
        0,
        String(expected.length),
      ]);
      expect(head.headers['content-type']).toBe(type);
    }
    expect(cluster.holders(bytes)).toBe(2);
  });

  test('every reference that is missing is named, and neither tag nor manifest appears', async () => {
    const bytes = imageOf();
    const answer = await put('v1', bytes);
    expect([answer.status, code(answer)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
    const { missing } = JSON.parse(answer.body.toString()).errors[0].detail;
    expect(missing.sort()).toEqual([digestOfBytes(layer), digestOfBytes(config)].sort());
    expect((await get('v1')).status).toBe(404);
    const index = await put('v1', indexOf([bytes]), MEDIA.ociIndex);
    expect([index.status, code(index)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
  });

  test('a blob of another repository does not count until it is mounted', async () => {
    await cluster.push('library/base', layer);
    await cluster.push(repo, config);
    expect(code(await put('v1', imageOf()))).toBe('MANIFEST_BLOB_UNKNOWN');
    const query = `mount=${digestOfBytes(layer)}&from=library/base`;
    await cluster.proxy.send('POST', `/v2/${repo}/blobs/uploads/?${query}`);
    expect((await put('v1', imageOf())).status).toBe(201);
  });

  test('the digest of the path is checked, sha512 as well', async () => {
    const { bytes } = await pushImage('v1');
    const wrong = await put(`sha256:${'1'.repeat(64)}`, bytes);
    expect([wrong.status, code(wrong)]).toEqual([400, 'DIGEST_INVALID']);
    const long = digestOfBytes(bytes, 'sha512');
    const answer = await put(long, bytes);
    expect([answer.status, answer.headers['docker-content-digest']]).toEqual([201, long]);
    expect((await get(long)).body.equals(bytes)).toBe(true);
  });

  test('a tag that is overwritten reads as the new manifest at once', async () => {
    const first = await pushImage('latest');
    const second = await pushImage('latest', { annotations: { turn: 'two' } });
    expect((await get('latest')).headers['docker-content-digest']).toBe(second.digest);
    expect((await get(first.digest)).body.equals(first.bytes)).toBe(true);
  });

  test('a push by digest sets every ?tag=', async () => {
    const { bytes, digest } = await pushImage('v1');
    const answer = await put(`${digest}?tag=a&tag=b.c`, bytes);
    expect([answer.status, answer.headers['oci-tag']]).toEqual([201, 'a, b.c']);
    expect((await get('b.c')).headers['docker-content-digest']).toBe(digest);
    expect(code(await put(`${digest}?tag=-x`, bytes))).toBe('TAG_INVALID');
  });

  test('the limit is 4 MiB, announced or not, and nothing larger is stored', async () => {
    await cluster.push(repo, layer);
    await cluster.push(repo, config);
    const room = manifestBytesMax - imageOf({ annotations: { pad: '' } }).length;
    const most = imageOf({ annotations: { pad: 'x'.repeat(room) } });
    expect(most.length).toBe(manifestBytesMax);
    expect((await put('most', most)).status).toBe(201);
    const over = imageOf({ annotations: { pad: 'x'.repeat(room + 1) } });
    const path = `/v2/${repo}/manifests/over`;
    const headers = { 'content-type': MEDIA.ociManifest };
    for (const streamed of [false, true]) {
      const answer = await cluster.proxy.send('PUT', path, { body: over, headers, streamed });
      expect([answer.status, code(answer)]).toEqual([413, 'SIZE_INVALID']);
    }
    expect(cluster.holders(over)).toBe(0);
  });

  test.each([
    ['', 'application/json'],
    ['not JSON', MEDIA.ociManifest],
    ['{"schemaVersion":1,"fsLayers":[]}', 'application/vnd.docker.distribution.manifest.v1+json'],
    [imageOf().toString(), MEDIA.dockerManifest],
    [imageOf({ manifests: [] }).toString(), MEDIA.ociManifest],
  ])('refuses %s as %s', async (body, type) => {
    const answer = await put('v1', Buffer.from(body), type);
    expect([answer.status, code(answer)]).toEqual([400, 'MANIFEST_INVALID']);
  });

  test('what is unknown', async () => {
    await pushImage('v1');
    const absent = `sha256:${'0'.repeat(64)}`;
    expect(code(await get('v2'))).toBe('MANIFEST_UNKNOWN');
    expect(code(await get(absent))).toBe('MANIFEST_UNKNOWN');
    expect(code(await get('v1', 'no/such'))).toBe('MANIFEST_UNKNOWN');
    expect(code(await cluster.proxy.send('GET', `/v2/${repo}/blobs/${absent}`))).toBe('BLOB_UNKNOWN');
    expect(code(await cluster.proxy.send('GET', '/v2/no/such/tags/list'))).toBe('NAME_UNKNOWN');
    const head = await cluster.proxy.send('HEAD', `/v2/${repo}/manifests/v2`);
    expect([head.status, head.body.length]).toEqual([404, 0]);
  });
});

describe('discovery', () => {
  test('tags in pages', async () => {
    for (const tag of ['b', 'a', 'd', 'c']) await pushImage(tag);
    const list = async (query: string) => {
      const answer = await cluster.proxy.send('GET', `/v2/${repo}/tags/list${query}`);
      return { ...JSON.parse(answer.body.toString()), link: answer.headers['link'], status: answer.status };
    };
    expect(await list('')).toEqual({ name: repo, tags: ['a', 'b', 'c', 'd'], link: undefined, status: 200 });
    const first = await list('?n=3');
    expect([first.tags, first.link]).toEqual([['a', 'b', 'c'], `</v2/${repo}/tags/list?n=3&last=c>; rel="next"`]);
    expect(await list('?n=3&last=c')).toMatchObject({ tags: ['d'], link: undefined });
    expect(await list('?n=0')).toMatchObject({ tags: [], link: undefined });
    expect(await list('?last=b')).toMatchObject({ tags: ['c', 'd'] });
    for (const n of ['-1', 'x', '']) expect((await list(`?n=${n}`)).tags).toEqual(['a', 'b', 'c', 'd']);
  });

  test('the catalogue', async () => {
    for (const name of ['z/z', 'a', 'm/n/o']) {
      const empty = indexOf([]);
      expect((await put('v1', empty, MEDIA.ociIndex, name)).status).toBe(201);
    }
    const answer = await cluster.proxy.send('GET', '/v2/_catalog?n=2');
    expect(JSON.parse(answer.body.toString())).toEqual({ repositories: ['a', 'm/n/o'] });
    expect(answer.headers['link']).toBe('</v2/_catalog?n=2&last=m%2Fn%2Fo>; rel="next"');
  });

  test('referrers: listed, filtered, empty; the subject may come later', async () => {
    const subject = { mediaType: MEDIA.ociManifest, digest: digestOfBytes(imageOf()), size: imageOf().length };
    await cluster.push(repo, layer);
    await cluster.push(repo, config);
    const signature = imageOf({ subject, artifactType: 'application/x.signature+json', annotations: { by: 'us' } });
    const answer = await put(digestOfBytes(signature), signature);
    expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject.digest]);
    const plain = imageOf({ subject });
    expect((await put('plain', plain)).headers['oci-subject']).toBe(subject.digest);
    expect((await pushImage('v1')).digest).toBe(subject.digest);
    const list = async (digest: string, query = '') => {
      const got = await cluster.proxy.send('GET', `/v2/${repo}/referrers/${digest}${query}`);
      expect([got.status, got.headers['content-type']]).toEqual([200, MEDIA.ociIndex]);
      const { schemaVersion, mediaType, manifests } = JSON.parse(got.body.toString());
      expect([schemaVersion, mediaType]).toEqual([2, MEDIA.ociIndex]);
      return { manifests, applied: got.headers['oci-filters-applied'] };
    };
    const all = await list(subject.digest);
    const types = all.manifests.map((entry: { artifactType: string }) => entry.artifactType).sort();
    expect(types).toEqual(['application/vnd.oci.image.config.v1+json', 'application/x.signature+json']);
    expect(all.applied).toBeUndefined();
    for (const query of [
      '?artifactType=application/x.signature+json',
      '?artifactType=application%2Fx.signature%2Bjson',
    ]) {
      const some = await list(subject.digest, query);
      expect(some.applied).toBe('artifactType');
      const [only] = some.manifests;
      expect(only).toEqual({
        ...descriptor(signature, MEDIA.ociManifest),
        artifactType: 'application/x.signature+json',
        annotations: { by: 'us' },
      });
    }
    expect((await list(`sha256:${'0'.repeat(64)}`)).manifests).toEqual([]);
    expect((await cluster.proxy.send('GET', `/v2/${repo}/referrers/latest`)).status).toBe(400);
  });

  test.each([undefined, 'sig/a+b'])(
    '1,005 referrers of one subject (type %s): every one, by following Link',
    async (type) => {
      const subject = digestOfBytes(imageOf());
      const about = { mediaType: MEDIA.ociManifest, size: 9, tags: [], blobs: [], manifests: [], subject };
      const digests = Array.from({ length: 1005 }, (_, i) => `sha256:${i.toString(16).padStart(64, '0')}` as Digest);
      for (const digest of digests)
        await cluster.index.putManifest(repo, digest, { ...about, artifactType: 'sig/a+b' }, ctx);
      await cluster.index.putManifest(
        repo,
        `sha256:${'f'.repeat(64)}` as Digest,
        { ...about, subject: digests[0] as Digest },
        ctx,
      );
      const filter = type === undefined ? '' : `&artifactType=${encodeURIComponent(type)}`;
      for (const [query, pages] of [
        [filter.replace('&', '?'), 2],
        [`?n=300${filter}`, 4],
      ] as const) {
        const found: string[] = [];
        let path = `/v2/${repo}/referrers/${subject}${query}`;
        let asked = 0;
        for (; path !== ''; asked++) {
          const got = await cluster.proxy.send('GET', path);
          expect([got.status, got.headers['oci-filters-applied']]).toEqual([200, type && 'artifactType']);
          const { manifests, mediaType } = JSON.parse(got.body.toString());
          expect(mediaType).toBe(MEDIA.ociIndex);
          found.push(...manifests.map((one: { digest: string }) => one.digest));
          path = /^<(\/v2\/[^>]+)>; rel="next"$/.exec(got.headers['link']?.toString() ?? '')?.[1] ?? '';
        }
        expect([found, asked]).toEqual([digests, pages]);
      }
    },
  );

  test('no layers, null for a list or a subject: taken, and read back as they are', async () => {
    await cluster.push(repo, config);
    const { layers: _, ...none } = JSON.parse(imageOf().toString());
    const { manifests: __, ...bare } = JSON.parse(indexOf([]).toString());
    for (const [document, type] of [
      [none, MEDIA.ociManifest],
      [{ ...none, layers: null, subject: null, manifests: null }, MEDIA.ociManifest],
      [bare, MEDIA.ociIndex],
      [{ ...bare, manifests: null, subject: null, layers: null }, MEDIA.ociIndex],
    ] as const) {
      const bytes = Buffer.from(JSON.stringify(document));
      const answer = await put('odd', bytes, type);
      expect([answer.status, answer.headers['oci-subject']]).toEqual([201, undefined]);
      const got = await get('odd');
      expect([got.headers['content-type'], got.body.equals(bytes)]).toEqual([type, true]);
    }
  });
});

describe('deletion', () => {
  test('a tag goes alone, a manifest with its tags, a blob from its repository only', async () => {
    const { digest } = await pushImage('v1');
    await pushImage('v2');
    const remove = (path: string) => cluster.proxy.send('DELETE', `/v2/${repo}/${path}`);
    expect((await remove('manifests/v1')).status).toBe(202);
    expect((await remove('manifests/v1')).status).toBe(404);
    expect([(await get('v1')).status, (await get('v2')).status]).toEqual([404, 200]);
    expect((await remove(`manifests/${digest}`)).status).toBe(202);
    expect([(await get('v2')).status, (await get(digest)).status]).toEqual([404, 404]);
    expect(code(await remove(`manifests/${digest}`))).toBe('MANIFEST_UNKNOWN');
    await cluster.push('other', layer);
    const blob = `blobs/${digestOfBytes(layer)}`;
    expect((await remove(blob)).status).toBe(202);
    expect(code(await remove(blob))).toBe('BLOB_UNKNOWN');
    expect((await cluster.proxy.send('GET', `/v2/${repo}/${blob}`)).status).toBe(404);
    expect((await cluster.proxy.send('GET', `/v2/other/${blob}`)).status).toBe(200);
  });
});

test('origins are asked for metainfo in the repository that the client names, and for a mount in the one that it is for', async () => {
  const { digest } = await pushImage('v1');
  for (const path of ['manifests/v1', `manifests/${digest}`, `blobs/${digestOfBytes(layer)}`])
    expect((await cluster.proxy.send('HEAD', `/v2/${repo}/${path}`)).status, path).toBe(200);
  const asked = (): Set<string | undefined> => new Set(cluster.origins.flatMap((origin) => origin.askedIn));
  expect(asked()).toEqual(new Set([repo]));
  const mount = `mount=${digestOfBytes(layer)}&from=${encodeURIComponent(repo)}`;
  for (const origin of cluster.origins) origin.askedIn.length = 0;
  expect((await cluster.proxy.send('POST', `/v2/another/blobs/uploads/?${mount}`)).status).toBe(201);
  expect(asked()).toEqual(new Set(['another']));
});
