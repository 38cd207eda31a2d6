/** What goes wrong while blobs are pushed and read: clients, origins and proxies that fail midway. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Digest, digestOf } from '../core/digest.ts';
import { type Answer, answerTo, digestOfBytes, TestCluster } from './testing/cluster.ts';
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
    const location = await begin();
    (cluster.origins[0] as FakeOrigin).faults = { cutUploadAt: mebibyte };
    const patched = await cluster.proxy.send('PATCH', location, { body: content, streamed: true });
    expect([patched.status, code(patched), patched.headers['retry-after']]).toEqual([503, 'UNAVAILABLE', '1']);
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
});

describe('several at once', () => {
  test('any proxy goes on with an upload that another began', async () => {
    cluster = await TestCluster.start({ proxies: 3 });
    let location = await begin();
    const step = mebibyte;
    for (let at = 0, turn = 1; at < content.length; at += step, turn++) {
      const proxy = cluster.proxies[turn % 3] as (typeof cluster.proxies)[number];
      const patched = await proxy.send('PATCH', location, { body: content.subarray(at, at + step), streamed: true });
      expect([patched.status, patched.headers.range]).toEqual([202, `0-${at + step - 1}`]);
      location = String(patched.headers.location);
    }
    const put = await (cluster.proxies[1] as typeof cluster.proxy).send('PUT', `${location}?digest=${digest}`);
    expect(put.status).toBe(201);
    expect(cluster.holders(content)).toBe(2);
  });

  test('of two requests that write to one upload, one is told so, and the content is never mixed', async () => {
    cluster = await TestCluster.start({ proxies: 2 });
    const location = await begin();
    const send = (i: number): Promise<Answer> =>
      (cluster.proxies[i] as typeof cluster.proxy).send('PATCH', location, { body: content, streamed: true });
    const answers = await Promise.all([send(0), send(1)]);
    // 503: an origin refused the second one, whose connection broke before it had read why.
    for (const answer of answers) expect([202, 416, 503]).toContain(answer.status);
    const put = await cluster.proxy.send('PUT', `${location}?digest=${digest}`);
    if (put.status === 201) expect(cluster.holders(content)).toBeGreaterThan(0);
    else expect(code(put)).toBe('DIGEST_INVALID');
  });

  test('eight clients push the same blob and other ones', async () => {
    cluster = await TestCluster.start({ origins: 3 });
    const blobs = Array.from({ length: 8 }, (_, i) => Buffer.alloc(300_000, i % 4));
    await Promise.all(
      blobs.map(async (blob, i) => {
        const opened = await cluster.proxy.send('POST', `/v2/r${i}/blobs/uploads/`);
        const patched = await cluster.proxy.send('PATCH', String(opened.headers.location), { body: blob });
        const put = await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${digestOfBytes(blob)}`);
        expect(put.status).toBe(201);
      }),
    );
    for (const blob of blobs) expect(cluster.holders(blob)).toBeGreaterThanOrEqual(2);
  });
});

describe('backpressure', () => {
  test('of 300 MB to two origins of different pace, little is ever in the proxy', async () => {
    cluster = await TestCluster.start();
    const total = 300_000_000;
    const chunk = Buffer.alloc(1_000_000, 'x');
    const hash = createHash('sha256');
    let written = 0;
    let worst = 0;
    for (const origin of cluster.origins) origin.keep = false;
    const [fast, slow] = cluster.origins as [FakeOrigin, FakeOrigin];
    fast.onReceived = () => {
      worst = Math.max(worst, written - Math.min(fast.received, slow.received));
    };
    // The slow one pauses now and then, so that everything before it fills up.
    let pauses = 0;
    slow.onReceived = async (received) => {
      if (received < (pauses + 1) * 30_000_000) return;
      pauses += 1;
      await sleep(20);
    };
    const request = cluster.proxy.open('PATCH', await begin());
    const answer = answerTo(request);
    for (; written < total; written += chunk.length) {
      hash.update(chunk);
      if (!request.write(chunk)) await new Promise((resolve) => request.once('drain', resolve));
    }
    request.end();
    const patched = await answer;
    expect([patched.status, patched.headers.range]).toEqual([202, `0-${total - 1}`]);
    const large = digestOf('sha256', hash.digest('hex')) as Digest;
    expect((await cluster.proxy.send('PUT', `${patched.headers.location}?digest=${large}`)).status).toBe(201);
    expect(pauses).toBeGreaterThan(5);
    // Kernel buffers of four sockets on loopback are most of this; an upload that is gathered would be 300 MB.
    expect(worst).toBeLessThan(40_000_000);
  });

  test('a client that reads nothing holds back the origin', async () => {
    cluster = await TestCluster.start({ origins: 1 });
    const origin = cluster.origins[0] as FakeOrigin;
    const large = origin.hold(Buffer.alloc(100_000_000));
    await cluster.index.linkBlob('a', large, { size: 100_000_000 }, { requestId: 'test' });
    const request = cluster.proxy.open('GET', `/v2/a/blobs/${large}`);
    request.end();
    const response = await new Promise<import('node:http').IncomingMessage>((resolve) =>
      request.once('response', resolve),
    );
    await sleep(200);
    // Nothing was read: what the origin could give away fits the sockets' buffers.
    expect(origin.openBytes()).toBeGreaterThan(50_000_000);
    let bytes = 0;
    for await (const part of response as AsyncIterable<Buffer>) bytes += part.length;
    expect(bytes).toBe(100_000_000);
  });
});
