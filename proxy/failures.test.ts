/** What goes wrong while blobs are pushed and read: clients, origins and proxies that fail midway. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const mebibyte = 1024 * 1024;
const content = Buffer.alloc(3 * mebibyte, 'seven..');
const digest = digestOfBytes(content);

let cluster: TestCluster;
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const message = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].message;
const begin = async (proxy = cluster.proxy): Promise<string> =>
  String((await proxy.send('POST', '/v2/a/blobs/uploads/')).headers.location);

/** Until `ready` holds; the test's own limit ends it otherwise. */
async function until(ready: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ready())) await sleep(5);
}

/** Sends the first `bytes` of the content, waits until the origins have some, and cuts the connection. */
async function cutUpload(location: string, bytes: number): Promise<void> {
  const request = cluster.proxy.open('PATCH', location);
  request.on('error', () => undefined);
  request.write(content.subarray(0, bytes));
  await until(() => cluster.origins.every((origin) => origin.received > 0));
  request.destroy();
  await until(() => cluster.origins.every((origin) => [...origin.uploads.values()].every(({ busy }) => !busy)));
}

describe('a client that is cut', () => {
  test('finds its upload where the bytes ended, and goes on from there', async () => {
    cluster = await TestCluster.start();
    const location = await begin();
    await cutUpload(location, 2 * mebibyte);
    expect((await cluster.proxy.send('HEAD', `/v2/a/blobs/${digest}`)).status).toBe(404);
    const status = await cluster.proxy.send('GET', location);
    const at = Number(String(status.headers.range).split('-')[1]) + 1;
    expect(at).toBeGreaterThan(0);
    const headers = { 'content-range': `${at}-${content.length - 1}` };
    const path = `${status.headers.location}?digest=${digest}`;
    const put = await cluster.proxy.send('PUT', path, { headers, body: content.subarray(at) });
    expect(put.status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('origins that were left at different offsets are brought together again', async () => {
    cluster = await TestCluster.start();
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    const location = await begin();
    await cluster.proxy.send('PATCH', location, { body: content.subarray(0, 1000) });
    const id = [...one.uploads.keys()][0] as string;
    // One of them holds 500 bytes more, as after a cut in mid-chunk.
    const ahead = one.uploads.get(id);
    ahead?.chunks.push(content.subarray(1000, 1500));
    ahead?.hash.update(content.subarray(1000, 1500));
    if (ahead !== undefined) ahead.offset = 1500;
    const status = await cluster.proxy.send('GET', location);
    expect(status.headers.range).toBe('0-999');
    // Without a Content-Range it is unclear what a client that was cut goes on with.
    const unclear = await cluster.proxy.send('PATCH', location, { body: content.subarray(1000), streamed: true });
    expect([unclear.status, unclear.headers.range]).toEqual([416, '0-999']);
    const path = `${status.headers.location}?digest=${digest}`;
    expect((await cluster.proxy.send('PUT', path, { body: content.subarray(1000), streamed: true })).status).toBe(201);
    expect([cluster.holders(content), two.blobs.size]).toEqual([2, 1]);
  });

  test('a refusal is read even by a client that is still sending', async () => {
    cluster = await TestCluster.start();
    const big = Buffer.alloc(20 * mebibyte);
    const headers = { 'content-range': `5-${big.length + 4}` };
    const answer = await cluster.proxy.send('PATCH', await begin(), { headers, body: big });
    expect([answer.status, answer.headers.connection]).toEqual([416, 'close']);
  });
});

describe('an origin that fails', () => {
  test('before the upload begins: the next one takes its place', async () => {
    cluster = await TestCluster.start({ origins: 3 });
    await (cluster.origins[0] as FakeOrigin).kill();
    (cluster.origins[1] as FakeOrigin).faults = { beginError: 'TOOMANYREQUESTS' };
    for (let i = 0; i < 3; i++) {
      const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
      expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`)).status).toBe(201);
    }
    expect(cluster.holders(content)).toBe(1);
  });

  test.each(['cutUploadAt', 'stallUploadAt'] as const)('in mid-stream (%s): the other goes on', async (fault) => {
    cluster = await TestCluster.start({ originStallMs: 300 });
    (cluster.origins[0] as FakeOrigin).faults = { [fault]: mebibyte };
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content, streamed: true });
    expect([patched.status, patched.headers.range]).toEqual([202, `0-${content.length - 1}`]);
    expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`)).status).toBe(201);
    expect(cluster.holders(content)).toBe(1);
    expect((await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`)).body.equals(content)).toBe(true);
  });

  test('one that lost acknowledged bytes has no part in what follows', async () => {
    cluster = await TestCluster.start();
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content.subarray(0, 1000) });
    (cluster.origins[0] as FakeOrigin).uploads.clear();
    const put = `${patched.headers.location}?digest=${digest}`;
    expect((await cluster.proxy.send('PUT', put, { body: content.subarray(1000) })).status).toBe(201);
    expect(cluster.holders(content)).toBe(1);
  });

  test('an origin that is full in mid-upload says so, though the upload is gone then', async () => {
    cluster = await TestCluster.start({ origins: 1 });
    (cluster.origins[0] as FakeOrigin).faults = { fullAt: mebibyte };
    const put = await cluster.proxy.send('PUT', `${await begin()}?digest=${digest}`, { body: content });
    expect([put.status, code(put)]).toEqual([507, 'STORAGE_FULL']);
    const post = await cluster.proxy.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content });
    expect([post.status, code(post)]).toEqual([507, 'STORAGE_FULL']);
  });

  test('where both are required, one is not enough', async () => {
    cluster = await TestCluster.start({ required: 2, originStallMs: 300 });
    (cluster.origins[0] as FakeOrigin).faults = { commitError: 'STORAGE_FULL' };
    const put = await cluster.proxy.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content });
    expect([put.status, code(put)]).toEqual([507, 'STORAGE_FULL']);
    expect((await cluster.proxy.send('HEAD', `/v2/a/blobs/${digest}`)).status).toBe(404);
  });

  test('where both are required and one is gone, the answer says how many it takes, and which setting says so', async () => {
    cluster = await TestCluster.start({ required: 2 });
    const location = await begin();
    const two = cluster.origins[1] as FakeOrigin;
    const need = /^2 origins must hold what is pushed \(`push.required` of the proxy\), and 1 can: .*do not answer/;
    two.faults = { commitError: 'UNAVAILABLE' };
    const put = await cluster.proxy.send('PUT', `${location}?digest=${digest}`, { body: content });
    expect([put.status, message(put)]).toEqual([503, expect.stringMatching(need)]);
    await two.kill();
    const post = await cluster.proxy.send('POST', '/v2/a/blobs/uploads/');
    expect([post.status, message(post)]).toEqual([503, expect.stringMatching(need)]);
    expect(message(post)).toContain(two.url);
  });

  test('where both are required and one refuses, nothing is left open on the other', async () => {
    cluster = await TestCluster.start({ required: 2 });
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    two.faults = { beginError: 'TOOMANYREQUESTS' };
    const refused = await cluster.proxy.send('POST', '/v2/a/blobs/uploads/');
    expect(refused.status).toBeGreaterThanOrEqual(429);
    await until(() => one.uploads.size === 0);
    two.faults = {};
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`)).status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('where both are required and one is full in mid-upload, the other keeps nothing of it', async () => {
    cluster = await TestCluster.start({ required: 2 });
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    two.faults = { fullAt: mebibyte };
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    expect([patched.status, code(patched)]).toEqual([507, 'STORAGE_FULL']);
    // Before the answer: whoever tries again at once finds the room.
    expect([one.uploads.size, two.uploads.size]).toEqual([0, 0]);
  });

  test('both: the answer is 503 and names them; the upload is unknown once they are back without it', async () => {
    cluster = await TestCluster.start();
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content.subarray(0, 10) });
    const ports = cluster.origins.map((origin) => Number(new URL(origin.url).port));
    await Promise.all(cluster.origins.map((origin) => origin.kill()));
    const location = String(patched.headers.location);
    for (const [method, path] of [
      ['POST', '/v2/a/blobs/uploads/'],
      ['GET', location],
      ['PATCH', location],
      ['PUT', `${location}?digest=${digest}`],
      ['PUT', '/v2/a/manifests/x'],
    ] as const) {
      const body = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}';
      const answer = await cluster.proxy.send(method, path, method === 'GET' ? {} : { body });
      expect([method, path, answer.status, code(answer)]).toEqual([method, path, 503, 'UNAVAILABLE']);
    }
    await Promise.all(cluster.origins.map((origin, i) => origin.listen(ports[i] as number)));
    const lost = await cluster.proxy.send('GET', location);
    expect([lost.status, code(lost)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  test('a commit whose answer is lost is asked again, and counts', async () => {
    cluster = await TestCluster.start({ required: 2 });
    const origin = cluster.origins[0] as FakeOrigin;
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    origin.faults = { loseCommitAnswer: true };
    const put = cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`);
    await until(() => origin.blobs.size > 0);
    origin.faults = {};
    expect((await put).status).toBe(201);
  });

  test('a read goes on at the next origin from the same byte; with none left it is cut, not ended', async () => {
    cluster = await TestCluster.start();
    await cluster.push('a', content);
    for (const origin of cluster.origins) origin.faults = { cutReadAt: mebibyte };
    const part = { headers: { range: `bytes=0-${2 * mebibyte - 1}` } };
    const got = await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`, part);
    expect(got.body.equals(content.subarray(0, 2 * mebibyte))).toBe(true);
    await expect(cluster.proxy.send('GET', `/v2/a/blobs/${digest}`)).rejects.toThrow();
    for (const origin of cluster.origins) await origin.kill();
    const none = await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`);
    expect([none.status, code(none)]).toEqual([503, 'UNAVAILABLE']);
    expect((await cluster.proxy.send('HEAD', `/v2/a/blobs/${digest}`)).status).toBe(503);
  });
});

describe('an index that fails', () => {
  test('nothing is acknowledged that it does not know; tags are never answered from memory', async () => {
    cluster = await TestCluster.start();
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    cluster.index.down = true;
    const path = `${patched.headers.location}?digest=${digest}`;
    for (const [method, target] of [
      ['PUT', path],
      ['GET', `/v2/a/blobs/${digest}`],
      ['GET', '/v2/a/manifests/latest'],
      ['GET', '/v2/a/tags/list'],
    ] as const) {
      const answer = await cluster.proxy.send(method, target);
      expect([target, answer.status, code(answer), answer.headers['retry-after']]).toEqual([
        target,
        503,
        'UNAVAILABLE',
        '1',
      ]);
    }
    cluster.index.down = false;
    // The origins committed it the first time, and say so again.
    expect((await cluster.proxy.send('PUT', path)).status).toBe(201);
  });

  test('one that is read only refuses pushes and deletions in words that no client repeats; pulls go on', async () => {
    cluster = await TestCluster.start();
    const pushed = await cluster.proxy.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content });
    expect(pushed.status).toBe(201);
    // What index/read-only.ts answers.
    const refused = async () => {
      throw new ApiError('UNSUPPORTED', 'read only now: pulls go on', { allow: ['GET', 'HEAD'] });
    };
    Object.assign(cluster.index, { linkBlob: refused, unlinkBlob: refused, mount: refused });
    for (const [method, target] of [
      ['POST', `/v2/b/blobs/uploads/?digest=${digest}`],
      ['POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`],
      ['DELETE', `/v2/a/blobs/${digest}`],
    ] as const) {
      const answer = await cluster.proxy.send(method, target, method === 'POST' ? { body: content } : {});
      expect([target, answer.status, code(answer), answer.headers.allow]).toEqual([
        ...[target, 405, 'UNSUPPORTED', 'GET, HEAD'],
      ]);
      expect(message(answer)).toContain('pulls go on');
    }
    expect((await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`)).status).toBe(200);
  });
});
