/**
 * Users, rules and tokens in real processes, from the operator's command to what a client is told: two tenants whose images
 * share bytes on one host, and neither sees the other's.
 */

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { AGENT } from '../core/contracts/agent.ts';
import { KRAKEN_PROXY } from '../core/contracts/kraken/proxy.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { asked, basicOf, type Login, said, shown, tokenByForm, tokenOf } from './access.fixtures.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';
import { type Made, type MadeImage, made, madeImage } from './images.fixtures.ts';

const alice: Login = { name: 'alice', password: 'alice has a long password' };
const bob: Login = { name: 'bob', password: 'bob has another one' };
const stateMs = { timeout: 60_000, interval: 200 } as const;
const rules = `
- { repositories: ['open/**'], who: [anonymous], may: [pull] }
- { repositories: ['open/**', 'team-a/**'], who: ['group:a'], may: [pull, push] }
- { repositories: ['team-a/**'], who: ['user:alice'], may: [delete] }
- { repositories: ['team-b/**'], who: ['group:b'], may: [pull, push] }
`;

let cluster: Cluster;
let parts: Parts;

/** The command as an operator gives it; rejects where its exit code is not 0. */
const shoal = (args: readonly string[], input = ''): Promise<{ stdout: string; stderr: string }> =>
  run([...args, '--index', parts.index.url('api')], { input });

type Run = { readonly input?: string; readonly env?: Record<string, string> };

function run(args: readonly string[], { input = '', env = {} }: Run): Promise<{ stdout: string; stderr: string }> {
  const bin = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...env } };
    const child = execFile(process.execPath, [bin, ...args], options, (error, stdout, stderr) =>
      error === null ? resolve({ stdout, stderr }) : reject(new Error(`${error.message} ${stderr}`)),
    );
    child.stdin?.end(input);
  });
}

async function pushedBlob(repo: string, blob: Made, login: Login): Promise<string> {
  const { proxy } = parts;
  const begun = await asked(proxy, OCI_PATHS.uploads(repo), login, { method: 'POST' });
  await begun.arrayBuffer();
  if (begun.status !== 202) return String(begun.status);
  const at = OCI_PATHS.commit(begun.headers.get('location') as string, blob.digest);
  return await said(proxy, at, login, { method: 'PUT', body: blob.bytes, headers: { 'content-type': MEDIA.octets } });
}

async function pushed(repo: string, tag: string, image: MadeImage, login: Login): Promise<string> {
  for (const blob of image.blobs) {
    const answer = await pushedBlob(repo, blob, login);
    if (answer !== '201') return answer;
  }
  const headers = { 'content-type': image.mediaType };
  return await said(parts.proxy, OCI_PATHS.manifest(repo, tag), login, { method: 'PUT', body: image.bytes, headers });
}

beforeAll(async () => {
  cluster = await Cluster.make();
  const access = { cutOffAfter: '10s' };
  const proxyPort = 0;
  parts = await startParts(cluster, {
    push: { copies: 1, required: 1 },
    proxy: { access: { token: '1m', ...access }, listen: { host: '127.0.0.1', port: proxyPort } },
    agent: { access },
  });
  // The agent is told where tokens are had once that is known.
  await shoal(['access', 'user', 'add', 'alice', '--group', 'a'], `${alice.password}\n`);
  await shoal(['access', 'user', 'add', 'bob', '--group', 'b'], bob.password);
  const file = join(cluster.dir, 'rules.yaml');
  await writeFile(file, rules);
  await shoal(['access', 'rules', 'set', file]);
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

const image = madeImage([50_000, 300]);
const secret = madeImage([70_000]);

describe('at the proxy', () => {
  test('who logs in pushes and pulls where rules say so, and nowhere else', { timeout: 120_000 }, async () => {
    await vi.waitFor(async () => expect(await pushed('team-a/app', '1', image, alice)).toBe('201'), stateMs);
    expect(await pushed('open/app', '1', image, alice)).toBe('201');
    expect(await pushed('team-b/app', '1', secret, bob)).toBe('201');
    expect(await pushed('team-a/app', '2', image, bob)).toBe('403');
    expect(await said(parts.proxy, OCI_PATHS.manifest('team-a/app', '1'), alice)).toBe('200');
    expect(await said(parts.proxy, OCI_PATHS.manifest('team-a/app', '1'), bob)).toBe('403 DENIED');
    expect(await said(parts.proxy, OCI_PATHS.manifest('team-a/app', '1'), undefined)).toBe('401 UNAUTHORIZED');
    expect(await said(parts.proxy, OCI_PATHS.manifest('open/app', '1'), undefined)).toBe('200');
    expect(await said(parts.proxy, OCI_PATHS.manifest('team-b/app', '1'), bob, { method: 'DELETE' })).toBe(
      '403 DENIED',
    );
  });

  test('a wrong password is nobody, and the right one is taken without a token as well', {
    timeout: 120_000,
  }, async () => {
    const { proxy } = parts;
    const realm = proxy.url('registry') + OCI_PATHS.token;
    expect(await tokenOf(realm, { login: { ...alice, password: 'wrong' } })).toMatchObject({ status: 401, token: '' });
    const ask = (authorization: string): Promise<string> => shown(proxy, OCI_PATHS.base, authorization);
    expect(await ask(basicOf(alice))).toBe('200');
    expect(await ask(basicOf({ name: 'alice', password: 'wrong' }))).toBe('401 UNAUTHORIZED');
    expect(await ask('Bearer a.b.c')).toBe('401 UNAUTHORIZED');
    const answer = await fetch(proxy.url('registry') + OCI_PATHS.base);
    await answer.arrayBuffer();
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(`Bearer realm="${realm}",service="default"`);
  });

  test('a login lasts by its refresh token, until the password is another one', { timeout: 120_000 }, async () => {
    const realm = parts.proxy.url('registry') + OCI_PATHS.token;
    await shoal(['access', 'user', 'add', 'carol', '--group', 'a'], 'first password');
    const carol = { name: 'carol', password: 'first password' };
    const scope = 'repository:team-a/app:pull';
    const login = await vi.waitFor(async () => {
      const found = await tokenOf(realm, { login: carol, offline: true });
      expect(found.status).toBe(200);
      return found;
    }, stateMs);
    const byForm = { grant_type: 'password', username: 'carol', password: 'first password', access_type: 'offline' };
    expect(await tokenByForm(realm, byForm)).toMatchObject({ status: 200, refresh: expect.any(String), expires: 60 });
    const refresh = { grant_type: 'refresh_token', refresh_token: login.refresh ?? '', scope };
    const { token, status } = await tokenByForm(realm, refresh);
    expect(status).toBe(200);
    const pull = (bearer: string): Promise<string> =>
      shown(parts.proxy, OCI_PATHS.manifest('team-a/app', '1'), `Bearer ${bearer}`);
    expect(await pull(token)).toBe('200');
    // What refreshes opens nothing, and what opens refreshes nothing.
    expect(await pull(login.refresh ?? '')).toBe('401 UNAUTHORIZED');
    expect(await tokenByForm(realm, { ...refresh, refresh_token: token })).toMatchObject({ status: 401 });
    await shoal(['access', 'user', 'passwd', 'carol'], 'second password');
    await vi.waitFor(async () => expect((await tokenByForm(realm, refresh)).status).toBe(401), stateMs);
    // Who is gone has no rights, whatever his token says, here and at agents.
    expect(await pull(token)).toBe('200');
    await shoal(['access', 'user', 'rm', 'carol']);
    await vi.waitFor(async () => expect(await pull(token)).toBe('401 UNAUTHORIZED'), stateMs);
  });

  test('lists and mounts tell nothing of what one may not pull', { timeout: 120_000 }, async () => {
    const { proxy } = parts;
    const list = async (login: Login | undefined): Promise<unknown> =>
      (await asked(proxy, OCI_PATHS.catalog, login)).json();
    expect(await list(alice)).toEqual({ repositories: ['open/app', 'team-a/app'] });
    expect(await list(bob)).toEqual({ repositories: ['open/app', 'team-b/app'] });
    expect(await list(undefined)).toEqual({ repositories: ['open/app'] });
    const layer = secret.blobs[1] as Made;
    const mount = OCI_PATHS.mount('team-a/app', layer.digest, 'team-b/app');
    // As of a mount that cannot be: an upload begins.
    expect(await said(proxy, mount, alice, { method: 'POST' })).toBe('202');
    const own = OCI_PATHS.mount('team-a/web', (image.blobs[1] as Made).digest, 'team-a/app');
    expect(await said(proxy, own, alice, { method: 'POST' })).toBe('201');
    const manifest = made(
      Uint8Array.from(
        Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: MEDIA.ociManifest,
            config: { mediaType: MEDIA.octets, digest: layer.digest, size: layer.bytes.length },
            layers: [],
          }),
        ),
      ),
      MEDIA.ociManifest,
    );
    // A digest that was learned elsewhere opens nothing.
    const put = { method: 'PUT', body: manifest.bytes, headers: { 'content-type': MEDIA.ociManifest } };
    expect(await said(proxy, OCI_PATHS.manifest('team-a/app', 'stolen'), alice, put)).toBe('404 MANIFEST_BLOB_UNKNOWN');
    expect(await said(proxy, OCI_PATHS.blob('team-a/app', layer.digest), alice)).toBe('404 BLOB_UNKNOWN');
  });
});

describe('beside the registry', () => {
  test("Kraken's paths bring nothing that one may not pull", { timeout: 120_000 }, async () => {
    const { proxy } = parts;
    const path = KRAKEN_PROXY.prefetchV1.path({});
    const ask = async (tag: string, authorization: string): Promise<string> => {
      const headers = { 'content-type': 'application/json' };
      return await shown(proxy, path, authorization, {
        method: 'POST',
        headers,
        body: Buffer.from(JSON.stringify({ tag })),
      });
    };
    expect(await ask('host/team-a/app:1', '')).toBe('401 UNAUTHORIZED');
    expect(await ask('host/team-a/app:1', basicOf(bob))).toBe('403 DENIED');
    expect(await ask('host/team-a/none:1', basicOf(bob))).toBe('403 DENIED');
    expect(await ask('host/team-a/app:1', basicOf(alice))).toBe('200');
    const event = {
      action: 'push',
      target: { mediaType: image.mediaType, repository: 'team-a/app', digest: image.digest },
    };
    const body = Buffer.from(JSON.stringify({ events: [event] }));
    const notify = (authorization: string): Promise<string> =>
      shown(proxy, KRAKEN_PROXY.notify.path({}), authorization, { method: 'POST', body });
    expect(await notify('')).toBe('401 UNAUTHORIZED');
    expect(await notify(basicOf(alice))).toBe('200');
  });

  test('commands log in as docker has, or as the environment says', { timeout: 180_000 }, async () => {
    const file = join(cluster.dir, 'file.txt');
    await writeFile(file, 'what a command stores');
    const registry = ['--proxy', parts.proxy.url('registry')];
    const put = ['put', file, '--repo', 'team-a/files', '--tag', '1', ...registry];
    const docker = join(cluster.dir, 'docker');
    const nobody = { DOCKER_CONFIG: docker };
    await expect(run(put, { env: nobody })).rejects.toThrow(/docker login .*UNAUTHORIZED/);
    const env = { ...nobody, SHOAL_USER: 'alice', SHOAL_PASSWORD: alice.password };
    expect((await run(put, { env })).stdout).toContain('shoal get team-a/files:1');
    await expect(run(put, { env: { ...env, SHOAL_PASSWORD: 'wrong' } })).rejects.toThrow(/UNAUTHORIZED/);
    const { host } = new URL(parts.proxy.url('registry'));
    await mkdir(docker);
    const auth = Buffer.from(`bob:${bob.password}`).toString('base64');
    await writeFile(join(docker, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
    await expect(run(put, { env: nobody })).rejects.toThrow(/DENIED/);
    expect((await run(['ls', ...registry], { env: nobody })).stdout.split('\n').filter((line) => line !== '')).toEqual([
      ...['open/app', 'team-b/app'],
    ]);
  });

  test('an upload goes on with the token that it began with, and nothing else does', { timeout: 180_000 }, async () => {
    const proxy = await cluster.start(entryUrl('../proxy/main.ts', import.meta.url), 'short', {
      role: 'proxy',
      listen: { host: '127.0.0.1', port: 0 },
      index: [parts.index.url('api')],
      origins: parts.origins.map((origin) => origin.url('api')),
      push: { copies: 1, required: 1 },
      access: { token: '5s', leeway: '0s' },
    });
    const realm = proxy.url('registry') + OCI_PATHS.token;
    const scope = 'repository:team-a/long:pull,push';
    const token = await vi.waitFor(async () => {
      const found = await tokenOf(realm, { login: alice, scope });
      expect(found.status).toBe(200);
      return found.token;
    }, stateMs);
    const bearer = `Bearer ${token}`;
    const begin = (): Promise<Response> =>
      fetch(proxy.url('registry') + OCI_PATHS.uploads('team-a/long'), {
        method: 'POST',
        headers: { authorization: bearer },
      });
    const begun = await begin();
    const at = begun.headers.get('location') as string;
    const layer = made(Uint8Array.from(Buffer.from('a layer that takes long')));
    const missing = OCI_PATHS.manifest('team-a/long', 'none');
    await vi.waitFor(async () => expect(await shown(proxy, missing, bearer)).toBe('401 UNAUTHORIZED'), stateMs);
    expect((await begin()).status).toBe(401);
    const patched = await fetch(proxy.url('registry') + at, {
      method: 'PATCH',
      headers: { authorization: bearer },
      body: layer.bytes,
    });
    expect(patched.status).toBe(202);
    const last = patched.headers.get('location') as string;
    // Nor is it anybody's else.
    const bobs = await tokenOf(realm, { login: bob, scope });
    expect(await shown(proxy, last, `Bearer ${bobs.token}`)).toBe('403 DENIED');
    expect(await shown(proxy, OCI_PATHS.commit(last, layer.digest), bearer, { method: 'PUT' })).toBe('201');
  });
});

describe('at an agent', () => {
  const answers = async (path: string, login: Login | undefined, method = 'GET'): Promise<string> => {
    // An agent that is started beside the proxy names the port that proxies have by default.
    const realm = parts.proxy.url('registry') + OCI_PATHS.token;
    const repo = path.split('/').slice(2, 4).join('/');
    const { token } = await tokenOf(realm, { login, scope: `repository:${repo}:pull,push` });
    return await shown(parts.agent, path, token === '' ? '' : `Bearer ${token}`, { method });
  };

  test('tokens of the proxy are taken, passwords are not', { timeout: 120_000 }, async () => {
    const { agent } = parts;
    const path = OCI_PATHS.manifest('team-a/app', '1');
    await vi.waitFor(async () => expect(await answers(path, alice)).toBe('200'), stateMs);
    expect(await answers(path, bob)).toBe('403 DENIED');
    expect(await answers(path, undefined)).toBe('401 UNAUTHORIZED');
    const answer = await fetch(agent.url('registry') + path, { headers: { authorization: basicOf(alice) } });
    await answer.arrayBuffer();
    expect(answer.status).toBe(401);
    const scope = 'repository:team-a/app:pull';
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer realm="http://127.0.0.1:15000/v2/token",service="default",scope="${scope}"`,
    );
  });

  test('what one tenant has in the cache another one does not get', { timeout: 120_000 }, async () => {
    for (const { digest } of image.blobs)
      expect(await answers(OCI_PATHS.blob('team-a/app', digest), alice)).toBe('200');
    for (const { digest } of image.blobs) {
      for (const method of ['GET', 'HEAD'])
        expect(await answers(OCI_PATHS.blob('team-b/app', digest), bob, method)).toMatch(/^404/);
      expect(await answers(OCI_PATHS.blob('open/app', digest), undefined)).toBe('200');
    }
    const asManifest = OCI_PATHS.manifest('team-b/app', image.digest);
    expect(await answers(asManifest, bob)).toBe('404 MANIFEST_UNKNOWN');
    expect(await answers(OCI_PATHS.blob('team-b/app', image.digest), bob)).toBe('404 BLOB_UNKNOWN');
    // Nor by the digest alone, at the other port.
    const layer = (image.blobs[0] as Made).digest;
    const plain = await fetch(parts.agent.url('admin') + AGENT.read.path({ digest: layer }));
    expect([plain.status, await plain.json()]).toMatchObject([403, { errors: [{ code: 'DENIED' }] }]);
  });

  test('a key that is rotated fails nobody, and one that is forgotten opens nothing', {
    timeout: 180_000,
  }, async () => {
    const path = OCI_PATHS.manifest('team-a/app', '1');
    const realm = parts.proxy.url('registry') + OCI_PATHS.token;
    const { token } = await tokenOf(realm, { login: alice, scope: 'repository:team-a/app:pull' });
    const withOld = (): Promise<string> => shown(parts.agent, path, `Bearer ${token}`);
    await shoal(['access', 'rotate-key']);
    expect(await answers(path, alice)).toBe('200');
    expect(await withOld()).toBe('200');
    await shoal(['access', 'rotate-key', '--forget-old']);
    await vi.waitFor(async () => expect(await withOld()).toBe('401 UNAUTHORIZED'), stateMs);
    await vi.waitFor(async () => expect(await answers(path, alice)).toBe('200'), stateMs);
  });

  test('a host that is cut off goes on with what it knows', { timeout: 180_000 }, async () => {
    const path = OCI_PATHS.blob('team-a/app', (image.blobs[0] as Made).digest);
    const { token } = await tokenOf(parts.proxy.url('registry') + OCI_PATHS.token, {
      login: alice,
      scope: 'repository:team-a/app:pull',
    });
    const now = (where: string): Promise<string> => shown(parts.agent, where, `Bearer ${token}`);
    expect(await now(path)).toBe('200');
    parts.index.hang();
    try {
      expect(await now(path)).toBe('200');
      // What was not asked for before nobody can tell.
      expect(await now(OCI_PATHS.blob('team-a/app', (secret.blobs[1] as Made).digest))).toBe('503 UNAVAILABLE');
    } finally {
      parts.index.wake();
    }
  });
});
