/**
 * A cluster of real processes that show certificates: images go in and out as ever, while certificates are renewed too, and
 * whoever has an agent's certificate does an agent's work and no other.
 */

import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { CallerRole } from '../core/access/identity.ts';
import { INDEX } from '../core/contracts/index-api.ts';
import { MEMBERS } from '../core/contracts/members.ts';
import { ORIGIN } from '../core/contracts/origin.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { TRACKER } from '../core/contracts/tracker.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { certificatesIn, factsOf } from '../platform/certs/facts.ts';
import { writeSecret } from '../platform/certs/files.ts';
import { revocationLists } from '../platform/certs/make.ts';
import type { MaterialFiles } from '../platform/certs/material.ts';
import { pemOf, TestAuthority } from '../platform/certs/testing.fixtures.ts';
import { type CallOptions, HttpClient } from '../platform/clients/http.ts';
import { nodeCommand } from '../platform/lifecycle/child.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { operatorHttp } from '../platform/secure/operator.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

const PARTS = { tracker: 'tracker', index: 'index', 'origin-1': 'origin', proxy: 'proxy', agent: 'agent' } as const;
type Name = keyof typeof PARTS;
const names = Object.keys(PARTS) as Name[];
const stack = new AsyncDisposableStack();
let authority: TestAuthority;
let cluster: Cluster;
let parts: Parts;
let trackerUrl: string;
const files = {} as Record<Name, MaterialFiles>;

beforeAll(async () => {
  authority = stack.use(await TestAuthority.make());
  cluster = stack.use(await Cluster.make());
  for (const name of names) files[name] = await authority.issue(PARTS[name], { name });
  const each = (name: string): object => ({ tls: files[name as Name] });
  parts = await startParts(cluster, { settings: { cluster: 'test' }, each });
  const told = await client('admin', parts.agent.url('admin'));
  const { lists } = MEMBERS.status.reply(await told.json('GET', MEMBERS.status.path({})), 'the agent');
  trackerUrl = lists.find(({ role }) => role === 'trackers')?.members[0]?.url ?? '';
}, 180_000);
afterAll(() => stack.disposeAsync());

async function client(role: CallerRole, base: string): Promise<HttpClient> {
  const { certificate } = await authority.issue(role, { name: role === 'agent' ? 'agent' : `${role}-x` });
  return stack.use(new HttpClient({ base, transport: operatorHttp(join(certificate, '..')) }));
}

async function pushed(bytes: Buffer): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const begun = await fetch(parts.proxy.url('registry') + OCI_PATHS.uploads('team/app'), { method: 'POST' });
  const at = new URL(begun.headers.get('location') ?? '', parts.proxy.url('registry'));
  at.searchParams.set('digest', digest);
  const put = await fetch(at, { method: 'PUT', body: new Uint8Array(bytes) });
  expect([put.status, await put.text()]).toEqual([201, '']);
  return digest;
}

async function pulled(digest: Digest): Promise<Buffer> {
  const got = await fetch(parts.agent.url('registry') + OCI_PATHS.blob('team/app', digest));
  const bytes = Buffer.from(await got.arrayBuffer());
  if (got.status !== 200) throw new Error(`${got.status} ${bytes}`);
  return bytes;
}

test('what is pushed is pulled, large and small, by clients that know no certificates', {
  timeout: 60_000,
}, async () => {
  for (const size of [3_000, 100_000, 9_000_000]) {
    const bytes = randomBytes(size);
    expect((await pulled(await pushed(bytes))).equals(bytes)).toBe(true);
  }
});

test("an agent's certificate is good for an agent's work only", { timeout: 30_000 }, async () => {
  const digest = digestOf('sha256', 'a'.repeat(64));
  const denied = async (base: string, ...[method, path, options]: Parameters<HttpClient['json']>): Promise<void> =>
    await expect((await client('agent', base)).json(method, path, options), `${method} ${path}`).rejects.toMatchObject({
      code: 'DENIED',
    });
  const body = (value: unknown): CallOptions => ({ body: value, tries: 1 });
  await denied(parts.index.url('api'), 'PUT', INDEX.putTag.path({ name: 'team/app', tag: 'v1' }), body({ digest }));
  await denied(parts.index.url('api'), 'POST', INDEX.condemn.path({}), body({ digests: [digest] }));
  await denied(`${parts.origins[0]?.url('api')}`, 'DELETE', ORIGIN.remove.path({ digest }), { tries: 1 });
  await denied(
    `${parts.origins[0]?.url('api')}`,
    'POST',
    ORIGIN.begin.path({ id: '0123456789ab-0123456789abcdef' }),
    body({ algorithm: 'sha256' }),
  );
  await denied(parts.agent.url('admin'), 'GET', MEMBERS.status.path({}), { tries: 1 });
  await denied(parts.agent.url('admin'), 'GET', PROBES.metrics.path({}).replace('metrics', 'v1/status'), { tries: 1 });

  const self = { node: 'f'.repeat(32), host: '127.0.0.1', port: 1, role: 'agent', zone: '' } as const;
  const announce = (o: object) => body({ self: { ...self, ...o }, entries: [], held: 0 });
  await denied(trackerUrl, 'POST', TRACKER.announce.path({}), announce({}));
  await denied(trackerUrl, 'POST', TRACKER.announce.path({}), announce({ role: 'origin' }));
  await denied(trackerUrl, 'POST', TRACKER.leave.path({}), body({ node: self.node }));
  const { node } = await ownSelf();
  const told = (await client('agent', trackerUrl)).json('POST', TRACKER.announce.path({}), announce({ node }));
  await expect(told).resolves.toBeDefined();
  await denied(trackerUrl, 'POST', TRACKER.announce.path({}), announce({ node, host: '10.1.2.3' }));
});

/** Of the agent that runs, whose name the certificate above has, too. */
async function ownSelf(): Promise<{ node: string }> {
  const admin = await client('admin', parts.agent.url('admin'));
  return (await admin.json<{ self: { node: string } }>('GET', '/v1/status')).self;
}

test('certificates of all are renewed, with another authority in the end, and no push or pull fails', {
  timeout: 120_000,
}, async () => {
  const next = stack.use(await TestAuthority.make());
  const both = next.pair.certificate + authority.pair.certificate;
  const lines = async (): Promise<number[]> =>
    await Promise.all(names.map(async (name) => (await cluster.log(name)).split('certificates renewed').length - 1));
  let going = true;
  let rounds = 0;
  const work = (async () => {
    for (; going; rounds++) {
      const bytes = randomBytes(400_000);
      expect((await pulled(await pushed(bytes))).equals(bytes)).toBe(true);
    }
  })();
  work.catch(() => undefined);
  const steps: ((name: Name) => Promise<void>)[] = [
    async (name) => writeSecret(files[name].ca, both),
    async (name) => {
      const made = pemOf(await next.issue(PARTS[name], { name }));
      writeSecret(files[name].key, made.key);
      writeSecret(files[name].certificate, made.certificate);
    },
    async (name) => writeSecret(files[name].ca, next.pair.certificate),
  ];
  for (const [i, step] of steps.entries()) {
    for (const name of names) await step(name);
    await expect.poll(async () => Math.min(...(await lines())), { timeout: 20_000 }).toBeGreaterThanOrEqual(i + 1);
    const before = rounds;
    await expect.poll(() => rounds, { timeout: 20_000 }).toBeGreaterThan(before + 1);
  }
  going = false;
  await work;
  authority = next;
});

test('who is revoked is cut off within seconds, and is told why; all others go on', { timeout: 120_000 }, async () => {
  const gone = await authority.issue('admin', { name: 'gone' });
  const files = {
    ...(await authority.issue('tracker', { name: 'watched' })),
    crl: authority.file('e2e.crl', await listOf()),
  };
  const at = await cluster.start(entryUrl('../tracker/main.ts', import.meta.url), 'watched', {
    ...{ role: 'tracker', cluster: 'test', listen: { host: '127.0.0.1', port: 0 }, tls: files },
  });
  const to = stack.use(new HttpClient({ base: at.url('api'), transport: operatorHttp(join(gone.certificate, '..')) }));
  const ask = async (): Promise<string> =>
    await to.json('GET', MEMBERS.status.path({}), { tries: 1 }).then(
      () => '',
      ({ message }: Error) => message,
    );
  expect(await ask()).toBe('');
  writeSecret(files.crl, await listOf(gone));
  await expect.poll(ask, { timeout: 60_000 }).toContain('it is revoked');
  const log = await cluster.log('watched');
  expect(log).toContain('the certificate of admin/gone is revoked');
  const metrics = await client('admin', at.url('api'));
  const reply = await metrics.stream('GET', PROBES.metrics.path({}));
  let text = '';
  for await (const bytes of reply.body) text += Buffer.from(bytes).toString();
  expect(text).toMatch(/shoal_tls_connections_ended_total\{kind="revoked"\} 1/);
  expect(text).toMatch(/shoal_tls_handshakes_total\{side="in",kind="full"\} [1-9]/);
});

/** What the authority has revoked: these. */
async function listOf(...revoked: MaterialFiles[]): Promise<string> {
  const serials = revoked.flatMap((one) => certificatesIn(pemOf(one).certificate).map((of) => factsOf(of).serial));
  return await revocationLists(authority.pair, serials, { fromMs: authority.nowMs, untilMs: authority.nowMs + 1e8 });
}

test.each([
  ['of another role', async () => files.agent, 'tls.crt: is of agent/agent, and this is a tracker'],
  ['expired', () => authority.issue('tracker', { untilMs: authority.nowMs - 1_000 }), 'tls.crt: has expired on'],
  [
    'that are not there',
    async () => ({ ca: '/nowhere/ca', certificate: '/nowhere/crt', key: '/nowhere/key' }),
    '/nowhere/key: there is no such file',
  ],
])('certificates %s are named by config check and by a start', { timeout: 30_000 }, async (_, tls, said) => {
  const file = join(cluster.dir, 'wrong.yaml');
  await writeFile(
    file,
    stringify({ role: 'tracker', cluster: 'test', listen: { host: '127.0.0.1', port: 0 }, tls: await tls() }),
  );
  for (const flags of [['--check'], []]) {
    const [program = '', ...args] = nodeCommand(entryUrl('../tracker/main.ts', import.meta.url), [
      '--config',
      file,
      ...flags,
    ]);
    const ended = promisify(execFile)(program, args).catch((error: { code: number; stderr: string }) => error);
    expect(await ended).toMatchObject({ code: 2, stderr: expect.stringContaining(said) });
  }
});

test('without certificates a process says so as it starts', { timeout: 30_000 }, async () => {
  await cluster.start(entryUrl('../tracker/main.ts', import.meta.url), 'open', {
    role: 'tracker',
    listen: { host: '127.0.0.1', port: 0 },
  });
  expect(await cluster.log('open')).toContain('`tls` is not set');
});
