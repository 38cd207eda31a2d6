import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { never } from '../objects.fixtures.ts';
import { certificate, httpServer, httpsServer, proxyServer } from '../web/web.fixtures.ts';
import { FakeAzure } from './fake.fixtures.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-azure-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

const tenant = '11111111-2222-3333-4444-555555555555';

/** Azure's login, by TLS: `token-1`, `token-2` … to whoever `allows`; what it was sent. */
async function login(stack: AsyncDisposableStack, allows: (said: URLSearchParams) => boolean = () => true) {
  const { cert, key } = certificate(dir, 'login', 'DNS:localhost,DNS:login.test');
  const asked: URLSearchParams[] = [];
  const tls = { cert: readFileSync(cert), key: readFileSync(key) };
  const url = await httpsServer(stack, tls, (request, response) => {
    const base = `https://${request.headers.host}/${tenant}`;
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (request.method === 'GET') {
        const endpoints = {
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/keys`,
        };
        return void response.end(JSON.stringify({ issuer: `${base}/v2.0`, ...endpoints }));
      }
      const said = new URLSearchParams(body);
      asked.push(said);
      if (allows(said)) {
        const token = { token_type: 'Bearer', expires_in: 3599, access_token: `token-${asked.length}` };
        return void response.end(JSON.stringify(token));
      }
      response.statusCode = 401;
      const error = { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret provided.' };
      response.end(JSON.stringify(error));
    });
  });
  return { url, asked, ca: cert };
}

const takes = (token: string) => (ask: { headers: { authorization?: string | undefined } }) =>
  ask.headers.authorization === `Bearer ${token}`;

test('workload identity: the token in the file becomes one of Azure, which is asked for once', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeAzure.start());
  const { url, asked, ca } = await login(stack);
  const file = join(dir, 'federated');
  writeFileSync(file, 'of-the-cluster');
  const env = {
    AZURE_TENANT_ID: tenant,
    AZURE_CLIENT_ID: 'client',
    AZURE_FEDERATED_TOKEN_FILE: file,
    AZURE_AUTHORITY_HOST: url,
  };
  fake.allows = takes('token-1');
  await using backend = fake.backend({ credentials: undefined, ca }, { env });
  await backend.put('x', Buffer.from('x'), never);
  expect(await backend.stat('x', never)).toMatchObject({ size: 1 });
  expect(asked.map((said) => said.get('client_assertion'))).toEqual(['of-the-cluster']);
  expect(asked[0]?.get('scope')).toContain('https://storage.azure.com/.default');
});

test('a token that is refused is asked for anew, and no more often than every few seconds', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeAzure.start());
  const { url, asked, ca } = await login(stack);
  const env = {
    AZURE_TENANT_ID: tenant,
    AZURE_CLIENT_ID: 'client',
    AZURE_CLIENT_SECRET: 'secret',
    AZURE_AUTHORITY_HOST: url,
  };
  fake.allows = takes('token-1');
  await using backend = fake.backend({ credentials: undefined, ca }, { env });
  await backend.put('x', Buffer.from('x'), never);
  fake.allows = takes('token-2');
  expect(await backend.stat('x', never)).toMatchObject({ size: 1 });
  fake.allows = takes('never');
  for (let i = 0; i < 5; i++)
    await expect(backend.put('x', Buffer.from('y'), never)).rejects.toMatchObject({ why: 'credentials' });
  expect(asked.length).toBe(2);
});

test('a secret that is wrong says so, and one whose login is away is no wrong secret', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeAzure.start());
  const { url, ca } = await login(stack, (said) => said.get('client_secret') === 'right');
  const env = {
    AZURE_TENANT_ID: tenant,
    AZURE_CLIENT_ID: 'client',
    AZURE_CLIENT_SECRET: 'wrong',
    AZURE_AUTHORITY_HOST: url,
  };
  await using wrong = fake.backend({ credentials: undefined, ca }, { env });
  const told = (await wrong.stat('x', never).catch((error: Error) => error)) as Error;
  expect(told).toMatchObject({ why: 'credentials' });
  expect(told.message).toMatch(/^main: cannot get a token: .*AADSTS7000215/);
  await using away = fake.backend(
    { credentials: undefined, ca },
    { env: { ...env, AZURE_AUTHORITY_HOST: 'https://127.0.0.1:1' } },
  );
  await expect(away.stat('x', never)).rejects.toMatchObject({ why: 'unavailable' });
});

test('managed identity: the service beside the process is asked, past every proxy', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeAzure.start());
  const paths: string[] = [];
  const service = await httpServer(stack, (request, response) => {
    paths.push(request.url ?? '');
    const over = String(Math.floor(Date.now() / 1000) + 3600);
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        access_token: 'of-the-host',
        expires_on: over,
        resource: 'r',
        token_type: 'Bearer',
        client_id: 'c',
      }),
    );
  });
  const proxy = await proxyServer(stack);
  // The library looks at the environment of the process for it.
  vi.stubEnv('IDENTITY_ENDPOINT', `${service}/msi/token`);
  vi.stubEnv('IDENTITY_HEADER', 'secret');
  fake.allows = takes('of-the-host');
  const env = { HTTP_PROXY: proxy.url, NO_PROXY: new URL(fake.endpoint).host };
  await using backend = fake.backend({ credentials: undefined }, { env });
  expect(await backend.stat('x', never)).toBeUndefined();
  expect(paths[0]).toMatch(/^\/msi\/token\?.*storage\.azure\.com/);
  expect(proxy.asked).toEqual([]);
});

test('logins go through HTTPS_PROXY', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeAzure.start());
  const { url, ca } = await login(stack);
  const { port } = new URL(url);
  const proxy = await proxyServer(stack);
  const env = {
    ...{ AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: 'client', AZURE_CLIENT_SECRET: 'secret' },
    ...{ AZURE_AUTHORITY_HOST: `https://login.test:${port}`, HTTPS_PROXY: proxy.url },
  };
  fake.allows = takes('token-1');
  await using backend = fake.backend({ credentials: undefined, ca }, { env });
  expect(await backend.stat('x', never)).toBeUndefined();
  expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT login.test:${port}`]));
});
