import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificate, httpServer, httpsServer, never, proxyServer, requester } from './web.fixtures.ts';

let dir: string;
let server: { readonly cert: string; readonly key: string };
let client: { readonly cert: string; readonly key: string };

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-web-tls-'));
  server = certificate(dir, 'server');
  client = certificate(dir, 'client');
});
afterAll(() => rmSync(dir, { recursive: true }));

const serving = () => ({ cert: readFileSync(server.cert), key: readFileSync(server.key) });
const call = (url: string) =>
  ({ method: 'GET', url: new URL(url), signal: never, doing: 'read', object: 'some/key' }) as const;

test('an own authority is taken with `ca`, refused with a remedy without, and a file that is missing is named', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpsServer(stack, serving(), (_request, response) => response.end('ok'));
  using wrong = requester();
  await expect(wrong.request(call(base))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/`ca`$/),
  });
  using right = requester({}, { ca: server.cert });
  expect(await (await right.request(call(base))).text()).toBe('ok');
  expect(() => requester({}, { ca: join(dir, 'nowhere.pem') })).toThrow(/nowhere.pem/);
});

test('a certificate for another name, or what is no TLS, says so', async () => {
  await using stack = new AsyncDisposableStack();
  const other = certificate(dir, 'other', 'DNS:other.test');
  const named = { cert: readFileSync(other.cert), key: readFileSync(other.key) };
  const base = await httpsServer(stack, named, (_request, response) => response.end('ok'));
  using web = requester({}, { ca: other.cert });
  await expect(web.request(call(base))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringContaining('its certificate is for another name'),
  });
  const plain = await httpServer(stack, (_request, response) => void response.end('ok'));
  await expect(web.request(call(plain.replace('http:', 'https:')))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringContaining('https may be wrong'),
  });
});

test('a certificate of ours is shown to who wants one', async () => {
  await using stack = new AsyncDisposableStack();
  const mutual = { ...serving(), ca: readFileSync(client.cert), requestCert: true, rejectUnauthorized: true };
  const base = await httpsServer(stack, mutual, (_request, response) => response.end('ok'));
  using without = requester({}, { ca: server.cert });
  await expect(without.request(call(base))).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringContaining('`clientCertificate`'),
  });
  const clientCertificate = { certificate: client.cert, key: client.key };
  using with_ = requester({}, { ca: server.cert, clientCertificate });
  expect(await (await with_.request(call(base))).text()).toBe('ok');
});

test('HTTPS_PROXY and HTTP_PROXY are gone through, but for NO_PROXY, and only as the given environment says', async () => {
  await using stack = new AsyncDisposableStack();
  const secure = await httpsServer(stack, serving(), (_request, response) => response.end('straight'));
  const plain = await httpServer(stack, (_request, response) => void response.end('straight'));
  const proxy = await proxyServer(stack);
  const env = { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url };
  const asked = async (given: Record<string, string>, url: string) => {
    using web = requester({ env: given }, { ca: server.cert });
    return await (await web.request(call(url))).text();
  };
  expect(await asked(env, secure)).toBe('straight');
  expect(await asked(env, `${plain}/path`)).toBe('from the proxy');
  expect(proxy.asked).toEqual([`CONNECT ${new URL(secure).host}`, `GET ${plain}/path`]);
  for (const given of [{ ...env, NO_PROXY: 'localhost,127.0.0.1' }, {}]) {
    expect(await asked(given, secure)).toBe('straight');
    expect(await asked(given, plain)).toBe('straight');
  }
  expect(proxy.asked).toHaveLength(2);
});

test('a proxy that refuses, or is not there, is named as what it is', async () => {
  await using stack = new AsyncDisposableStack();
  const { url } = await proxyServer(stack, 407);
  for (const [proxy, why] of [
    [url, 'unavailable'],
    ['http://127.0.0.1:1', 'unavailable'],
  ] as const) {
    using web = requester({ env: { HTTPS_PROXY: proxy } });
    await expect(web.request(call('https://store.invalid/'))).rejects.toMatchObject({ why });
  }
  using web = requester({ env: { HTTP_PROXY: url } });
  await expect(web.request(call('http://store.invalid/'))).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringContaining('HTTP_PROXY'),
  });
});
