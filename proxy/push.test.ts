/** Pushing blobs, as OCI distribution 1.1 says and as docker does it, over real HTTP. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestOfBytes, TestCluster } from './testing/cluster.ts';

const content = Buffer.from('a layer of some bytes, long enough to be cut in several chunks');
const digest = digestOfBytes(content);
const absent = `sha256:${'0'.repeat(64)}`;

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.close());

const begin = async (repo = 'library/app', query = ''): Promise<string> => {
  const answer = await cluster.proxy.send('POST', `/v2/${repo}/blobs/uploads/${query}`);
  expect(answer.status).toBe(202);
  return String(answer.headers.location);
};
const code = (body: Buffer): string => JSON.parse(body.toString()).errors[0].code;

describe('push', () => {
  test('as docker: HEAD, POST, PATCH without a length, PUT without a body', async () => {
    const { proxy } = cluster;
    expect((await proxy.send('HEAD', `/v2/library/app/blobs/${digest}`)).status).toBe(404);
    const begun = await proxy.send('POST', '/v2/library/app/blobs/uploads/');
    expect(begun.status).toBe(202);
    expect(begun.headers.range).toBe('0-0');
    expect(begun.headers['docker-upload-uuid']).toMatch(/^[a-z0-9-]{16,64}$/);
    expect(begun.headers['content-length']).toBe('0');
    const patched = await proxy.send('PATCH', String(begun.headers.location), { body: content, streamed: true });
    expect(patched.status).toBe(202);
    expect(patched.headers.range).toBe(`0-${content.length - 1}`);
    expect(cluster.holders(content)).toBe(0);
    expect((await proxy.send('HEAD', `/v2/library/app/blobs/${digest}`)).status).toBe(404);
    const put = await proxy.send('PUT', `${patched.headers.location}?digest=${digest}`);
    expect(put.status).toBe(201);
    expect(put.headers['docker-content-digest']).toBe(digest);
    expect(put.headers.location).toBe(`/v2/library/app/blobs/${digest}`);
    expect(cluster.holders(content)).toBe(2);
    const got = await proxy.send('GET', String(put.headers.location));
    expect([got.status, got.body.equals(content)]).toEqual([200, true]);
  });

  test('POST then PUT with the whole body', async () => {
    const location = await begin();
    const put = await cluster.proxy.send('PUT', `${location}?digest=${digest}`, { body: content });
    expect(put.status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('in one POST', async () => {
    await cluster.push('a/b/c/d', content);
    expect(cluster.holders(content)).toBe(2);
  });

  test.each([true, false])('a blob of zero bytes (in one POST: %s)', async (single) => {
    const empty = digestOfBytes(Buffer.alloc(0));
    if (single) await cluster.push('library/app', Buffer.alloc(0));
    else expect((await cluster.proxy.send('PUT', `${await begin()}?digest=${empty}`)).status).toBe(201);
    const got = await cluster.proxy.send('GET', `/v2/library/app/blobs/${empty}`, { headers: { range: 'bytes=0-' } });
    expect([got.status, got.headers['content-length'], got.body.length]).toEqual([200, '0', 0]);
  });

  test('in chunks with Content-Range, the last one with the PUT', async () => {
    let location = await begin();
    for (const [first, last] of [
      [0, 9],
      [10, 19],
    ] as const) {
      const headers = { 'content-range': `${first}-${last}` };
      const answer = await cluster.proxy.send('PATCH', location, { headers, body: content.subarray(first, last + 1) });
      expect([answer.status, answer.headers.range]).toEqual([202, `0-${last}`]);
      location = String(answer.headers.location);
    }
    const status = await cluster.proxy.send('GET', location);
    expect([status.status, status.headers.range, status.headers.location]).toEqual([204, '0-19', location]);
    const headers = { 'content-range': `20-${content.length - 1}` };
    const put = await cluster.proxy.send('PUT', `${location}?digest=${digest}`, {
      headers,
      body: content.subarray(20),
    });
    expect(put.status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('a chunk out of order, or sent twice, answers 416 with where the upload stands', async () => {
    const location = await begin();
    const early = await cluster.proxy.send('PATCH', location, {
      headers: { 'content-range': '5-9' },
      body: content.subarray(5, 10),
    });
    expect([early.status, early.headers.range, code(early.body)]).toEqual([416, '0-0', 'BLOB_UPLOAD_RANGE']);
    const first = { headers: { 'content-range': '0-9' }, body: content.subarray(0, 10) };
    const next = String((await cluster.proxy.send('PATCH', location, first)).headers.location);
    for (const at of [location, next]) {
      const again = await cluster.proxy.send('PATCH', at, first);
      expect([again.status, again.headers.range]).toEqual([416, '0-9']);
    }
    const rest = { headers: { 'content-range': `10-${content.length - 1}` }, body: content.subarray(10) };
    const last = await cluster.proxy.send('PATCH', next, rest);
    expect((await cluster.proxy.send('PUT', `${last.headers.location}?digest=${digest}`)).status).toBe(201);
  });

  test('a Content-Range that is malformed, or of another length than the body, is refused', async () => {
    const location = await begin();
    for (const range of ['9-0', 'x-y', '0-5', '0-']) {
      const answer = await cluster.proxy.send('PATCH', location, {
        headers: { 'content-range': range },
        body: content,
      });
      expect([range, answer.status, code(answer.body)]).toEqual([range, 400, 'BLOB_UPLOAD_INVALID']);
    }
    expect((await cluster.proxy.send('GET', location)).headers.range).toBe('0-0');
  });

  test('a wrong digest keeps nothing', async () => {
    const put = await cluster.proxy.send('PUT', `${await begin()}?digest=${absent}`, { body: content });
    expect([put.status, code(put.body)]).toEqual([400, 'DIGEST_INVALID']);
    expect(cluster.origins.map((origin) => [origin.blobs.size, origin.uploads.size])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect((await cluster.proxy.send('HEAD', `/v2/library/app/blobs/${absent}`)).status).toBe(404);
  });

  test.each(['', '?digest=', '?digest=sha256:12', '?digest=md5:00', `?digest=${digest.toUpperCase()}`])(
    'PUT with a malformed digest (%s) is DIGEST_INVALID and leaves the upload',
    async (query) => {
      const location = await begin();
      const put = await cluster.proxy.send('PUT', location + query, { body: content });
      expect([put.status, code(put.body)]).toEqual([400, 'DIGEST_INVALID']);
      expect((await cluster.proxy.send('GET', location)).status).toBe(204);
    },
  );

  test('sha512: named when the upload begins, with the whole body, or only at the end', async () => {
    const long = digestOfBytes(content, 'sha512');
    for (const query of ['?digest-algorithm=sha512', '']) {
      const location = await begin('library/app', query);
      const patched = await cluster.proxy.send('PATCH', location, { body: content, streamed: true });
      expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${long}`)).status).toBe(201);
      expect(cluster.holders(content, 'sha512')).toBe(2);
      for (const origin of cluster.origins) origin.blobs.clear();
    }
    expect((await cluster.proxy.send('PUT', `${await begin()}?digest=${long}`, { body: content })).status).toBe(201);
    expect(cluster.holders(content, 'sha512')).toBe(2);
    const bad = await cluster.proxy.send('POST', '/v2/a/blobs/uploads/?digest-algorithm=md5');
    expect([bad.status, code(bad.body)]).toEqual([400, 'DIGEST_INVALID']);
  });

  test('cancel, and what is not an upload', async () => {
    const { proxy } = cluster;
    const location = await begin();
    expect((await proxy.send('DELETE', location)).status).toBe(204);
    expect(cluster.origins.every((origin) => origin.uploads.size === 0)).toBe(true);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const answer = await proxy.send(method, location, method === 'PATCH' ? { body: content } : {});
      expect([method, answer.status, code(answer.body)]).toEqual([method, 404, 'BLOB_UPLOAD_UNKNOWN']);
    }
    const session = location.slice(location.lastIndexOf('/') + 1);
    const forged = [
      `/v2/other/repo/blobs/uploads/${session}`,
      '/v2/library/app/blobs/uploads/x',
      location.replace(/\.[0-9a-f]{12}$/, `.${'0'.repeat(12)}`),
      location.replace('.sha256.', '.md5.'),
      location.replace('.sha256.', '.constructor.'),
    ];
    for (const path of forged) {
      const answer = await proxy.send('PATCH', path, { body: content });
      expect([path, answer.status, code(answer.body)]).toEqual([path, 404, 'BLOB_UPLOAD_UNKNOWN']);
    }
  });

  test('mount: linked where the other repository holds it, an upload otherwise', async () => {
    await cluster.push('library/base', content);
    const mount = (from: string) => cluster.proxy.send('POST', `/v2/library/app/blobs/uploads/?mount=${digest}${from}`);
    for (const from of ['', '&from=', '&from=../x', '&from=%zz', '&from=library/none', '&from=other']) {
      const answer = await mount(from);
      expect([from, answer.status]).toEqual([from, 202]);
      expect(answer.headers.location).toMatch(/^\/v2\/library\/app\/blobs\/uploads\/./);
    }
    expect((await cluster.proxy.send('HEAD', `/v2/library/app/blobs/${digest}`)).status).toBe(404);
    const mounted = await mount('&from=library/base');
    expect([mounted.status, mounted.headers.location]).toEqual([201, `/v2/library/app/blobs/${digest}`]);
    expect((await cluster.proxy.send('GET', `/v2/library/app/blobs/${digest}`)).body.equals(content)).toBe(true);
  });

  test('a blob that the origins have lost is not mounted, and HEAD lets it be pushed again', async () => {
    await cluster.push('library/base', content);
    for (const origin of cluster.origins) origin.blobs.clear();
    const query = `?mount=${digest}&from=library/base`;
    expect((await cluster.proxy.send('POST', `/v2/b/blobs/uploads/${query}`)).status).toBe(202);
    expect((await cluster.proxy.send('HEAD', `/v2/library/base/blobs/${digest}`)).status).toBe(404);
    const got = await cluster.proxy.send('GET', `/v2/library/base/blobs/${digest}`);
    expect([got.status, code(got.body)]).toEqual([404, 'BLOB_UNKNOWN']);
    await cluster.push('library/base', content);
    expect((await cluster.proxy.send('HEAD', `/v2/library/base/blobs/${digest}`)).status).toBe(200);
  });

  test('a PUT that is repeated, since its answer was lost, is 201 again', async () => {
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    const path = `${patched.headers.location}?digest=${digest}`;
    for (let i = 0; i < 2; i++) expect((await cluster.proxy.send('PUT', path)).status).toBe(201);
  });
});
