/** Several proxies and clients at once, and ends of different pace: nothing is mixed, and little is ever held. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Digest, digestOf } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type Answer, answerTo, digestOfBytes, TestCluster } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const mebibyte = 1024 * 1024;
const content = Buffer.alloc(3 * mebibyte, 'seven..');
const digest = digestOfBytes(content);

let cluster: TestCluster;
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const begin = async (proxy = cluster.proxy): Promise<string> =>
  String((await proxy.send('POST', '/v2/a/blobs/uploads/')).headers.location);

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
    await cluster.index.linkBlob('a', large, { size: 100_000_000 }, CallContext.begin({ requestId: 'test' }));
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
