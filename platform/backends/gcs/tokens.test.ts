import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { never } from '../objects.fixtures.ts';
import { certificate, httpServer, httpsServer, proxyServer } from '../web/web.fixtures.ts';
import { FakeGcs } from './fake.fixtures.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
let dir: string;
let file: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-gcs-'));
  file = join(dir, 'key.json');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

function writeKey(tokenUri: string, email = 'shoal@test.iam.gserviceaccount.com'): void {
  const key = {
    type: 'service_account',
    client_email: email,
    private_key: pem,
    private_key_id: 'id',
    project_id: 'test',
  };
  writeFileSync(file, JSON.stringify({ ...key, token_uri: tokenUri }));
}

/** Gives `token-1`, `token-2` … to whoever `allows`; what it was asked. */
async function tokenServer(stack: AsyncDisposableStack, allows: (email: string) => boolean = () => true) {
  const asked: string[] = [];
  const url = await httpServer(stack, (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    request.on('end', () => {
      const [, claims = ''] = (new URLSearchParams(body).get('assertion') ?? '').split('.');
      const { iss } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { iss: string };
      asked.push(iss);
      const right = allows(iss);
      response.writeHead(right ? 200 : 400, { 'content-type': 'application/json' });
      const token = { access_token: `token-${asked.length}`, expires_in: 3600, token_type: 'Bearer' };
      response.end(
        JSON.stringify(right ? token : { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }),
      );
    });
  });
  return { url: `${url}/token`, asked };
}

test('a key in a file becomes a token, which is asked for once and goes with each request', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  const tokens = await tokenServer(stack);
  writeKey(tokens.url);
  fake.token = 'token-1';
  await using backend = fake.backend({ credentials: { file } });
  await backend.put('x', Buffer.from('x'), never);
  await Promise.all(Array.from({ length: 5 }, () => backend.stat('x', never)));
  expect(tokens.asked).toEqual(['shoal@test.iam.gserviceaccount.com']);
  // As GOOGLE_APPLICATION_CREDENTIALS of the environment that it was opened with says, too.
  await using other = fake.backend({ credentials: undefined }, { env: { GOOGLE_APPLICATION_CREDENTIALS: file } });
  fake.token = 'token-2';
  expect(await other.stat('x', never)).toMatchObject({ size: 1 });
});

test('a token that is refused is asked for anew, and no more often than every few seconds', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  const tokens = await tokenServer(stack);
  writeKey(tokens.url);
  fake.token = 'token-1';
  await using backend = fake.backend({ credentials: { file } });
  await backend.put('x', Buffer.from('x'), never);
  fake.token = 'token-2';
  expect(await backend.stat('x', never)).toMatchObject({ size: 1 });
  fake.token = 'never';
  const refused = { why: 'credentials', message: expect.stringMatching(/look at `credentials`/) };
  for (let i = 0; i < 5; i++) await expect(backend.stat('x', never)).rejects.toMatchObject(refused);
  expect(tokens.asked.length).toBe(2);
});

test('a key that was replaced in its file is read again, without a restart', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  const tokens = await tokenServer(stack, (email) => email.startsWith('new'));
  writeKey(tokens.url, 'old@test');
  await using backend = fake.backend({ credentials: { file } });
  fake.token = 'token-3';
  const wrong = { why: 'credentials', message: expect.stringMatching(/invalid_grant.*the key is refused/) };
  await expect(backend.stat('x', never)).rejects.toMatchObject(wrong);
  expect(tokens.asked).toEqual(['old@test', 'old@test']);
  writeKey(tokens.url, 'new@test');
  // As what failed is looked up again whenever it is needed.
  expect(await backend.stat('x', never)).toBeUndefined();
  expect(tokens.asked.at(-1)).toBe('new@test');
});

test('a file that is not there, or is no key, says so', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ credentials: { file } });
  const says = (words: RegExp) => ({ why: 'credentials', message: expect.stringMatching(words) });
  await expect(backend.stat('x', never)).rejects.toMatchObject(says(/main: cannot get a token for .*key.json: ENOENT/));
  writeFileSync(file, 'no JSON');
  await expect(backend.stat('x', never)).rejects.toMatchObject(says(/cannot get a token for .*key.json/));
  writeFileSync(file, '{"type":"service_account"}');
  await expect(backend.stat('x', never)).rejects.toMatchObject(says(/client_email/));
});

test('a token server that is away is no wrong key, and is not asked again by the library', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  let asked = 0;
  const url = await httpServer(stack, (_, response) => {
    asked += 1;
    response.writeHead(503, { 'retry-after': '4' }).end();
  });
  writeKey(url);
  await using backend = fake.backend({ credentials: { file } });
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'throttled', afterMs: 4000 });
  expect(asked).toBe(1);
  writeKey('http://127.0.0.1:1/token');
  await expect(backend.stat('x', never)).rejects.toMatchObject({ why: 'unavailable' });
});

test('the metadata server of a host, as workload identity has one, gives tokens', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  const paths: string[] = [];
  const url = await httpServer(stack, (request, response) => {
    paths.push(request.url ?? '');
    const token = request.url?.includes('/token') === true;
    response.writeHead(200, { 'metadata-flavor': 'Google', 'content-type': token ? 'application/json' : 'text/plain' });
    response.end(token ? '{"access_token":"of-the-host","expires_in":3600,"token_type":"Bearer"}' : 'there');
  });
  // The library asks for it by itself, and looks at the environment of the process.
  vi.stubEnv('GCE_METADATA_HOST', new URL(url).host);
  vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
  vi.stubEnv('HOME', dir);
  fake.token = 'of-the-host';
  await using backend = fake.backend({ credentials: undefined });
  expect(await backend.stat('x', never)).toBeUndefined();
  expect(paths.some((path) => path.startsWith('/computeMetadata/v1/instance/service-accounts/default/token'))).toBe(
    true,
  );
});

test('tokens and objects go through HTTPS_PROXY, and an own authority is trusted for both', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeGcs.start());
  const { cert, key } = certificate(dir, 'gcs', 'DNS:gcs.test,DNS:tokens.test,DNS:localhost');
  const { readFileSync } = await import('node:fs');
  const tls = { cert: readFileSync(cert), key: readFileSync(key) };
  const secure = await httpsServer(stack, tls, (request, response) => {
    if (request.url !== '/token') return fake.serve(request, response);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"access_token":"secret","expires_in":3600,"token_type":"Bearer"}');
  });
  const { port } = new URL(secure);
  const proxy = await proxyServer(stack);
  const env = { HTTPS_PROXY: proxy.url };
  writeKey(`https://tokens.test:${port}/token`);
  fake.token = 'secret';
  // Nobody resolves those names here: only the proxy leads to them.
  await using through = fake.backend(
    { endpoint: `https://gcs.test:${port}`, credentials: { file }, ca: cert },
    { env },
  );
  await through.put('x', Buffer.from('x'), never);
  expect(fake.objects.has('x')).toBe(true);
  expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT tokens.test:${port}`, `CONNECT gcs.test:${port}`]));
  await using untrusting = fake.backend({ endpoint: secure, credentials: 'anonymous' });
  await expect(untrusting.stat('x', never)).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/`ca`/),
  });
});
