/** Readers that an origin sends to where a backend gives the bytes, over real HTTP. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { MEDIA } from '../core/oci/media.ts';
import { digestOfBytes, TestCluster } from './testing/cluster.ts';

const repo = 'library/app';
const blob = Buffer.from('0123456789');
const path = `/v2/${repo}/blobs/${digestOfBytes(blob)}`;
const url = 'https://public.example/bucket/key?X-Amz-Signature=0';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
  await cluster.push(repo, blob);
});
afterEach(() => cluster.close());

const sentTo = (location: string): void => {
  for (const origin of cluster.origins) origin.redirect = location;
};

test('a GET goes on there, whole or in part; nothing of it comes from an origin, and nobody keeps the URL', async () => {
  sentTo(url);
  for (const headers of [{}, { range: 'bytes=2-3' }]) {
    const got = await cluster.proxy.send('GET', path, { headers });
    expect([got.status, got.headers.location, got.body.length]).toEqual([307, url, 0]);
    expect(got.headers['cache-control']).toBe('no-store');
    expect(got.headers['docker-distribution-api-version']).toBe('registry/2.0');
  }
  expect(cluster.origins.reduce((sum, { given }) => sum + given, 0)).toBe(0);
});

test('the origin is told how many bytes the repository knows of, once a reader', async () => {
  await cluster.proxy.send('GET', path);
  const told = cluster.origins.flatMap(({ redirectsAsked }) => redirectsAsked);
  expect(told).toEqual([String(blob.length)]);
});

test('HEAD, ranges that lie outside, what the client has, and other repositories are answered here', async () => {
  sentTo(url);
  const head = await cluster.proxy.send('HEAD', path);
  expect([head.status, head.headers['content-length']]).toEqual([200, '10']);
  expect((await cluster.proxy.send('GET', path, { headers: { range: 'bytes=99-' } })).status).toBe(416);
  const { etag = '' } = head.headers;
  expect((await cluster.proxy.send('GET', path, { headers: { 'if-none-match': etag } })).status).toBe(304);
  expect((await cluster.proxy.send('GET', path.replace('library', 'other'))).status).toBe(404);
});

test('a manifest is given here', async () => {
  const config = { mediaType: MEDIA.octets, digest: digestOfBytes(blob), size: blob.length };
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers: [] });
  const at = `/v2/${repo}/manifests/1`;
  const put = await cluster.proxy.send('PUT', at, { body: manifest, headers: { 'content-type': MEDIA.ociManifest } });
  expect(put.status).toBe(201);
  sentTo(url);
  const got = await cluster.proxy.send('GET', at);
  expect([got.status, got.body.toString()]).toEqual([200, manifest]);
});

test.each(['javascript:alert(1)', '/elsewhere', ''])(
  'a Location that is no URL of a web server, %j, is not passed on',
  async (location) => {
    sentTo(location);
    expect((await cluster.proxy.send('GET', path)).status).toBe(503);
  },
);
