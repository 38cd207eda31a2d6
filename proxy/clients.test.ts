/** Whom the proxy says an upload is for, and what clients hear of uploads that gave way. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { digestOfBytes, TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.close());

const uploads = '/v2/a/blobs/uploads/';
test('origins are told which client an upload is for, behind load balancers that are trusted', async () => {
  cluster = await TestCluster.start({ trustedProxies: ['127.0.0.1'] });
  await cluster.proxy.send('POST', uploads);
  await cluster.proxy.send('POST', uploads, { headers: { 'x-forwarded-for': '203.0.113.9' } });
  await cluster.proxy.send('POST', uploads, { headers: { 'x-shoal-client': 'somebody-else' } });
  const clients = ['127.0.0.1', '203.0.113.9', '127.0.0.1'];
  for (const origin of cluster.origins) {
    expect(origin.begun).toEqual(clients.map((client) => ({ client, kind: 'blob' })));
  }
});

test('a stranger cannot name another client, and manifests are told apart from blobs', async () => {
  cluster = await TestCluster.start();
  const manifest = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] };
  const headers = { 'x-forwarded-for': '203.0.113.9', 'content-type': manifest.mediaType };
  const put = await cluster.proxy.send('PUT', '/v2/a/manifests/1', { headers, body: JSON.stringify(manifest) });
  expect(put.status).toBe(201);
  for (const origin of cluster.origins) expect(origin.begun).toEqual([{ client: '127.0.0.1', kind: 'manifest' }]);
});

test('an upload that gave way at one of two origins that must hold it goes on with the other', async () => {
  cluster = await TestCluster.start({ required: 2 });
  const bytes = Buffer.alloc(5000, 'x');
  const digest = digestOfBytes(bytes);
  const { headers } = await cluster.proxy.send('POST', uploads);
  let location = String(headers.location);
  for (const at of [0, 2000]) {
    const sent = await cluster.proxy.send('PATCH', location, { body: bytes.subarray(at, at + 2000) });
    expect([sent.status, sent.headers.range]).toEqual([202, `0-${at + 1999}`]);
    cluster.origins[0]?.uploads.clear();
    location = String(sent.headers.location);
    expect((await cluster.proxy.send('GET', location)).headers.range).toBe(`0-${at + 1999}`);
  }
  const rest = { body: bytes.subarray(4000) };
  expect((await cluster.proxy.send('PUT', `${location}?digest=${digest}`, rest)).status).toBe(201);
  expect(cluster.holders(bytes)).toBe(2);
});

test('what only one of two origins has whole is committed there, and taken over by the other, which drops its part', async () => {
  cluster = await TestCluster.start({ required: 2 });
  const bytes = Buffer.alloc(5000, 'x');
  const { headers } = await cluster.proxy.send('POST', uploads);
  const sent = await cluster.proxy.send('PATCH', String(headers.location), { body: bytes.subarray(0, 3000) });
  const ahead = [...(cluster.origins[0]?.uploads.values() ?? [])][0];
  ahead?.chunks.push(bytes.subarray(3000));
  ahead?.hash.update(bytes.subarray(3000));
  if (ahead !== undefined) ahead.offset = 5000;
  const put = `${sent.headers.location}?digest=${digestOfBytes(bytes)}`;
  expect((await cluster.proxy.send('PUT', put)).status).toBe(201);
  expect(cluster.holders(bytes)).toBe(2);
  while (cluster.origins.some((origin) => origin.uploads.size > 0)) await sleep(5);
});

test('a commit whose answer one origin lost is done by both', async () => {
  cluster = await TestCluster.start({ required: 2 });
  const bytes = Buffer.alloc(5000, 'x');
  const { headers } = await cluster.proxy.send('POST', uploads);
  const sent = await cluster.proxy.send('PATCH', String(headers.location), { body: bytes });
  const [one] = cluster.origins;
  if (one !== undefined) one.faults = { loseCommitAnswer: true };
  const put = `${sent.headers.location}?digest=${digestOfBytes(bytes)}`;
  expect((await cluster.proxy.send('PUT', put)).status).toBe(201);
  expect(cluster.holders(bytes)).toBe(2);
  if (one !== undefined) one.faults = {};
  expect((await cluster.proxy.send('PUT', put)).status).toBe(201);
});
