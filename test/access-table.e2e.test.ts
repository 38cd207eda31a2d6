/**
 * Every operation of the registry x every caller x both doors, over real connections to real processes. What each caller may
 * is written down here from his side, and not read from what the doors go by. An operation that is missing here does not
 * compile, and fails the first test.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Digest, digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { OciRequest } from '../core/oci/request.ts';
import { anotherKey, ask, basic, bearer, CallersCluster, type Said, type Shown } from './access-callers.fixtures.ts';

const repo = 'team/app';
const other = 'team/secret';
const hour = 3_600;
const sha256 = (bytes: string): Digest => digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
const config = '{}';
const secret = 'of another team';
const absent = sha256('nobody has it');
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
  layers: [],
});

type Door = 'proxy' | 'agent';
type Kind = OciRequest['kind'];
type Need = 'login' | 'list' | 'pull' | 'push' | 'delete';
type Operation = {
  readonly need: Need;
  readonly method: string;
  /** `session`: of an upload that a writer has begun. */
  readonly path: (session: string) => string;
  readonly body?: string;
  readonly type?: string;
  /** What a proxy says to who may. */
  readonly done: readonly number[];
};

const OPERATIONS: Readonly<Record<Kind, Operation>> = {
  ping: { need: 'login', method: 'GET', path: () => OCI_PATHS.base, done: [200] },
  catalog: { need: 'list', method: 'GET', path: () => OCI_PATHS.catalog, done: [200] },
  tags: { need: 'pull', method: 'GET', path: () => OCI_PATHS.tags(repo), done: [200] },
  referrers: { need: 'pull', method: 'GET', path: () => OCI_PATHS.referrers(repo, sha256(manifest)), done: [200] },
  manifestRead: { need: 'pull', method: 'GET', path: () => OCI_PATHS.manifest(repo, '1'), done: [200] },
  manifestPut: {
    ...{ need: 'push', method: 'PUT', path: () => OCI_PATHS.manifest(repo, '1'), done: [201] },
    ...{ body: manifest, type: 'application/vnd.oci.image.manifest.v1+json' },
  },
  manifestDelete: { need: 'delete', method: 'DELETE', path: () => OCI_PATHS.manifest(repo, '2'), done: [202, 404] },
  blobRead: { need: 'pull', method: 'GET', path: () => OCI_PATHS.blob(repo, sha256(config)), done: [200] },
  blobDelete: { need: 'delete', method: 'DELETE', path: () => OCI_PATHS.blob(repo, absent), done: [202, 404] },
  uploadBegin: { need: 'push', method: 'POST', path: () => OCI_PATHS.uploads(repo), done: [202] },
  uploadStatus: { need: 'push', method: 'GET', path: (at) => at, done: [204] },
  uploadAppend: { need: 'push', method: 'PATCH', path: (at) => at, body: 'x', done: [202, 416] },
  uploadCommit: { need: 'push', method: 'PUT', path: (at) => OCI_PATHS.commit(at, absent), done: [400] },
  uploadCancel: { need: 'push', method: 'DELETE', path: (at) => at, done: [204, 404] },
};
const KINDS = Object.keys(OPERATIONS) as Kind[];

type Caller = {
  readonly shows: () => Promise<Shown>;
  readonly may: readonly Need[];
  /** What he is told who may not. */
  readonly told: 401 | 403;
  /** Guesses are slowed down after a few. */
  readonly guesses?: true;
  /** Where what he shows is taken. Default: at both. */
  readonly at?: Door;
};

const reads: readonly Need[] = ['login', 'list', 'pull'];
const writes: readonly Need[] = [...reads, 'push'];
const all: readonly Need[] = [...writes, 'delete'];
const passwords = { admin: 'admin-1', writer: 'writer-1', reader: 'reader-1', guest: 'guest-1' } as const;
type User = keyof typeof passwords;
const scopes = `repository:${repo}:pull,push,delete registry:catalog:*`;

const stack = new AsyncDisposableStack();
let cluster: CallersCluster;
/** Where an upload of a writer stands. */
let session = '';

const token = async (user: User, scope = scopes): Promise<string> =>
  (await cluster.token({ name: user, password: passwords[user] }, scope)) ?? '';
const withToken = (user: User) => async () => bearer(await token(user));
const withPassword = (user: User) => async () => basic(user, passwords[user]);
/** Something is for anybody, and so a catalogue is; whoever says nothing is sent for a token first. */
const guests: readonly Need[] = ['login', 'list'];
const none: readonly Need[] = [];

const CALLERS: Readonly<Record<string, Caller>> = {
  anonymous: { shows: async () => ({}), may: none, told: 401 },
  'of a scheme that nobody knows': {
    shows: async () => ({ headers: { authorization: 'Magic x' } }),
    may: none,
    told: 401,
  },
  'wrong password': { shows: async () => basic('admin', 'guess'), may: none, told: 401, guesses: true },
  'user without rights': { shows: withToken('guest'), may: guests, told: 403 },
  reader: { shows: withToken('reader'), may: reads, told: 403 },
  writer: { shows: withToken('writer'), may: writes, told: 403 },
  admin: { shows: withToken('admin'), may: all, told: 403 },
  'admin by password': { shows: withPassword('admin'), may: all, told: 401, at: 'proxy' },
  'expired token': {
    shows: async () =>
      bearer(await cluster.changed(await token('admin'), { exp: Math.floor(Date.now() / 1_000) - hour })),
    ...{ may: none, told: 401 },
  },
  'token for another repository': {
    shows: async () => bearer(await token('admin', `repository:${other}:pull,push,delete`)),
    ...{ may: ['login'], told: 401 },
  },
  'token of another key': {
    shows: async () => bearer(await cluster.changed(await token('admin'), {}, anotherKey())),
    ...{ may: none, told: 401 },
  },
  'token of another cluster': {
    shows: async () => bearer(await cluster.changed(await token('admin'), { aud: 'elsewhere' })),
    ...{ may: none, told: 401 },
  },
  "another issuer's user": {
    shows: async () => bearer(await cluster.issuer.token({ sub: 'ci', groups: ['builders'] })),
    ...{ may: writes, told: 403 },
  },
  "another issuer's user without rights": {
    shows: async () => bearer(await cluster.issuer.token({ sub: 'admin' })),
    ...{ may: guests, told: 403 },
  },
  "another issuer's expired token": {
    shows: async () => bearer(await cluster.issuer.token({ sub: 'ci', exp: Math.floor(Date.now() / 1_000) - hour })),
    ...{ may: none, told: 401 },
  },
  'certificate of a user': {
    shows: async () => cluster.certificate('/OU=release/CN=Jane Doe'),
    may: writes,
    told: 403,
  },
  'certificate of a user without rights': {
    shows: async () => cluster.certificate('/CN=stranger'),
    ...{ may: guests, told: 403 },
  },
  "an agent's certificate": { shows: () => cluster.component('agent'), may: none, told: 401 },
  "an operator's certificate": { shows: () => cluster.component('admin'), may: none, told: 401 },
};

const settings = (certificates: object): object => ({
  rules: [
    { repositories: ['**'], who: ['user:admin'], may: ['pull', 'push', 'delete'] },
    { repositories: [repo], who: ['user:writer', 'user:ext:ci', 'group:release'], may: ['pull', 'push'] },
    { repositories: [repo], who: ['user:reader'], may: ['pull'] },
    { repositories: ['open/*'], who: ['anonymous'], may: ['pull'] },
  ],
  issuers: [{ issuer: cluster.issuer.url, audience: 'shoal', prefix: 'ext:' }],
  certificates: { ca: cluster.users.pair.certificate, ...certificates },
});

beforeAll(async () => {
  cluster = await CallersCluster.start(stack);
  await cluster.set({ passwords, ...settings({}) });
  const admin = bearer(await token('admin', `${scopes} repository:${other}:pull,push repository:open/app:pull,push`));
  const at = cluster.url('proxy');
  for (const [name, bytes] of [
    [repo, config],
    [other, secret],
    ['open/app', config],
  ] as const) {
    const pushed = await ask('POST', `${at}${OCI_PATHS.uploads(name)}?digest=${sha256(bytes)}`, admin, bytes);
    expect([pushed.status, pushed.text]).toEqual([201, '']);
  }
  expect(await does('manifestPut', 'proxy', admin)).toMatchObject({ status: 201 });
  const tagged = { ...admin, headers: { ...admin.headers, 'content-type': OPERATIONS.manifestPut.type ?? '' } };
  expect(await ask('PUT', at + OCI_PATHS.manifest('open/app', '1'), tagged, manifest)).toMatchObject({ status: 201 });
}, 180_000);
afterAll(() => stack.disposeAsync());

async function does(kind: Kind, door: Door, shown: Shown): Promise<Said> {
  const { method, path, body, type } = OPERATIONS[kind];
  const headers = { ...shown.headers, ...(type !== undefined && { 'content-type': type }) };
  return await ask(method, cluster.url(door) + path(session), { ...shown, headers }, body);
}

async function begin(): Promise<void> {
  const begun = await ask('POST', cluster.url('proxy') + OCI_PATHS.uploads(repo), bearer(await token('writer')));
  const { pathname, search } = new URL(begun.headers.location ?? '', cluster.url('proxy'));
  session = pathname + search;
}

/** What is wrong with the answer; undefined: nothing. */
function problem(
  kind: Kind,
  door: Door,
  { may, told, guesses, at = door }: Caller,
  { status, text }: Said,
): string | undefined {
  const { need, done } = OPERATIONS[kind];
  const takes = at === door;
  if (takes && may.includes(need)) {
    // An agent says to those who may write where to do it.
    const right = door === 'proxy' || !['push', 'delete'].includes(need) ? done : [405];
    return right.includes(status) ? undefined : `${status}, and not ${right.join(' or ')}: ${text}`;
  }
  if (guesses && status === 429) return undefined;
  const expected = takes ? told : 401;
  const code = expected === 401 ? 'UNAUTHORIZED' : 'DENIED';
  return status === expected && text.includes(code) ? undefined : `${status}, and not ${expected} ${code}: ${text}`;
}

test('every operation is in the table', () => {
  const source = readFileSync(new URL('../core/oci/request.ts', import.meta.url), 'utf8');
  const kinds = [...source.matchAll(/readonly kind: '(\w+)'/g)].map(([, kind]) => kind);
  expect(new Set(kinds)).toEqual(new Set(KINDS));
});

describe.each(['proxy', 'agent'] as const)('at the %s', (door) => {
  test.each(Object.keys(CALLERS))('%s may what is his, and nothing else', { timeout: 60_000 }, async (name) => {
    const caller = CALLERS[name] as Caller;
    await begin();
    const shown = await caller.shows();
    const wrong: string[] = [];
    for (const kind of KINDS) {
      const found = problem(kind, door, caller, await does(kind, door, shown));
      if (found !== undefined) wrong.push(`${kind}: ${found}`);
    }
    expect(wrong).toEqual([]);
  });

  test('a digest that was learned elsewhere opens nothing, and neither does a mount', async () => {
    const at = cluster.url(door);
    const reader = bearer(await token('reader'));
    expect(await ask('GET', at + OCI_PATHS.blob(repo, sha256(secret)), reader)).toMatchObject({ status: 404 });
    expect(await ask('GET', at + OCI_PATHS.blob(other, sha256(secret)), reader)).toMatchObject({ status: 403 });
    expect(await ask('GET', at + OCI_PATHS.manifest(other, sha256(manifest)), reader)).toMatchObject({ status: 403 });
    const mounted = await ask('POST', at + OCI_PATHS.mount(repo, sha256(secret), other), bearer(await token('writer')));
    expect(mounted.status).toBe(door === 'proxy' ? 202 : 405);
    expect(await ask('GET', at + OCI_PATHS.blob(repo, sha256(secret)), reader)).toMatchObject({ status: 404 });
  });

  test('what is for anybody needs no login, and is all that the catalogue of nobody names', async () => {
    const at = cluster.url(door);
    expect(await ask('GET', at + OCI_PATHS.blob('open/app', sha256(config)), {})).toMatchObject({ status: 200 });
    const catalog = async (token: string | undefined): Promise<unknown> =>
      JSON.parse((await ask('GET', at + OCI_PATHS.catalog, bearer(token ?? ''))).text);
    expect(await catalog(await cluster.token(undefined, 'registry:catalog:*'))).toEqual({ repositories: ['open/app'] });
    expect(await catalog(await token('reader'))).toEqual({ repositories: ['open/app', repo] });
  });
});

test('where writes need a certificate, nobody pushes or deletes without one, whoever he is', async () => {
  await cluster.set({ passwords, ...settings({ writes: 'certificate' }) });
  const at = cluster.url('proxy');
  const admin = bearer(await token('admin'));
  const begins = (shown: Shown): Promise<Said> => ask('POST', at + OCI_PATHS.uploads(repo), shown);
  await vi.waitFor(async () => expect(await begins(admin)).toMatchObject({ status: 403 }), { timeout: 60_000 });
  expect((await begins(admin)).text).toContain('client certificate');
  expect(await does('blobDelete', 'proxy', admin)).toMatchObject({ status: 403 });
  expect(await does('blobRead', 'proxy', admin)).toMatchObject({ status: 200 });
  const jane = cluster.certificate('/OU=release/CN=Jane Doe');
  expect(await begins(jane)).toMatchObject({ status: 202 });
  expect(await begins({ ...admin, ...jane })).toMatchObject({ status: 202 });
  expect(await begins({ ...admin, ...(await cluster.component('admin')) })).toMatchObject({ status: 403 });
});
