/** Reads of blobs, whole, in part and on conditions, and what a path may look like, over real HTTP. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CallContext } from '../platform/clients/context.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';

const repo = 'library/app';
const ctx = CallContext.begin({ requestId: 'test' });
const layer = Buffer.from('layer');

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
describe('reading blobs', () => {
  const blob = Buffer.from('0123456789');
  const path = `/v2/${repo}/blobs/${digestOfBytes(blob)}`;

  test.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=0-0,5-6', 200, '0123456789', undefined],
    ['lines=1-2', 200, '0123456789', undefined],
    ['bytes=5-2', 200, '0123456789', undefined],
  ])('Range %s', async (range, status, body, contentRange) => {
    await cluster.push(repo, blob);
    const got = await cluster.proxy.send('GET', path, { headers: { range } });
    expect([got.status, got.body.toString(), got.headers['content-range']]).toEqual([status, body, contentRange]);
    expect(got.headers['content-length']).toBe(String(body.length));
    const head = await cluster.proxy.send('HEAD', path, { headers: { range } });
    expect([head.status, head.body.length, head.headers['accept-ranges']]).toEqual([status, 0, 'bytes']);
  });

  test('outside of it is 416 with the size', async () => {
    await cluster.push(repo, blob);
    for (const range of ['bytes=10-', 'bytes=10-20', 'bytes=-0']) {
      const got = await cluster.proxy.send('GET', path, { headers: { range } });
      expect([got.status, code(got), got.headers['content-range']]).toEqual([416, 'RANGE_INVALID', 'bytes */10']);
    }
  });

  test('conditional: If-None-Match is 304, If-Range of another content is the whole', async () => {
    await cluster.push(repo, blob);
    const etag = String((await cluster.proxy.send('HEAD', path)).headers.etag);
    expect(etag).toBe(`"${digestOfBytes(blob)}"`);
    const send = (headers: Record<string, string>) => cluster.proxy.send('GET', path, { headers });
    expect((await send({ 'if-none-match': `"x", W/${etag}` })).status).toBe(304);
    expect((await send({ 'if-none-match': '"x"' })).status).toBe(200);
    expect((await send({ range: 'bytes=1-1', 'if-range': etag })).body.toString()).toBe('1');
    expect((await send({ range: 'bytes=1-1', 'if-range': '"x"' })).body.length).toBe(10);
  });
});

describe('paths', () => {
  test('/v2/ says yes to whoever asks', async () => {
    for (const path of ['/v2/', '/v2']) {
      const answer = await cluster.proxy.send('GET', path);
      expect([answer.status, answer.body.toString()]).toEqual([200, '{}']);
      expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
    }
  });

  test.each([
    ['GET', '/v2/../../etc/passwd'],
    ['GET', '/v2/..%2f..%2fetc/manifests/x'],
    ['GET', '/v2/%2e%2e/%2e%2e/etc/manifests/x'],
    ['GET', '/v2/a/../b/blobs/uploads/x'],
    ['PUT', '/v2/a/manifests/..%2f..%2fx'],
    ['PUT', '/v2/a%2fb/manifests/x'],
    ['POST', '/v2/A/blobs/uploads/'],
    ['POST', '/v2//blobs/uploads/'],
    ['GET', '/v2/a//b/tags/list'],
    ['GET', '/v2/a/tags/list/'],
    ['GET', '/v2/a%00b/tags/list'],
    ['GET', '/v2/a/%zz/tags/list'],
    ['GET', `/v2/${'a'.repeat(256)}/tags/list`],
    ['PUT', `/v2/a/manifests/${'t'.repeat(129)}`],
    ['GET', '/v2/a/blobs/sha256:..%2f'],
    ['GET', '/v2/a/blobs/../../x'],
    ['PATCH', '/v2/a/blobs/uploads/..%2f..%2fx'],
    ['PATCH', '/v2/a/blobs/uploads/%2e%2e'],
  ])('%s %s is refused with an OCI error, and nothing is asked of anyone', async (method, path) => {
    const answer = await cluster.proxy.send(method, path, method === 'GET' ? {} : { body: 'x' });
    expect([400, 404]).toContain(answer.status);
    expect(code(answer)).toMatch(
      /^(NAME_INVALID|TAG_INVALID|DIGEST_INVALID|NOT_FOUND|REQUEST_INVALID|BLOB_UPLOAD_UNKNOWN)$/,
    );
    expect((await cluster.index.catalog({ n: 1 }, ctx)).repositories).toEqual([]);
    expect(cluster.origins.every((origin) => origin.uploads.size + origin.blobs.size === 0)).toBe(true);
  });

  test('a method that the path does not take is 405 with Allow', async () => {
    for (const [method, path, allow] of [
      ['PUT', '/v2/', 'GET, HEAD'],
      ['POST', '/v2/a/manifests/x', 'GET, HEAD, PUT, DELETE'],
      ['PUT', '/v2/a/blobs/uploads/', 'POST'],
      ['PATCH', `/v2/a/blobs/sha256:${'0'.repeat(64)}`, 'GET, HEAD, DELETE'],
    ] as const) {
      const answer = await cluster.proxy.send(method, path);
      expect([answer.status, code(answer), answer.headers.allow]).toEqual([405, 'UNSUPPORTED', allow]);
    }
  });

  test('a digest whose colon is encoded, and components called like routes', async () => {
    await cluster.push('blobs/uploads/manifests', layer);
    const encoded = digestOfBytes(layer).replace(':', '%3A');
    const got = await cluster.proxy.send('GET', `/v2/blobs/uploads/manifests/blobs/${encoded}`);
    expect([got.status, got.body.equals(layer)]).toEqual([200, true]);
    const long = Array.from({ length: 64 }, () => 'abc').join('/');
    await cluster.push(long, layer);
    expect((await cluster.proxy.send('HEAD', `/v2/${long}/blobs/${digestOfBytes(layer)}`)).status).toBe(200);
  });
});
