/** Origins that hang while blobs are pushed and read: what is waited for, how long, and who takes their place. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const mebibyte = 1024 * 1024;
const content = Buffer.alloc(3 * mebibyte, 'seven..');
const digest = digestOfBytes(content);

let cluster: TestCluster;
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const begin = async (proxy = cluster.proxy): Promise<string> =>
  String((await proxy.send('POST', '/v2/a/blobs/uploads/')).headers.location);

/** Until `ready` holds; the test's own limit ends it otherwise. */
async function until(ready: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ready())) await sleep(5);
}

describe('an origin that hangs', () => {
  test('is not waited for: the other one answers, and the next requests begin with that', async () => {
    cluster = await TestCluster.start();
    await cluster.push('a', content);
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    one.faults = { hang: true };
    one.requests = 0;
    two.requests = 0;
    for (let i = 0; i < 3; i++) {
      expect((await cluster.proxy.send('HEAD', `/v2/a/blobs/${digest}`)).status).toBe(200);
      expect((await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`)).body.equals(content)).toBe(true);
    }
    expect(one.requests).toBeLessThanOrEqual(1);
    expect(two.requests).toBe(6);
  });

  test('in mid-upload: the other goes on after two seconds, and the next push does not try it', async () => {
    cluster = await TestCluster.start({ originStallMs: 60_000 });
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    one.faults = { hangUploadAt: mebibyte };
    const begun = performance.now();
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content, streamed: true });
    expect([patched.status, patched.headers.range]).toEqual([202, `0-${content.length - 1}`]);
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`)).status).toBe(201);
    const asked = one.requests;
    await cluster.push('b', content);
    expect([one.requests, two.blobs.size]).toEqual([asked, 1]);
  });

  test('in mid-upload, where both are required: 503 within seconds; the upload goes on once it is back', async () => {
    cluster = await TestCluster.start({ required: 2, originStallMs: 60_000 });
    const [one] = cluster.origins as [FakeOrigin];
    one.faults = { hangUploadAt: mebibyte };
    const location = await begin();
    const begun = performance.now();
    const patched = await cluster.proxy.send('PATCH', location, { body: content, streamed: true });
    expect([patched.status, code(patched), patched.headers['retry-after']]).toEqual([503, 'UNAVAILABLE', '1']);
    const post = await cluster.proxy.send('POST', '/v2/a/blobs/uploads/');
    expect([post.status, code(post)]).toEqual([503, 'UNAVAILABLE']);
    expect(performance.now() - begun).toBeLessThan(7_000);
    one.faults = {};
    // As a client does that does not give up: ask where it stands, go on from there.
    await until(async () => {
      const status = await cluster.proxy.send('GET', location);
      const at = Number(String(status.headers.range).split('-')[1]) + 1;
      const path = `${status.headers.location}?digest=${digest}`;
      if (status.status !== 204 || at === content.length) return (await cluster.proxy.send('PUT', path)).status === 201;
      const headers = { 'content-range': `${at}-${content.length - 1}` };
      return (await cluster.proxy.send('PUT', path, { headers, body: content.subarray(at) })).status === 201;
    });
    expect(cluster.holders(content)).toBe(2);
  });

  test('in mid-upload, and the push ends at the other one: it drops what it has taken once it is back', async () => {
    cluster = await TestCluster.start({ required: 2, originStallMs: 60_000 });
    const [one, two] = cluster.origins as [FakeOrigin, FakeOrigin];
    one.faults = { hangUploadAt: mebibyte };
    two.faults = { fullAt: 2 * mebibyte };
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content, streamed: true });
    expect([patched.status, code(patched)]).toEqual([507, 'STORAGE_FULL']);
    expect([one.uploads.size, two.uploads.size]).toEqual([1, 0]);
    one.faults = {};
    await until(() => one.uploads.size === 0);
  });

  test('in mid-upload, and the push goes on without it: it drops what it has taken once it is back', async () => {
    cluster = await TestCluster.start({ originStallMs: 60_000 });
    const [one] = cluster.origins as [FakeOrigin, FakeOrigin];
    one.faults = { hangUploadAt: mebibyte };
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content, streamed: true });
    expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`)).status).toBe(201);
    expect(one.uploads.size).toBe(1);
    one.faults = {};
    await until(() => one.uploads.size === 0);
  });

  test('while an upload begins, and it is cancelled: it drops it once it is back', async () => {
    cluster = await TestCluster.start();
    const [one] = cluster.origins as [FakeOrigin, FakeOrigin];
    const location = await begin();
    one.faults = { hang: true };
    expect((await cluster.proxy.send('DELETE', location)).status).toBe(204);
    expect(one.uploads.size).toBe(1);
    one.faults = {};
    await until(() => one.uploads.size === 0);
  });

  test('a commit may take its time, on an origin that answers', async () => {
    cluster = await TestCluster.start({ required: 2 });
    for (const origin of cluster.origins) origin.faults = { commitMs: 4_000 };
    const patched = await cluster.proxy.send('PATCH', await begin(), { body: content });
    const put = cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`);
    // One of them hangs in the middle of it: that is known long before its limit.
    expect((await put).status).toBe(201);
    (cluster.origins[0] as FakeOrigin).faults = { hang: true };
    const begun = performance.now();
    const second = await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digest}`);
    expect([second.status, code(second)]).toEqual([503, 'UNAVAILABLE']);
    expect(performance.now() - begun).toBeLessThan(7_500);
  });

  test('in mid-read: the next one goes on from the same byte', async () => {
    cluster = await TestCluster.start();
    await cluster.push('a', content);
    for (const origin of cluster.origins) origin.faults = { hangReadAt: mebibyte };
    const first = cluster.proxy.send('GET', `/v2/a/blobs/${digest}`);
    await until(() => cluster.origins.some(({ faults }) => faults.hang));
    for (const origin of cluster.origins) if (!origin.faults.hang) origin.faults = {};
    const begun = performance.now();
    expect((await first).body.equals(content)).toBe(true);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test('in mid-read, with nobody else to go on with: it is waited for longer before the reader is cut', async () => {
    cluster = await TestCluster.start({ origins: 1 });
    await cluster.push('a', content);
    const [one] = cluster.origins as [FakeOrigin];
    one.faults = { hangReadAt: mebibyte };
    const read = cluster.proxy.send('GET', `/v2/a/blobs/${digest}`);
    await sleep(4_000);
    one.faults = {};
    expect((await read).body.equals(content)).toBe(true);
    // Before its first byte it is not.
    one.faults = { hang: true };
    const begun = performance.now();
    expect((await cluster.proxy.send('GET', `/v2/a/blobs/${digest}`)).status).toBe(503);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});
