/** Any one origin of three may die, hang, fill up or leave at any moment of a push: it goes on, and as many hold it as must. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Answer, digestOfBytes, TestCluster, TestProxy } from './testing/cluster.ts';
import type { FakeOrigin, OriginFaults } from './testing/fake-origin.ts';

const mebibyte = 1024 * 1024;
const content = Buffer.alloc(3 * mebibyte, 'seven..');
const digest = digestOfBytes(content);

let cluster: TestCluster;
const others: TestProxy[] = [];
afterEach(async () => {
  await cluster.close();
  await Promise.all(others.splice(0).map((proxy) => proxy.close()));
});

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const message = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].message;
const begin = async (proxy = cluster.proxy): Promise<string> =>
  String((await proxy.send('POST', '/v2/a/blobs/uploads/')).headers.location);
const started = async (origins = 3): Promise<void> => {
  cluster = await TestCluster.start({ origins, required: 2, originStallMs: 400 });
};
/** An origin that receives the upload, and one that does not. */
function partsOf(): { in: FakeOrigin; out: FakeOrigin } {
  const receives = (origin: FakeOrigin): boolean => origin.uploads.size > 0;
  return {
    in: cluster.origins.find(receives) as FakeOrigin,
    out: cluster.origins.find((o) => !receives(o)) as FakeOrigin,
  };
}
const patch = async (location: string, body: Buffer): Promise<string> => {
  const answer = await cluster.proxy.send('PATCH', location, { body, streamed: true });
  expect([answer.status, answer.body.toString()]).toEqual([202, '']);
  return String(answer.headers.location);
};
const put = (location: string, body?: Buffer): Promise<Answer> =>
  cluster.proxy.send('PUT', `${location}?digest=${digest}`, body === undefined ? {} : { body });

describe('of three origins, two required, one', () => {
  test.each<[string, OriginFaults]>([
    ['is cut off', { cutUploadAt: mebibyte }],
    ['hangs', { hangUploadAt: mebibyte }],
    ['takes nothing more', { stallUploadAt: mebibyte }],
    ['is full', { fullAt: mebibyte }],
  ])('%s in mid-upload: another one takes the blob over', async (_, faults) => {
    await started();
    const location = await begin();
    const { in: failing, out } = partsOf();
    failing.faults = faults;
    const patched = await patch(location, content);
    expect(out.blobs.size).toBe(0);
    expect((await put(patched)).status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('dies between two requests: the upload goes on with the other', async () => {
    await started();
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    await partsOf().in.kill();
    const further = await patch(patched, content.subarray(mebibyte, 2 * mebibyte));
    expect((await put(further, content.subarray(2 * mebibyte))).status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test.each<[string, OriginFaults]>([
    ['fails', { commitError: 'STORAGE_FULL' }],
    ['finds another digest, as a byte went wrong on the way there', { commitError: 'DIGEST_INVALID' }],
    ['does not answer', { commitError: 'UNAVAILABLE' }],
  ])('%s at the commit: the third takes the blob over', async (_, faults) => {
    await started();
    const patched = await patch(await begin(), content);
    const { in: failing, out } = partsOf();
    failing.faults = faults;
    expect((await put(patched)).status).toBe(201);
    expect([cluster.holders(content), out.blobs.size, failing.blobs.size]).toEqual([2, 1, 0]);
  });

  test('hangs after the commit, whose answer is lost: asked again it is the same', async () => {
    await started();
    const patched = await patch(await begin(), content);
    const { in: one } = partsOf();
    expect((await put(patched)).status).toBe(201);
    one.faults = { hang: true };
    expect((await put(patched)).status).toBe(201);
  });
});

test('whoever is to take it over and gets no piece is passed over', async () => {
  await started(4);
  const location = await begin();
  const { in: failing } = partsOf();
  const spare = cluster.origins.filter(({ uploads }) => uploads.size === 0);
  (spare[0] as FakeOrigin).faults = { fetchesNothing: true };
  failing.faults = { commitError: 'STORAGE_FULL' };
  const patched = await patch(location, content);
  expect((await put(patched)).status).toBe(201);
  expect([cluster.holders(content), (spare[1] as FakeOrigin).blobs.size]).toEqual([2, 1]);
});

describe('of two origins, both required, one that dies in mid-upload', () => {
  test('is needed: the answer says so at once, and nothing is acknowledged', async () => {
    await started(2);
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    await (cluster.origins[0] as FakeOrigin).kill();
    const refused = await cluster.proxy.send('PATCH', patched, { body: content.subarray(mebibyte), streamed: true });
    expect([refused.status, code(refused), refused.headers['retry-after']]).toEqual([503, 'UNAVAILABLE', '1']);
  });

  test('takes the blob over when it is back, without what it had of it', async () => {
    await started(2);
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    const one = cluster.origins[0] as FakeOrigin;
    const port = Number(new URL(one.url).port);
    await one.kill();
    await one.listen(port);
    expect((await put(patched, content.subarray(mebibyte))).status).toBe(201);
    expect([cluster.holders(content), one.blobs.size]).toEqual([2, 1]);
  });

  test('where none that has every byte is left, the client is told to begin anew', async () => {
    await started(2);
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    for (const origin of cluster.origins) origin.uploads.clear();
    const lost = await put(patched, content.subarray(mebibyte));
    expect([lost.status, code(lost), message(lost)]).toEqual([
      404,
      'BLOB_UPLOAD_UNKNOWN',
      expect.stringContaining('begin a new one'),
    ]);
  });
});

describe('a proxy whose list of origins is another one', () => {
  const proxyOf = async (urls: readonly string[]): Promise<TestProxy> => {
    const origins = { urls, copies: 2, required: 2 };
    const proxy = await TestProxy.start({ index: cluster.index, origins, originStallMs: 400 });
    others.push(proxy);
    return proxy;
  };
  const finish = (proxy: TestProxy, location: string): Promise<Answer> =>
    proxy.send('PUT', `${location}?digest=${digest}`, { body: content.subarray(mebibyte) });

  test('goes on with the origin that it knows', async () => {
    await started();
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    const { in: left } = partsOf();
    const proxy = await proxyOf(cluster.origins.filter((origin) => origin !== left).map(({ url }) => url));
    expect((await finish(proxy, patched)).status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('goes on with origins that have other addresses since', async () => {
    await started();
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    const proxy = await proxyOf(cluster.origins.map(({ url }) => url.replace('127.0.0.1', 'localhost')));
    const status = await proxy.send('GET', patched);
    expect([status.status, status.headers.range]).toEqual([204, `0-${mebibyte - 1}`]);
    expect((await finish(proxy, String(status.headers.location))).status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('does not say that there is no such upload as long as one that may have it is silent', async () => {
    await started();
    const patched = await patch(await begin(), content.subarray(0, mebibyte));
    const { in: one, out } = partsOf();
    const proxy = await proxyOf([one.url.replace('127.0.0.1', 'localhost'), out.url]);
    one.faults = { hang: true };
    const silent = await finish(proxy, patched);
    expect([silent.status, code(silent)]).toEqual([503, 'UNAVAILABLE']);
    one.faults = {};
    await sleep(100);
    const known = await proxyOf([out.url]);
    const unknown = await finish(known, patched);
    expect([unknown.status, code(unknown)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  });
});
