/** Registry tools with logins of their own: who may does, who may not is told so, and who logs out is nobody. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../processes.ts';
import {
  buildImage,
  denied,
  dockerConfig,
  PASSWORDS,
  type Registries,
  refusal,
  startRegistries,
  unauthorized,
} from './access.fixtures.ts';

const stack = new AsyncDisposableStack();
let at: Registries;
let image = '';
/** DOCKER_CONFIG of each. */
const configs = { alice: '', bob: '', carol: '', wrong: '' };

beforeAll(async () => {
  at = await startRegistries(stack);
  image = await buildImage(at.dir);
  for (const [name, password] of Object.entries(PASSWORDS))
    configs[name as keyof typeof PASSWORDS] = await dockerConfig(at, name, password);
  configs.wrong = await dockerConfig(at, 'alice-mistyped', 'guess');
});
afterAll(() => stack.disposeAsync());

const skopeo = (...args: string[]): Promise<string> => run('skopeo', args);
const copy = (from: string, to: string, ...options: string[]): Promise<string> =>
  skopeo('copy', '--insecure-policy', '--src-tls-verify=false', '--dest-tls-verify=false', ...options, from, to);
const crane = (who: keyof typeof configs, ...args: string[]): Promise<string> =>
  run('crane', [...args, '--insecure'], { DOCKER_CONFIG: configs[who] });

describe('skopeo', () => {
  const authfile = (): string => join(at.dir, 'skopeo.json');
  const login = (door: string, name: keyof typeof PASSWORDS): Promise<string> =>
    skopeo('login', '--tls-verify=false', '--authfile', authfile(), '-u', name, '-p', PASSWORDS[name], door);

  test('logs in at the proxy, pushes there, and pulls at the agent', async () => {
    expect(await login(at.proxy, 'alice')).toContain('Login Succeeded');
    await copy(image, `docker://${at.proxy}/team/app:1`, '--dest-authfile', authfile());
    // An agent takes no passwords: it names the proxy, which gives a token for them.
    expect(await login(at.agent, 'bob')).toContain('Login Succeeded');
    await copy(`docker://${at.agent}/team/app:1`, `dir:${join(at.dir, 'pulled')}`, '--src-authfile', authfile());
  });

  test('logs out, and is nobody', async () => {
    await skopeo('logout', '--authfile', authfile(), at.agent);
    const pull = copy(`docker://${at.agent}/team/app:1`, `dir:${join(at.dir, 'none')}`, '--src-authfile', authfile());
    expect(await refusal(pull)).toMatch(unauthorized);
  });

  test('is not logged in with a wrong password', async () => {
    const wrong = ['--tls-verify=false', '--authfile', join(at.dir, 'wrong.json'), '-u', 'alice', '-p', 'guess'];
    expect(await refusal(skopeo('login', ...wrong, at.proxy))).toMatch(/unauthorized|invalid username\/password/);
  });

  test('is told so where it may not', async () => {
    const creds = (name: keyof typeof PASSWORDS): string => `${name}:${PASSWORDS[name]}`;
    const push = copy(image, `docker://${at.proxy}/team/app:2`, '--dest-creds', creds('bob'));
    expect(await refusal(push)).toMatch(/push of team\/app: user bob may not|denied/);
    const pull = copy(`docker://${at.agent}/team/app:1`, `dir:${join(at.dir, 'none')}`, '--src-creds', creds('carol'));
    expect(await refusal(pull)).toMatch(/pull of team\/app: user carol may not|denied/);
  });

  test("pushes with another issuer's token as password, and with a certificate and no password", async () => {
    const token = await at.cluster.issuer.token({ sub: 'builder' });
    await copy(image, `docker://${at.proxy}/team/by-token:1`, '--dest-creds', `oidc:${token}`);
    const { certificate } = at.cluster.certificate('/OU=release/CN=Jane Doe');
    const certs = join(at.dir, 'certs');
    await mkdir(certs);
    await writeFile(join(certs, 'client.cert'), certificate?.cert ?? '');
    await writeFile(join(certs, 'client.key'), certificate?.key ?? '');
    await copy(image, `docker://${at.proxy}/team/by-certificate:1`, '--dest-cert-dir', certs);
    await copy(`docker://${at.agent}/team/by-certificate:1`, `dir:${join(at.dir, 'back')}`, '--src-cert-dir', certs);
  });
});

describe('crane, with what Kubernetes has in imagePullSecrets', () => {
  test('pushes and pulls', async () => {
    await crane('alice', 'copy', `${at.proxy}/team/app:1`, `${at.proxy}/team/copied:1`);
    expect(await crane('bob', 'digest', `${at.agent}/team/copied:1`)).toMatch(/^sha256:/);
    expect(await crane('bob', 'validate', '--remote', `${at.agent}/team/copied:1`)).toContain('PASS');
  });

  test("pulls by a service account's token", async () => {
    const sub = 'system:serviceaccount:prod:web';
    const config = await dockerConfig(at, 'kubernetes', await at.cluster.issuer.token({ sub }));
    const pull = run('crane', ['digest', '--insecure', `${at.agent}/team/app:1`], { DOCKER_CONFIG: config });
    expect(await pull).toMatch(/^sha256:/);
  });

  test('is told so where it may not, and what is wrong where it is not known', async () => {
    const push = crane('bob', 'copy', `${at.proxy}/team/app:1`, `${at.proxy}/team/copied:2`);
    expect(await refusal(push)).toMatch(denied);
    expect(await refusal(crane('carol', 'digest', `${at.agent}/team/app:1`))).toMatch(denied);
    expect(await refusal(crane('wrong', 'digest', `${at.agent}/team/app:1`))).toMatch(unauthorized);
  });
});

test('helm logs in, pushes a chart and pulls it', async () => {
  const config = join(at.dir, 'helm.json');
  const helm = (...args: string[]): Promise<string> => run('helm', [...args, '--registry-config', config]);
  const login = (door: string, name: keyof typeof PASSWORDS): Promise<string> =>
    helm('registry', 'login', door, '--plain-http', '-u', name, '-p', PASSWORDS[name]);
  await helm('create', join(at.dir, 'chart'));
  await helm('package', join(at.dir, 'chart'), '-d', at.dir);
  const push = (): Promise<string> =>
    helm('push', join(at.dir, 'chart-0.1.0.tgz'), `oci://${at.proxy}/team/charts`, '--plain-http');
  expect(await refusal(push())).toMatch(unauthorized);
  await login(at.proxy, 'bob');
  expect(await refusal(push())).toMatch(denied);
  await login(at.proxy, 'alice');
  await push();
  await login(at.agent, 'bob');
  await mkdir(join(at.dir, 'got'));
  await helm(
    'pull',
    `oci://${at.agent}/team/charts/chart`,
    '--version',
    '0.1.0',
    '--plain-http',
    '-d',
    join(at.dir, 'got'),
  );
});

describe.each(['podman', 'buildah'] as const)('%s', (program) => {
  const args = (...rest: string[]): string[] => [
    ...['--root', join(at.dir, program, 'root'), '--runroot', join(at.dir, program, 'run'), '--storage-driver', 'vfs'],
    ...rest,
  ];
  const tool = (...rest: string[]): Promise<string> => run(program, args(...rest));

  test('logs in, pulls, pushes, and logs out', async () => {
    const authfile = join(at.dir, `${program}.json`);
    const auth = ['--tls-verify=false', '--authfile', authfile];
    const policy = join(at.dir, 'policy.json');
    await writeFile(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
    const pull = (): Promise<string> =>
      tool('pull', '-q', ...auth, '--signature-policy', policy, `${at.agent}/team/app:1`);
    await writeFile(authfile, '{}');
    expect(await refusal(pull())).toMatch(unauthorized);
    for (const door of [at.agent, at.proxy]) await tool('login', ...auth, '-u', 'alice', '-p', PASSWORDS.alice, door);
    await pull();
    const pushed = `${at.proxy}/team/by-${program}:1`;
    const name = `${at.agent}/team/app:1`;
    await tool('push', '-q', ...auth, '--signature-policy', policy, name, `docker://${pushed}`);
    expect(await crane('bob', 'digest', pushed)).toMatch(/^sha256:/);
    await tool('logout', '--authfile', authfile, at.proxy);
    const again = tool('push', '-q', ...auth, '--signature-policy', policy, name, `docker://${pushed}`);
    expect(await refusal(again)).toMatch(unauthorized);
  });
});

test('regctl logs in, copies, and is told so where it may not', async () => {
  const env = { REGCTL_CONFIG: join(at.dir, 'regctl.json'), DOCKER_CONFIG: at.dir };
  const regctl = (...args: string[]): Promise<string> => run('regctl', args, env);
  for (const door of [at.proxy, at.agent]) {
    // It looks whether the registry answers, and may not yet; what is set holds all the same.
    await regctl('registry', 'set', '--tls', 'disabled', '--skip-check', door);
    await regctl('registry', 'login', door, '-u', 'alice', '-p', PASSWORDS.alice);
  }
  await regctl('image', 'copy', `${at.agent}/team/app:1`, `${at.proxy}/team/by-regctl:1`);
  await regctl('registry', 'login', at.proxy, '-u', 'bob', '-p', PASSWORDS.bob);
  expect(await refusal(regctl('image', 'copy', `${at.agent}/team/app:1`, `${at.proxy}/team/by-regctl:2`))).toMatch(
    denied,
  );
});

test('cosign signs and verifies', async () => {
  const env = { DOCKER_CONFIG: configs.alice, COSIGN_PASSWORD: '' };
  const digest = await crane('alice', 'digest', `${at.proxy}/team/app:1`);
  const keys = join(at.dir, 'cosign');
  await run('cosign', ['generate-key-pair', '--output-key-prefix', keys], env);
  const sign = ['sign', '--key', `${keys}.key`, '--tlog-upload=false', '--yes', '--allow-insecure-registry'];
  const bobs = run('cosign', [...sign, `${at.proxy}/team/app@${digest}`], { ...env, DOCKER_CONFIG: configs.bob });
  expect(await refusal(bobs)).toMatch(denied);
  await run('cosign', [...sign, `${at.proxy}/team/app@${digest}`], env);
  const verify = ['verify', '--key', `${keys}.pub`, '--insecure-ignore-tlog', '--allow-insecure-registry'];
  const printed = await run('cosign', [...verify, `${at.agent}/team/app@${digest}`], {
    ...env,
    DOCKER_CONFIG: configs.bob,
  });
  expect(printed).toContain(digest);
});
