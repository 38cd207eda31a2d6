/** What a registry is shown, and what it is not: basic, tokens of an authority, docker's files and helpers. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { never } from '../objects.fixtures.ts';
import { challengesIn } from './auth/challenge.ts';
import { FakeRegistry } from './fake.fixtures.ts';
import { tagKey } from './layout.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const key = tagKey('app', 'v1');

/** An authority that gives tokens `t1`, `t2` and so on, each for what it was asked, and notes by whom. */
async function authority(seconds = 300) {
  const asked: string[] = [];
  const state = { refuse: undefined as number | undefined, seconds, valid: new Set<string>() };
  const server = createServer(async (request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { searchParams } = new URL(request.url ?? '', 'http://x');
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const given = request.method === 'POST' ? form : searchParams;
    const who = request.headers.authorization ?? form.get('refresh_token') ?? 'nobody';
    asked.push(`${request.method} ${given.get('service')} ${given.getAll('scope').join('+')} ${who}`);
    if (state.refuse !== undefined) return void response.writeHead(state.refuse).end();
    const token = `t${asked.length}`;
    state.valid.add(token);
    response.end(JSON.stringify({ access_token: token, expires_in: state.seconds }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token` };
}

async function bearing(seconds?: number) {
  const fake = stack.use(await FakeRegistry.start());
  const tokens = await authority(seconds);
  fake.wants = ({ headers, path }) => {
    const token = /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1];
    if (token !== undefined && tokens.state.valid.has(token)) return undefined;
    const scope = path === '/v2/' ? '' : `,scope="repository:${path.split('/')[2]}:pull"`;
    return `Bearer realm="${tokens.url}",service="reg, istry"${scope}`;
  };
  return { fake, tokens };
}

test.each(['it may not be told', 'it is gone'])(
  'an authority that was named once and gives no token is forgotten: %s',
  async (why) => {
    const { fake, tokens } = await bearing();
    const realm = why === 'it is gone' ? 'http://127.0.0.1:1/token' : 'http://elsewhere.invalid/token';
    const backend = stack.use(fake.backend({ credentials: { username: 'me', password: 'secret' } }));
    const { wants } = fake;
    fake.wants = () => `Bearer realm="${realm}",service="x"`;
    await expect(backend.stat(key, never)).rejects.toMatchObject({ name: 'BackendError' });
    fake.wants = wants;
    expect(await backend.stat(key, never)).toBeUndefined();
    expect(tokens.asked).toHaveLength(1);
  },
);

const temporary = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-registry-'));
  stack.defer(() => rmSync(dir, { recursive: true }));
  return dir;
};

test('challenges are read as they are written', () => {
  expect(challengesIn('Basic realm="a, \\"b\\"", Bearer realm=https://x/y,service="s=1" , Negotiate')).toEqual([
    { scheme: 'basic', params: { realm: 'a, "b"' } },
    { scheme: 'bearer', params: { realm: 'https://x/y', service: 's=1' } },
    { scheme: 'negotiate', params: {} },
  ]);
  expect(challengesIn(undefined)).toEqual([]);
  expect(challengesIn('=,,"')).toEqual([]);
});

test('basic is shown once it is asked for, and then at once; wrong ones are an outage, and nobody is asked twice', async () => {
  const fake = stack.use(await FakeRegistry.start());
  fake.wants = ({ headers }) => (headers.authorization === basic('u:p') ? undefined : 'Basic realm="x"');
  const backend = stack.use(fake.backend({ credentials: { username: 'u', password: 'p' } }));
  for (let n = 0; n < 2; n++) expect(await backend.stat(key, never)).toBeUndefined();
  expect(fake.shown).toEqual([undefined, basic('u:p'), basic('u:p')]);
  fake.asked.length = 0;
  const wrong = stack.use(fake.backend({ credentials: { username: 'u', password: 'wrong' } }));
  await expect(wrong.probe(never)).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringMatching(
      /^up: cannot ask .*\/v2\/: HTTP 401((?!rights).)*: the registry does not take this user and password: look at credentials$/,
    ),
  });
  expect(fake.asked.length).toBe(2);
  const none = stack.use(fake.backend());
  await expect(none.probe(never)).rejects.toThrow('give `credentials` in this rule');
});

test('tokens are had for each repository, once for all who wait, and renewed shortly before they are over', async () => {
  const { fake, tokens } = await bearing(2);
  const backend = stack.use(fake.backend({ credentials: { username: 'u', password: 'p' } }));
  await Promise.all(Array.from({ length: 5 }, () => backend.stat(key, never)));
  expect(tokens.asked).toEqual([`GET reg, istry repository:app:pull ${basic('u:p')}`]);
  await backend.stat(tagKey('other', 'x'), never);
  expect(tokens.asked.length).toBe(2);
  const before = fake.asked.length;
  await backend.stat(key, never);
  expect(fake.asked.length).toBe(before + 1);
  expect(tokens.asked.length).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 1_700));
  await backend.stat(key, never);
  expect(tokens.asked.length).toBe(3);
  expect(fake.asked.length).toBe(before + 2);
  // Those that the authority took back before their end are found out.
  tokens.state.valid.clear();
  await backend.stat(key, never);
  expect(tokens.asked.length).toBe(4);
});

test('a repository that is refused is no outage; a login that is refused is; nobody may have none', async () => {
  const { fake, tokens } = await bearing();
  const backend = stack.use(fake.backend({ credentials: { username: 'u', password: 'p' } }));
  const wants = fake.wants;
  fake.wants = (call) =>
    call.path.includes('/secret/') ? `Bearer realm="${tokens.url}",error="insufficient_scope"` : wants?.(call);
  await expect(backend.stat(tagKey('secret', 'x'), never)).rejects.toMatchObject({
    why: 'refused',
    message: expect.stringContaining('no such repository'),
  });
  expect(await backend.stat(key, never)).toBeUndefined();
  tokens.state.refuse = 403;
  await expect(backend.stat(tagKey('b', 'x'), never)).rejects.toMatchObject({ why: 'refused' });
  tokens.state.refuse = 401;
  await expect(backend.stat(tagKey('c', 'x'), never)).rejects.toMatchObject({ why: 'credentials' });
  tokens.state.refuse = 503;
  await expect(backend.stat(tagKey('d', 'x'), never)).rejects.toMatchObject({ why: 'unavailable' });
});

test('an authority on another host is told no password over plain http, and none at all from https down', async () => {
  const fake = stack.use(await FakeRegistry.start());
  const seen: unknown[] = [];
  const elsewhere = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"token":"x"}');
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void elsewhere.close());
  const { port } = elsewhere.address() as AddressInfo;
  fake.wants = ({ headers }) =>
    headers.authorization === 'Bearer x' ? undefined : `Bearer realm="http://localhost:${port}/token",service="s"`;
  const backend = stack.use(fake.backend({ credentials: { username: 'u', password: 'p' } }));
  await expect(backend.stat(key, never)).rejects.toMatchObject({
    why: 'refused',
    message: expect.stringContaining('is not told a password over plain http'),
  });
  expect(seen).toEqual([]);
  expect(await stack.use(fake.backend()).stat(key, never)).toBeUndefined();
  expect(seen).toEqual([undefined]);
  fake.wants = () => 'Bearer realm="file:///etc/passwd"';
  await expect(stack.use(fake.backend()).stat(key, never)).rejects.toMatchObject({ why: 'refused' });
});

test('a token of the rule is shown as it is', async () => {
  const fake = stack.use(await FakeRegistry.start());
  fake.wants = ({ headers }) =>
    headers.authorization === 'Bearer abc' ? undefined : 'Bearer realm="http://x/",error="invalid_token"';
  expect(await stack.use(fake.backend({ credentials: { token: 'abc' } })).stat(key, never)).toBeUndefined();
  expect(fake.shown).toEqual(['Bearer abc']);
  const over = stack.use(fake.backend({ credentials: { token: 'old' } }));
  await expect(over.stat(key, never)).rejects.toMatchObject({ why: 'credentials' });
});

test("a password's file is read again once it was refused", async () => {
  const file = join(temporary(), 'password');
  writeFileSync(file, 'old\n');
  const fake = stack.use(await FakeRegistry.start());
  fake.wants = ({ headers }) => (headers.authorization === basic('u:new') ? undefined : 'Basic realm="x"');
  const backend = stack.use(fake.backend({ credentials: { username: 'u', passwordFile: file } }));
  await expect(backend.stat(key, never)).rejects.toMatchObject({ why: 'credentials' });
  writeFileSync(file, 'new\n');
  // Not more often than every few seconds.
  await expect(backend.stat(key, never)).rejects.toMatchObject({ why: 'credentials' });
  await expect
    .poll(
      () =>
        backend.stat(key, never).then(
          () => 'in',
          () => 'out',
        ),
      { timeout: 15_000 },
    )
    .toBe('in');
}, 30_000);

test("docker's file: auth, identity token, helper of the registry, helper for all, and what is wrong with them", async () => {
  const dir = temporary();
  const { fake, tokens } = await bearing();
  const bin = (name: string, script: string): void => {
    const file = join(dir, `docker-credential-${name}`);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  };
  bin('own', `read host; echo "$host $1" >> ${dir}/asked; echo '{"ServerURL":"x","Username":"own","Secret":"s"}'`);
  bin('none', "echo 'credentials not found in native keychain'; exit 1");
  bin('token', `echo '{"Username":"<token>","Secret":"refresh"}'`);
  bin('broken', "echo 'the keychain is locked' >&2; exit 1");
  bin('junk', 'echo nothing of use');
  const env = { PATH: `${dir}:${process.env['PATH']}`, DOCKER_CONFIG: dir };
  const shown = async (config: object | string): Promise<string | undefined> => {
    const text = typeof config === 'string' ? config : JSON.stringify(config);
    writeFileSync(join(dir, 'config.json'), text);
    await using backend = fake.backend({ credentials: { dockerConfig: true } }, 5_000, env);
    tokens.asked.length = 0;
    await backend.stat(key, never);
    return tokens.asked[0]?.split(' ').slice(4).join(' ');
  };
  const { address } = fake;
  const auth = Buffer.from('u:p:q').toString('base64');
  expect(await shown({ auths: { [address]: { auth } } })).toBe(basic('u:p:q'));
  expect(await shown({ auths: { [`https://${address}/v1/`]: { auth } } })).toBe(basic('u:p:q'));
  expect(await shown({ auths: { other: { auth } } })).toBe('nobody');
  expect(await shown({ auths: { [address]: { identitytoken: 'id' } } })).toBe('id');
  expect(await shown({ credsStore: 'none', auths: { [address]: { auth } } })).toBe(basic('u:p:q'));
  expect(await shown({ credsStore: 'broken', credHelpers: { [address]: 'own' } })).toBe(basic('own:s'));
  expect(await shown({ credsStore: 'token' })).toBe('refresh');
  await expect(shown({ credsStore: 'broken' })).rejects.toMatchObject({
    why: 'credentials',
    message: expect.stringMatching(/docker-credential-broken for .*: the keychain is locked: run it by hand/),
  });
  await expect(shown({ credsStore: 'junk' })).rejects.toThrow('does not answer with a user and a secret');
  await expect(shown({ credsStore: 'missing' })).rejects.toThrow('not installed');
  await expect(shown({ credsStore: '../own' })).rejects.toThrow('is no name of a helper');
  await expect(shown('{"auths": {"secret')).rejects.toThrow(/config.json: is no JSON: run/);
});
