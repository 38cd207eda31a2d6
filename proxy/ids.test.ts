/** Uploads by the ids of origins: which leave the list, come back at another address, or are unknown to a proxy for a while. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CallContext } from '../platform/clients/context.ts';
import { ToldList } from '../platform/members/list.ts';
import { type Answer, digestOfBytes, TestCluster, TestProxy } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const mebibyte = 1024 * 1024;
const content = Buffer.alloc(2 * mebibyte, 'seven..');
const digest = digestOfBytes(content);

let cluster: TestCluster;
let proxies: TestProxy[];
beforeEach(async () => {
  cluster = await TestCluster.start({ origins: 3, required: 2 });
  cluster.origins.forEach((origin, no) => {
    origin.id = (no + 1).toString(16).padStart(32, '0');
  });
  proxies = [];
});
afterEach(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await cluster.close();
});

const urls = (): string[] => cluster.origins.map(({ url }) => url);
const elsewhere = (url: string): string => url.replace('127.0.0.1', 'localhost');
async function proxyOf(list: ToldList): Promise<TestProxy> {
  const origins = { urls: [], list, ids: true, copies: 2, required: 2 };
  const proxy = await TestProxy.start({ index: cluster.index, origins, originStallMs: 400 });
  proxies.push(proxy);
  return proxy;
}
async function begun(proxy: TestProxy): Promise<string> {
  const location = String((await proxy.send('POST', '/v2/a/blobs/uploads/')).headers.location);
  const patched = await proxy.send('PATCH', location, { body: content.subarray(0, mebibyte), streamed: true });
  expect(patched.status).toBe(202);
  return String(patched.headers.location);
}
const finish = (proxy: TestProxy, location: string): Promise<Answer> =>
  proxy.send('PUT', `${location}?digest=${digest}`, { body: content.subarray(mebibyte) });
const receiving = (): FakeOrigin[] => cluster.origins.filter(({ uploads }) => uploads.size > 0);
const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;

test('it names ids: with other addresses it goes on, and nobody else is asked for it', async () => {
  const location = await begun(await proxyOf(new ToldList(urls())));
  const moved = await proxyOf(new ToldList(urls().map(elsewhere)));
  // Any push waits until it is known who is there.
  await moved.send('POST', `/v2/b/blobs/uploads/`);
  const [spare] = cluster.origins.filter((origin) => !receiving().includes(origin));
  if (spare !== undefined) spare.faults = { beginError: 'UNKNOWN' };
  const asked = cluster.origins.map((origin) => origin.requests);
  expect((await finish(moved, location)).status).toBe(201);
  expect(cluster.holders(content)).toBe(2);
  expect(cluster.origins.filter((origin, no) => origin.requests > (asked[no] ?? 0) + 4).length).toBeLessThanOrEqual(2);
});

test('a Location of a proxy that knew URLs only is understood', async () => {
  const location = await begun(cluster.proxy);
  const proxy = await proxyOf(new ToldList(urls()));
  await proxy.send('POST', `/v2/b/blobs/uploads/`);
  expect((await finish(proxy, location)).status).toBe(201);
  expect(cluster.holders(content)).toBe(2);
});

test('one of its origins leaves the list: it goes on, and lies on as many as before', async () => {
  const list = new ToldList(urls());
  const proxy = await proxyOf(list);
  const location = await begun(proxy);
  const [left] = receiving();
  list.tell(urls().filter((url) => url !== left?.url));
  expect((await finish(proxy, location)).status).toBe(201);
  expect(cluster.holders(content)).toBe(2);
  expect(left?.blobs.size).toBe(0);
});

test('with one of two origins out of the list for a moment, fewer copies are not enough, and nothing is said to be nowhere', async () => {
  const two = urls().slice(0, 2);
  const list = new ToldList(two);
  const proxy = await proxyOf(list);
  const [one] = cluster.origins as [FakeOrigin];
  const only = one.hold(Buffer.from('only here'));
  await cluster.index.linkBlob('a', only, { size: 9 }, CallContext.begin());
  expect((await proxy.send('HEAD', `/v2/a/blobs/${only}`)).status).toBe(200);
  list.tell(two.slice(1));
  const push = await proxy.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content });
  expect([push.status, code(push)]).toEqual([503, 'UNAVAILABLE']);
  expect((await proxy.send('HEAD', `/v2/a/blobs/${only}`)).status).toBe(503);
  expect((await proxy.send('GET', `/v2/a/blobs/${only}`)).status).toBe(503);
  list.tell([two[1] as string, elsewhere(two[0] as string)]);
  await sleep(200);
  await expect.poll(async () => (await proxy.send('HEAD', `/v2/a/blobs/${only}`)).status).toBe(200);
  expect((await proxy.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content })).status).toBe(201);
});
