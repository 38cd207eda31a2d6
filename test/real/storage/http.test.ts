/** The kind http against nginx. */

import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blobsConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { httpSchema } from '../../../platform/backends/http/config.ts';
import { HttpBackend } from '../../../platform/backends/http/http.ts';
import { bytesOf, never } from '../../../platform/backends/objects.fixtures.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { type NginxServer, nginxUser, startNginx } from './servers/nginx.ts';
import { started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
let server: NginxServer;
beforeAll(async () => {
  server = await started(stack, startNginx);
});
afterAll(() => stack.disposeAsync());

const open = (path: string, more: object = {}, base = server.base): HttpBackend =>
  new HttpBackend(httpSchema.parse({ download: `${base}/${path}/%s`, ...more }), {
    ...{ name: 'main', stallMs: 10_000, env: {}, clock: realClock },
  });
const cannot = ['conditions', 'list', 'writes', 'records'] as const;
const keeping = { keyOf: (digest: string) => digest, fill: (bytes: Buffer) => server.fill(bytes), cannot };

describe('with ranges', () => blobsConformance(async () => open('blobs'), keeping));
describe('without ranges', () => blobsConformance(async () => open('whole'), keeping));
describe('where it would compress', () => blobsConformance(async () => open('chunked'), keeping));
describe('with a redirect', () => blobsConformance(async () => open('moved'), keeping));
describe('behind a password', () => blobsConformance(async () => open('secret', { auth: nginxUser }), keeping));
describe('by TLS', () =>
  blobsConformance(async () => open('secret', { auth: nginxUser, ca: server.ca }, server.secureBase), keeping));

async function filled(): Promise<{ bytes: Buffer; key: string }> {
  const bytes = randomBytes(1_000_000);
  await server.fill(bytes);
  return { bytes, key: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}

test('with ranges nothing is sent in vain, without what comes before is', async () => {
  const { bytes, key } = await filled();
  for (const [path, sent] of [
    ['blobs', 1000],
    ['whole', bytes.length],
  ] as const) {
    await using backend = open(path);
    const range = { start: bytes.length - 1000, end: bytes.length };
    expect((await bytesOf(backend.read(key, range, never))).equals(bytes.subarray(-1000))).toBe(true);
    await expect.poll(() => server.asked().at(-1)).toMatch(new RegExp(`^GET /${path}/\\w+ 20[06] ${sent}$`));
  }
});

test('wrong credentials, an unknown authority, a redirect to http, a login and a server that is down are told apart', async () => {
  const { key } = await filled();
  const failing = async (backend: HttpBackend, why: string, words: RegExp): Promise<void> => {
    await using _ = backend;
    await expect(backend.stat(key, never)).rejects.toMatchObject({ why, message: expect.stringMatching(words) });
  };
  await failing(open('secret'), 'credentials', /HTTP 401: look at `auth`/);
  await failing(open('secret', { auth: { ...nginxUser, password: 'wrong' } }), 'credentials', /401/);
  await failing(open('limited'), 'denied', /403.*must be a 404/);
  await failing(open('blobs', {}, server.secureBase), 'unavailable', /`ca`/);
  await failing(open('away', { ca: server.ca }, server.secureBase), 'refused', /from https to http/);
  await failing(open('login'), 'unavailable', /a page of HTML/);
  await server.kill();
  await failing(open('blobs'), 'unavailable', /ECONNREFUSED/);
  await server.start();
  await using backend = open('blobs');
  expect(await backend.stat(key, never)).toMatchObject({ size: 1_000_000 });
});
