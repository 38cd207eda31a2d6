/** Certificates that are renewed under a process: taken where they are right, told and not taken where they are not. */

import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { MEMBERS } from '../../core/contracts/members.ts';
import { certificatesIn, factsOf } from '../certs/facts.ts';
import { filesIn, writeSecret } from '../certs/files.ts';
import { revocationLists } from '../certs/make.ts';
import type { MaterialFiles } from '../certs/material.ts';
import { readMaterial } from '../certs/material.ts';
import { pemOf, TestAuthority } from '../certs/testing.fixtures.ts';
import { serve } from '../http/serve.ts';
import { createHttp, listen } from '../http/server.ts';
import { Credentials } from '../net/credentials.ts';
import { secureHttp } from '../net/secure-http.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { CertificateFiles } from './files.ts';
import { operatorHttp } from './operator.ts';
import { Secure } from './secure.ts';
import { whoIsIn } from './who.ts';

let authority: TestAuthority;
beforeAll(async () => {
  authority = await TestAuthority.make();
});
afterAll(() => authority[Symbol.dispose]());

const everyMs = 20;
const holder = { role: 'origin', cluster: 'test' } as const;

function opened(files: MaterialFiles, metrics = new Metrics()): CertificateFiles {
  return new CertificateFiles({ files, holder, log: silentLog(), metrics, everyMs });
}

function put(from: MaterialFiles, to: MaterialFiles): void {
  const { certificate, key } = pemOf(from);
  writeSecret(to.key, key);
  writeSecret(to.certificate, certificate);
}

const lineOf = async (metrics: Metrics, line: string): Promise<string> =>
  (await metrics.text()).split('\n').find((one) => one.startsWith(line)) ?? '';

test('a rename, a rewrite and an exchanged symbolic link are all seen', async () => {
  const names = ['one', 'two', 'three', 'four'];
  const [one, two, three, four] = (await Promise.all(names.map((name) => authority.issue('origin', { name })))) as [
    MaterialFiles,
    MaterialFiles,
    MaterialFiles,
    MaterialFiles,
  ];
  // As Kubernetes has it: files -> ..data -> a directory of the day.
  const dir = join(authority.dir, 'secret');
  for (const [day, from] of [
    ['a', one],
    ['b', four],
  ] as const) {
    mkdirSync(join(dir, day), { recursive: true });
    for (const [file, path] of Object.entries(filesIn(join(dir, day)))) copyFileSync(from[file as 'ca'], path);
  }
  symlinkSync('a', join(dir, '..data'));
  for (const file of ['ca.crt', 'tls.crt', 'tls.key']) symlinkSync(join('..data', file), join(dir, file));
  using files = opened(filesIn(dir));
  expect(files.identity.name).toBe('one');
  put(two, filesIn(join(dir, 'a')));
  await expect.poll(() => files.identity.name).toBe('two');
  for (const file of ['key', 'certificate'] as const) writeFileSync(filesIn(join(dir, 'a'))[file], pemOf(three)[file]);
  await expect.poll(() => files.identity.name).toBe('three');
  symlinkSync('b', join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  await expect.poll(() => files.identity.name).toBe('four');
});

test('what is wrong changes nothing, is told, and is over once it is right', async () => {
  const files = await authority.issue('origin', { name: 'before' });
  const metrics = new Metrics();
  using watched = opened(files, metrics);
  const expires = await lineOf(metrics, 'shoal_certificate_expires_timestamp_seconds{what="certificate"}');
  expect(Number(expires.split(' ')[1])).toBeCloseTo((authority.nowMs + 90 * 86_400_000) / 1_000, -1);
  put(await authority.issue('agent'), files);
  await expect.poll(() => watched.warnings().join()).toContain('tls.crt: is of agent/agent, and this is an origin');
  rmSync(files.key);
  await expect.poll(() => watched.warnings().join()).toContain('tls.key: there is no such file');
  expect(watched.identity.name).toBe('before');
  expect(await lineOf(metrics, 'shoal_certificate_reloads_total{result="refused"}')).not.toBe('');
  put(await authority.issue('origin', { name: 'after' }), files);
  await expect.poll(() => watched.identity.name).toBe('after');
  expect(watched.warnings()).toEqual([]);
});

test('calls go on while both sides are renewed, and who is revoked gets in no more', { timeout: 30_000 }, async () => {
  const [server, client] = await Promise.all([authority.issue('origin'), authority.issue('admin')]);
  const none = await revocationLists(authority.pair, [], { fromMs: authority.nowMs, untilMs: authority.nowMs + 1e8 });
  const crl = authority.file('renewed.crl', none);
  await using stack = new AsyncDisposableStack();
  const metrics = new Metrics();
  const secure = stack.use(new Secure({ files: { ...server, crl }, holder, log: silentLog(), metrics, everyMs }));
  const app = createHttp({ role: 'origin', log: silentLog(), metrics, readiness: async () => [] });
  secure.guard(app, 'origin');
  serve(app, MEMBERS.status, () => ({ lists: [] }));
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }, secure.doors('origin')));
  const found = readMaterial(client, { role: undefined, cluster: undefined }, Date.now());
  if (!('identity' in found)) throw new Error(found.join());
  const credentials = new Credentials(found, whoIsIn('test', Date.now));
  const to = secureHttp(credentials, ['origin']).to(`http://127.0.0.1:${port}`, { connections: 2 });
  stack.defer(() => to.destroy());
  const statuses = new Map<number, number>();
  const call = async (): Promise<number> => {
    const { status, discard } = await to.request({
      method: 'GET',
      path: MEMBERS.status.path({}),
      signal: AbortSignal.timeout(5_000),
    });
    await discard();
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    return status;
  };
  const during = async (until: () => boolean): Promise<void> => {
    while (!until()) await Promise.all([call(), call(), call()]);
  };
  await during(() => (statuses.get(200) ?? 0) > 20);
  put(await authority.issue('origin', { name: 'renewed' }), server);
  await during(() => secure.identity.name === 'renewed');
  const again = await authority.issue('admin', { name: 'renewed' });
  const renewed = readMaterial(again, { role: undefined, cluster: undefined }, Date.now());
  if (!('identity' in renewed)) throw new Error(renewed.join());
  credentials.replace(renewed);
  await during(() => (statuses.get(200) ?? 0) > 60);
  expect([...statuses.keys()]).toEqual([200]);
  const serial = certificatesIn(pemOf(again).certificate).map((one) => factsOf(one).serial);
  writeSecret(
    crl,
    await revocationLists(authority.pair, serial, { fromMs: authority.nowMs, untilMs: authority.nowMs + 1e8 }),
  );
  await expect.poll(call).toBe(403);
  expect([...statuses.keys()].sort()).toEqual([200, 403]);
});

test.each([
  ['refuse', [403, 403]],
  ['keep', [200, 403]],
] as const)('a list that expires under the process: %s', { timeout: 60_000 }, async (crlExpired, after) => {
  await using stack = new AsyncDisposableStack();
  const [server, right, gone] = await Promise.all([
    authority.issue('origin'),
    authority.issue('admin', { name: 'right' }),
    authority.issue('admin', { name: 'gone' }),
  ]);
  const serials = certificatesIn(pemOf(gone).certificate).map((one) => factsOf(one).serial);
  const untilMs = Date.now() + 4_000;
  const list = await revocationLists(authority.pair, serials, { fromMs: authority.nowMs - 1e6, untilMs });
  const files = { ...server, crl: authority.file(`${crlExpired}.crl`, list), crlExpired };
  const metrics = new Metrics();
  const secure = stack.use(new Secure({ files, holder, log: silentLog(), metrics, everyMs }));
  const app = createHttp({ role: 'origin', log: silentLog(), metrics, readiness: async () => [] });
  secure.guard(app, 'origin');
  serve(app, MEMBERS.status, () => ({ lists: [] }));
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }, secure.doors('origin')));
  const statuses = async (): Promise<number[]> =>
    await Promise.all(
      [right, gone].map(async ({ certificate }) => {
        const to = operatorHttp(dirname(certificate)).to(`http://127.0.0.1:${port}`, { connections: 1 });
        const signal = AbortSignal.timeout(10_000);
        const { status, discard } = await to.request({ method: 'GET', path: MEMBERS.status.path({}), signal });
        await discard();
        await to.destroy();
        return status;
      }),
    );
  expect(await lineOf(metrics, 'shoal_certificate_expires_timestamp_seconds{what="revocations"}')).toContain(
    `${Math.floor(untilMs / 1_000)}`,
  );
  await vi.waitFor(() => expect(secure.warnings().join()).toContain('has expired at'), 60_000);
  await vi.waitFor(async () => expect(await statuses()).toEqual(after), 60_000);
});
