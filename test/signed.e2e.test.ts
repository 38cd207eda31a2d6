/** Images that must be signed, between real processes: pushed, tagged, pulled, and with an index that hangs. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { PROBES } from '../core/contracts/probes.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { payload, SignedImages, sha256, signer, tagOf } from '../platform/signatures/signing.fixtures.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

const repo = 'team/app';
const ours = signer();
const dir = mkdtempSync(join(tmpdir(), 'shoal-signed-'));
let cluster: Cluster;
let parts: Parts;

beforeAll(async () => {
  const key = join(dir, 'cosign.pub');
  writeFileSync(key, ours.pem);
  const verify = { cosign: [{ repositories: 'team/**', keys: [key] }] };
  cluster = await Cluster.make();
  parts = await startParts(cluster, { proxy: { verify }, agent: { verify } });
}, 180_000);
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const proxy = () => parts.proxy.url('registry');
const agent = () => parts.agent.url('registry');

async function blob(bytes: Buffer, annotations?: object, mediaType: string = MEDIA.ociLayer): Promise<object> {
  const begun = await fetch(proxy() + OCI_PATHS.uploads(repo), { method: 'POST' });
  const at = new URL(begun.headers.get('location') as string, proxy());
  const digest = sha256(bytes);
  at.searchParams.set('digest', digest);
  const { status } = await fetch(at, { method: 'PUT', body: new Uint8Array(bytes) });
  if (status !== 201) throw new Error(`the blob was answered ${status}`);
  return { mediaType, digest, size: bytes.length, ...(annotations && { annotations }) };
}

async function manifest(...layers: object[]): Promise<Buffer> {
  const config = await blob(Buffer.from('{}'), undefined, MEDIA.ociConfig);
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers }));
}

async function put(name: string, bytes: Buffer): Promise<number> {
  const headers = { 'content-type': MEDIA.ociManifest };
  const answer = await fetch(proxy() + OCI_PATHS.manifest(repo, name), {
    method: 'PUT',
    body: new Uint8Array(bytes),
    headers,
  });
  await answer.arrayBuffer();
  return answer.status;
}

/** Pushed by digest. */
async function image(text: string): Promise<{ readonly digest: Digest; readonly bytes: Buffer }> {
  const bytes = await manifest(await blob(Buffer.from(text)));
  const digest = sha256(bytes);
  expect(await put(digest, bytes)).toBe(201);
  return { digest, bytes };
}

async function sign(digest: Digest): Promise<void> {
  const message = payload(digest, `${new URL(proxy()).host}/${repo}`);
  const { mediaType, annotations } = await new SignedImages().signature(repo, ours, message);
  expect(await put(tagOf(digest), await manifest(await blob(message, annotations, mediaType)))).toBe(201);
}

async function pulled(name: string): Promise<readonly [status: number, body: string]> {
  const answer = await fetch(agent() + OCI_PATHS.manifest(repo, name));
  return [answer.status, await answer.text()];
}

test('what is not signed is tagged by no proxy and given by no agent, until it is signed', async () => {
  const { digest, bytes } = await image('one');
  expect(await put('1', bytes)).toBe(403);
  expect(await pulled(digest)).toEqual([403, expect.stringContaining('"DENIED"')]);
  await sign(digest);
  await vi.waitFor(async () => expect(await put('1', bytes)).toBe(201), { timeout: 60_000, interval: 300 });
  await vi.waitFor(async () => expect(await pulled('1')).toEqual([200, bytes.toString()]), {
    timeout: 60_000,
    interval: 300,
  });
  const metrics = await (await fetch(parts.agent.url('admin') + PROBES.metrics.path({}))).text();
  expect(metrics).toMatch(/shoal_signature_checks_total\{result="signed",mode="enforce"[^}]*\} [1-9]/);
});

test('while the index hangs, what is known to be signed is given by its digest, and of the rest nobody can say', async () => {
  const [known, unknown] = [await image('two'), await image('three')];
  for (const { digest } of [known, unknown]) await sign(digest);
  await vi.waitFor(async () => expect((await pulled(known.digest))[0]).toBe(200), { timeout: 60_000, interval: 300 });
  parts.index.hang();
  try {
    expect((await pulled(known.digest))[0]).toBe(200);
    expect(await pulled(unknown.digest)).toEqual([503, expect.stringContaining('UNAVAILABLE')]);
  } finally {
    parts.index.wake();
  }
  await vi.waitFor(async () => expect((await pulled(unknown.digest))[0]).toBe(200), { timeout: 60_000, interval: 300 });
});
