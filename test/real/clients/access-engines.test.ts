/**
 * Engines that log in: docker with its own file, with a credential helper and with a client certificate (certs.d), and
 * containerd by hosts.toml. And pushes that outlast their tokens.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { ask, basic, bearer } from '../../access-callers.fixtures.ts';
import { startContainerd, startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { run, temporary } from '../processes.ts';
import { denied, PASSWORDS, type Registries, refusal, startRegistries, unauthorized } from './access.fixtures.ts';

/** Of this machine, and not loopback's. */
const address = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
const stack = new AsyncDisposableStack();
let at: Registries;
let docker: (...args: string[]) => Promise<string>;
let dockerDir = '';
let built = '';

beforeAll(async () => {
  dockerDir = await temporary(stack, 'docker');
  [at, docker] = await Promise.all([
    startRegistries(stack, address === undefined ? [] : [address]),
    startDocker(stack, dockerDir),
  ]);
  const folder = join(at.dir, 'context');
  await writeContext(folder, [2 << 20, 1 << 20]);
  await docker('build', '-q', '-t', 'built', folder);
  built = await docker('image', 'inspect', '-f', '{{.Id}}', 'built');
});
afterAll(() => stack.disposeAsync());

const login = (door: string, name: keyof typeof PASSWORDS, password: string = PASSWORDS[name]): Promise<string> =>
  docker('login', '-u', name, '-p', password, door);

async function push(name: string, host = at.proxy): Promise<string> {
  await docker('tag', built, `${host}/${name}`);
  return await docker('push', `${host}/${name}`);
}

/** host:port at the address of this machine that leads there. */
async function forwarded(to: string): Promise<string> {
  const server = createServer((socket) => {
    const { hostname, port } = new URL(`http://${to}`);
    const on = connect(Number(port), hostname);
    for (const [one, other] of [
      [socket, on],
      [on, socket],
    ] as const)
      one.on('error', () => other.destroy()).pipe(other);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  stack.defer(() => void server.close());
  return `${address}:${(server.address() as AddressInfo).port}`;
}

describe('docker', () => {
  test('logs in and pushes at the proxy, pulls at the agent, and is nobody once it has logged out', async () => {
    expect(await refusal(push('team/app:1'))).toMatch(/unauthorized|no basic auth credentials|denied/);
    expect(await login(at.proxy, 'alice')).toContain('Login Succeeded');
    expect(await push('team/app:1')).toMatch(/1: digest: sha256:[0-9a-f]{64}/);
    await docker('rmi', '-f', built);
    expect(await login(at.agent, 'bob')).toContain('Login Succeeded');
    await docker('pull', '-q', `${at.agent}/team/app:1`);
    built = await docker('image', 'inspect', '-f', '{{.Id}}', `${at.agent}/team/app:1`);
    await docker('logout', at.agent);
    await docker('rmi', `${at.agent}/team/app:1`).catch(() => undefined);
    expect(await refusal(docker('pull', '-q', `${at.agent}/team/app:1`))).toMatch(/unauthorized|denied|no basic auth/);
    await docker('pull', '-q', `${at.proxy}/team/app:1`);
  });

  test('is not logged in with a wrong password', async () => {
    expect(await refusal(login(at.proxy, 'alice', 'guess'))).toMatch(unauthorized);
  });

  test('is told so where it may not', async () => {
    await login(at.proxy, 'bob');
    expect(await refusal(push('team/app:2'))).toMatch(denied);
    await login(at.agent, 'carol');
    expect(await refusal(docker('pull', '-q', `${at.agent}/team/app:1`))).toMatch(denied);
    await docker('logout', at.agent);
    await docker('logout', at.proxy);
  });

  test('takes what a credential helper says', async () => {
    const bin = join(at.dir, 'bin');
    const helper = join(bin, 'docker-credential-shoaltest');
    const said = JSON.stringify({ Username: 'alice', Secret: PASSWORDS.alice });
    await mkdir(bin);
    await writeFile(helper, `#!/bin/sh\ncat >/dev/null\n[ "$1" = get ] && printf '%s' '${said}'\n`);
    await chmod(helper, 0o755);
    const config = join(at.dir, 'helped');
    await mkdir(config);
    await writeFile(join(config, 'config.json'), JSON.stringify({ credsStore: 'shoaltest' }));
    await docker('tag', built, `${at.proxy}/team/helped:1`);
    const env = { PATH: `${bin}:${process.env['PATH']}`, DOCKER_CONFIG: config };
    const printed = await run('docker', ['push', `${at.proxy}/team/helped:1`], {
      ...env,
      DOCKER_HOST: `unix://${join(dockerDir, 'sock')}`,
    });
    expect(printed).toMatch(/1: digest: sha256:/);
  });

  test('shows the certificate that lies in certs.d, and needs no login', async () => {
    // To a registry of loopback docker shows none.
    const host = await forwarded(at.proxy);
    const certs = `/etc/docker/certs.d/${host}`;
    await mkdir(certs, { recursive: true });
    try {
      await writeFile(join(certs, 'ca.crt'), at.cluster.authority);
      expect(await refusal(push('team/certified:1', host))).toMatch(/unauthorized|no basic auth|denied/);
      const { certificate } = at.cluster.certificate('/OU=release/CN=Jane Doe');
      await writeFile(join(certs, 'client.cert'), certificate?.cert ?? '');
      await writeFile(join(certs, 'client.key'), certificate?.key ?? '');
      expect(await push('team/certified:1', host)).toMatch(/1: digest: sha256:/);
      expect(await login(host, 'bob')).toContain('Login Succeeded');
    } finally {
      await rm(certs, { recursive: true });
    }
  });
});

test('containerd pulls and pushes as a user, and by a token in hosts.toml', async () => {
  const ctr = await startContainerd(stack);
  const user = (name: keyof typeof PASSWORDS): string[] => ['--user', `${name}:${PASSWORDS[name]}`, '--plain-http'];
  const image = `${at.agent}/team/app:1`;
  const pull = ['images', 'pull', '--snapshotter', 'native'];
  expect(await refusal(ctr(...pull, '--plain-http', image))).toMatch(unauthorized);
  expect(await refusal(ctr(...pull, ...user('carol'), image))).toMatch(denied);
  await ctr(...pull, ...user('bob'), image);
  await ctr('images', 'tag', image, `${at.proxy}/team/by-ctr:1`);
  await ctr('images', 'push', ...user('alice'), `${at.proxy}/team/by-ctr:1`);
  const hosts = join(at.dir, 'hosts.d');
  const token = await at.cluster.issuer.token({ sub: 'system:serviceaccount:prod:node' });
  await mkdir(join(hosts, at.agent), { recursive: true });
  const toml = [
    `server = "http://${at.agent}"`,
    `[host."http://${at.agent}"]`,
    '  capabilities = ["pull", "resolve"]',
    `  [host."http://${at.agent}".header]`,
    `    authorization = "Bearer ${token}"`,
  ];
  await writeFile(join(hosts, at.agent, 'hosts.toml'), `${toml.join('\n')}\n`);
  await ctr('images', 'rm', image);
  await ctr(...pull, '--hosts-dir', hosts, image);
  expect(await ctr('images', 'ls', '-q')).toContain(image);
});

test('an upload goes on with a token that has expired meanwhile, and nothing else does', async () => {
  const proxy = at.cluster.url('proxy');
  const token =
    (await at.cluster.token({ name: 'alice', password: PASSWORDS.alice }, 'repository:team/slow:pull,push')) ?? '';
  const begun = await ask('POST', proxy + OCI_PATHS.uploads('team/slow'), bearer(token));
  expect(begun.status).toBe(202);
  const { pathname, search } = new URL(begun.headers.location ?? '', proxy);
  const expired = bearer(await at.cluster.changed(token, { exp: Math.floor(Date.now() / 1_000) - 600 }));
  const bytes = randomBytes(100_000);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const sent = await ask('PATCH', proxy + pathname + search, expired, bytes);
  expect([sent.status, sent.text]).toEqual([202, '']);
  const next = new URL(sent.headers.location ?? '', proxy);
  const done = await ask('PUT', OCI_PATHS.commit(next.href, digest), expired);
  expect([done.status, done.text]).toEqual([201, '']);
  expect(await ask('POST', proxy + OCI_PATHS.uploads('team/slow'), expired)).toMatchObject({ status: 401 });
  expect(await ask('GET', proxy + OCI_PATHS.blob('team/slow', digest), expired)).toMatchObject({ status: 401 });
  expect(await ask('GET', proxy + OCI_PATHS.blob('team/slow', digest), basic('bob', PASSWORDS.bob))).toMatchObject({
    status: 200,
  });
});
