/** Registries of clouds: what we are known by comes from their own libraries, which here ask servers of the test. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { never } from '../objects.fixtures.ts';
import { FakeRegistry } from './fake.fixtures.ts';
import { tagKey } from './layout.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  vi.unstubAllEnvs();
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const key = tagKey('app', 'v1');
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

type Asked = { readonly request: IncomingMessage; readonly body: string };
async function serving(answer: (asked: Asked, response: ServerResponse) => void) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const one = { request, body: Buffer.concat(chunks).toString() };
    asked.push(one);
    answer(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A registry that lets in whoever shows this. */
async function wanting(shown: string): Promise<FakeRegistry> {
  const fake = stack.use(await FakeRegistry.start());
  fake.wants = ({ headers }) => (headers.authorization === shown ? undefined : 'Basic realm="x"');
  return fake;
}

test('ECR: its password is asked for once, whatever it says of its end, and by the account that the rule names', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  const token = Buffer.from('AWS:123456789012-auth-token').toString('base64');
  // As moto has it: over since 2015.
  const data = {
    authorizationData: [{ authorizationToken: token, expiresAt: 1420070400, proxyEndpoint: 'https://x' }],
  };
  const ecr = await serving((_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(data));
  });
  const fake = await wanting(basic('AWS:123456789012-auth-token'));
  const said = { region: 'eu-central-1', registryId: '123456789012', endpoint: `http://${ecr.host}` };
  const backend = stack.use(fake.backend({ credentials: { ecr: said } }));
  for (let n = 0; n < 3; n++) expect(await backend.stat(key, never)).toBeUndefined();
  expect(ecr.asked.map(({ request, body }) => [request.headers['x-amz-target'], JSON.parse(body)])).toEqual([
    ['AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken', { registryIds: ['123456789012'] }],
  ]);
  expect(ecr.asked[0]?.request.headers.authorization).toMatch(
    /^AWS4-HMAC-SHA256 Credential=key\/.*eu-central-1\/ecr\//,
  );
});

test('ECR that refuses, or answers nothing of use, is named', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  const answers = ['{"__type":"AccessDeniedException","message":"not you"}', '{"authorizationData":[]}'];
  const ecr = await serving((_, response) => response.writeHead(answers.length === 2 ? 400 : 200).end(answers.shift()));
  const fake = await wanting('x');
  const ask = async (): Promise<unknown> => {
    const settings = { credentials: { ecr: { region: 'x', endpoint: `http://${ecr.host}` } } };
    return await stack.use(fake.backend(settings)).stat(key, never);
  };
  const named = (words: string) => ({
    why: 'credentials',
    message: expect.stringContaining(`up: credentials.ecr: ${words}`),
  });
  await expect(ask()).rejects.toMatchObject(named('not you'));
  await expect(ask()).rejects.toMatchObject(named('ECR answers without a user'));
});

test("Google: the machine's access token is the password of oauth2accesstoken", async () => {
  const metadata = await serving(({ request }, response) => {
    response.setHeader('metadata-flavor', 'Google');
    const token = { access_token: 'from-metadata', expires_in: 3599, token_type: 'Bearer' };
    response.setHeader('content-type', 'application/json');
    response.end(request.url?.includes('/token') === true ? JSON.stringify(token) : '"x"');
  });
  vi.stubEnv('GCE_METADATA_HOST', metadata.host);
  vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '');
  vi.stubEnv('HOME', '/nowhere');
  const fake = await wanting(basic('oauth2accesstoken:from-metadata'));
  const backend = stack.use(fake.backend({ credentials: { google: {} } }));
  for (let n = 0; n < 2; n++) expect(await backend.stat(key, never)).toBeUndefined();
  expect(metadata.asked.filter(({ request }) => request.url?.includes('/token')).length).toBe(1);
  const none = stack.use(fake.backend({ credentials: { google: { keyFile: '/nowhere/key.json' } } }));
  await expect(none.stat(key, never)).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringMatching(/up: credentials.google: .*nowhere/),
  });
});

test("Azure: the directory's token is exchanged for a refresh token, and that for tokens of repositories", async () => {
  const directory = await serving((_, response) => {
    response.setHeader('content-type', 'application/json');
    const expires = Math.floor(Date.now() / 1000) + 3600;
    response.end(
      JSON.stringify({ access_token: 'of-the-directory', expires_on: String(expires), token_type: 'Bearer' }),
    );
  });
  vi.stubEnv('IDENTITY_ENDPOINT', `http://${directory.host}/msi`);
  vi.stubEnv('IDENTITY_HEADER', 'shown');
  vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'ManagedIdentityCredential');
  const authority = await serving(({ body }, response) =>
    response.end(`{"access_token":"t-${new URLSearchParams(body).get('refresh_token')}"}`),
  );
  const fake = stack.use(await FakeRegistry.start());
  const exchanged: string[] = [];
  fake.misdeed = ({ method, path }) => {
    if (path !== OCI_PATHS.azureExchange) return undefined;
    exchanged.push(`${method} ${path}`);
    return { status: 200, body: '{"refresh_token":"refresh"}' };
  };
  fake.wants = ({ headers }) =>
    headers.authorization === 'Bearer t-refresh'
      ? undefined
      : `Bearer realm="http://${authority.host}/oauth2/token",service="acr"`;
  const backend = stack.use(fake.backend({ credentials: { azure: { tenant: 'company' } } }));
  for (let n = 0; n < 2; n++) expect(await backend.stat(key, never)).toBeUndefined();
  expect(exchanged).toEqual([`POST ${OCI_PATHS.azureExchange}`]);
  expect(authority.asked.map(({ body }) => Object.fromEntries(new URLSearchParams(body)))).toEqual([
    {
      ...{ grant_type: 'refresh_token', client_id: 'shoal', refresh_token: 'refresh' },
      ...{ service: 'acr', scope: 'repository:app:pull' },
    },
  ]);
  expect(directory.asked[0]?.request.url).toContain('containerregistry.azure.net');
}, 30_000);
