/** cosign signs, and real clients pull and push, where images must be signed: every form in which cosign keeps signatures. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { type Parts, startParts } from '../../cluster.fixtures.ts';
import { startContainerd } from '../engines.ts';
import { writeMultiArchLayout } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
const env = { COSIGN_PASSWORD: '', COSIGN_YES: 'true' };
let parts: Parts;
let dir = '';
let proxy = '';
let agent = '';

const cosign = (...args: string[]): Promise<string> => run('cosign', args, { ...env, HOME: dir });
const crane = (...args: string[]): Promise<string> => run('crane', ['--insecure', ...args]);
const key = (name: string, kind: 'key' | 'pub'): string => join(dir, `${name}.${kind}`);
const offline = ['--tlog-upload=false', '--allow-insecure-registry'];
const sign = (by: string, image: string, ...more: string[]): Promise<string> =>
  cosign('sign', '--key', key(by, 'key'), ...offline, ...more, image);
const said = (doing: Promise<string>): Promise<string> =>
  doing.then(
    () => 'it was taken',
    (error: Error) => error.message,
  );

beforeAll(async () => {
  dir = await temporary(stack, 'cosign');
  for (const name of ['ours', 'theirs']) await cosign('generate-key-pair', '--output-key-prefix', join(dir, name));
  const cluster = stack.use(await Cluster.make());
  const keys = [
    key('ours', 'pub'),
    await made('rsa', ['rsa', '-pkeyopt', 'rsa_keygen_bits:2048']),
    await made('ed', ['ed25519']),
  ];
  const cosignRules = [
    { repositories: 'team/**', keys },
    { repositories: 'pulled/**', keys, at: ['pull'] },
    { repositories: 'copied/**', keys, identity: ['staging/**'] },
  ];
  const verify = { cosign: cosignRules };
  parts = await startParts(cluster, { proxy: { verify }, agent: { verify } });
  proxy = `127.0.0.1:${parts.proxy.ports['registry']}`;
  agent = `127.0.0.1:${parts.agent.ports['registry']}`;
}, 120_000);
afterAll(() => stack.disposeAsync());

/** A key pair of another kind, made by openssl and taken by cosign; the public one. */
async function made(name: string, [algorithm = '', ...options]: readonly string[]): Promise<string> {
  const pem = join(dir, `${name}.pem`);
  await run('openssl', ['genpkey', '-algorithm', algorithm, ...options, '-out', pem]);
  await cosign('import-key-pair', '--key', pem, '--output-key-prefix', join(dir, name));
  return key(name, 'pub');
}

/** Pushes an image of its own by digest, which needs no signature. `file` is what crane pushes. */
async function pushed(repo: string): Promise<{ readonly digest: string; readonly file: string }> {
  const at = join(dir, repo.replaceAll('/', '-'));
  await mkdir(at);
  await writeFile(join(at, 'text'), repo);
  const [layer, file] = [join(at, 'layer.tar'), join(at, 'image.tar')];
  await run('tar', ['-cf', layer, '-C', at, 'text']);
  await crane('append', '--oci-empty-base', '-f', layer, '-t', `${proxy}/${repo}:x`, '-o', file);
  const digest = await crane('digest', '--tarball', file);
  await crane('push', file, `${proxy}/${repo}@${digest}`);
  return { digest, file };
}

test('a tag is set, and an image pulled, once it is signed; before that clients are told why not', async () => {
  const { digest, file } = await pushed('team/app');
  const tagged = () => said(crane('push', file, `${proxy}/team/app:1`));
  expect(await tagged()).toMatch(
    /DENIED: .*is not signed as verify\.cosign\[0\].*ours\.pub \(sha256:.*no signature was found/s,
  );
  expect(await said(crane('manifest', `${agent}/team/app@${digest}`))).toMatch(/DENIED: .*is not signed/s);
  await sign('theirs', `${proxy}/team/app@${digest}`);
  await expect.poll(tagged, { timeout: 60_000 }).toMatch(/DENIED: .*by another key/s);
  await sign('ours', `${proxy}/team/app@${digest}`);
  await expect.poll(tagged, { timeout: 60_000, interval: 500 }).toBe('it was taken');
  expect(await crane('digest', `${agent}/team/app:1`)).toBe(digest);
  expect(await crane('validate', '--remote', `${agent}/team/app:1`)).toContain('PASS');
  // What it looked at can be looked at by others, through the agent as well.
  for (const at of [proxy, agent])
    expect(
      await cosign(
        'verify',
        '--key',
        key('ours', 'pub'),
        '--insecure-ignore-tlog',
        '--allow-insecure-registry',
        `${at}/team/app:1`,
      ),
    ).toContain(digest);
});

const FORMS = [
  { form: 'by RSA', by: 'rsa', flags: [] },
  { form: 'by Ed25519', by: 'ed', flags: [] },
  { form: 'by Ed25519, as a bundle', by: 'ed', flags: ['--new-bundle-format'] },
  { form: 'among the referrers', by: 'ours', flags: ['--registry-referrers-mode=oci-1-1'] },
  { form: 'as a bundle', by: 'ours', flags: ['--new-bundle-format'] },
];
test.each(FORMS)('a signature $form', async ({ form, by, flags }) => {
  const repo = `team/${form.replaceAll(/[ ,]+/g, '-').toLowerCase()}`;
  const { digest } = await pushed(repo);
  const image = `${proxy}/${repo}@${digest}`;
  expect(await said(crane('tag', image, '1'))).toContain('DENIED');
  await run('cosign', ['sign', '--key', key(by, 'key'), ...offline, ...flags, image], {
    ...env,
    HOME: dir,
    COSIGN_EXPERIMENTAL: '1',
  });
  await expect.poll(() => said(crane('tag', image, '1')), { timeout: 60_000, interval: 500 }).toBe('it was taken');
  expect(await crane('digest', `${agent}/${repo}:1`)).toBe(digest);
});

test('an index is signed with all that it lists; containerd gets nothing of what is not, by no door', async () => {
  const layout = join(dir, 'multi');
  const index = await writeMultiArchLayout(layout, ['amd64', 'arm64']);
  await run('skopeo', [
    ...[
      'copy',
      '--insecure-policy',
      '--all',
      '--dest-tls-verify=false',
      `oci:${layout}`,
      `docker://${proxy}/pulled/multi:1`,
    ],
  ]);
  const ctr = await startContainerd(stack);
  const fetched = () => said(ctr('content', 'fetch', '--plain-http', '--all-platforms', `${agent}/pulled/multi:1`));
  expect(await fetched()).toMatch(/403|denied/i);
  expect(await ctr('content', 'ls', '-q')).toBe('');
  await sign('ours', `${proxy}/pulled/multi@${index}`);
  await expect.poll(fetched, { timeout: 60_000, interval: 500 }).toBe('it was taken');
  const { manifests } = JSON.parse(await crane('manifest', `${agent}/pulled/multi:1`)) as {
    manifests: { digest: string }[];
  };
  const kept = await ctr('content', 'ls', '-q');
  for (const digest of [index, ...manifests.map((one) => one.digest)]) expect(kept).toContain(digest);
});

test('docker push knows no digests: it goes to a repository without a policy, and cosign copies what is signed', async () => {
  const { file } = await pushed('staging/app');
  await crane('push', file, `${proxy}/staging/app:1`);
  const copy = () =>
    said(cosign('copy', '--allow-insecure-registry', `${proxy}/staging/app:1`, `${proxy}/copied/app:1`));
  expect(await copy()).toContain('DENIED');
  await sign('ours', `${proxy}/staging/app:1`);
  await expect.poll(copy, { timeout: 60_000, interval: 500 }).toBe('it was taken');
  expect(await said(crane('validate', '--remote', `${agent}/copied/app:1`))).toBe('it was taken');
});
