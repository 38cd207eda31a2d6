/** Configurations that cannot work, of every role: all that is wrong with one is named at once, each with its line. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as z from 'zod';
import { agentSchema } from '../agent/config.ts';
import { indexSchema } from '../index/config.ts';
import { originSchema } from '../origin/config.ts';
import { ConfigError, loadConfig } from '../platform/config/load.ts';
import { proxySchema } from '../proxy/config.ts';
import { trackerSchema } from '../tracker/config.ts';

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  agent: agentSchema,
  index: indexSchema,
  origin: originSchema,
  proxy: proxySchema,
  tracker: trackerSchema,
};
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** The problems of a configuration of `role`, without the file's name. */
function problems(role: string, text: string, sets: readonly string[] = []): readonly string[] {
  const file = join(dir, `${role}.yaml`);
  writeFileSync(file, `role: ${role}\n${text}`);
  try {
    loadConfig({ file, sets, env: {}, schema: SCHEMAS[role] as z.ZodType });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((line) => line.replace(`${file}:`, ''));
  }
}

test('a list may name DNS, and says what is no entry of one', () => {
  expect(problems('proxy', 'origins: [ "dns+http://shoal-origin:15002", "http://10.0.0.1:1" ]\n')).toEqual([]);
  expect(problems('agent', 'trackers: [ "srv+http://_api._tcp.tracker.ns" ]\n')).toEqual([]);
  expect(problems('origin', 'origins: [ "dns+http://o:1" ]\nself: http://10.0.0.1:1\n')).toEqual([]);
  const wrong =
    'expected a URL such as http://127.0.0.1:15003, or dns+http://name:port, or srv+http://_service._tcp.name, got';
  expect(problems('proxy', 'origins: [ "dns+http://10.0.0.1:1" ]\n')).toEqual([
    `2: origins.0: ${wrong} "dns+http://10.0.0.1:1"`,
  ]);
  expect(problems('proxy', 'members: { resolver: [ "kube-dns" ] }\n')).toEqual([
    '2: members.resolver.0: expected the address of a resolver, such as 10.96.0.10 or 127.0.0.1:5353',
  ]);
});

test('an index: what retention rules ask for it must be able to do, and each must be able to hold', () => {
  const rules = (text: string): string => `gc: { grace: 24h, retention: [ ${text} ] }\n`;
  const both = '{ repositories: "team/keep", untagged: 1000d }, { repositories: [ "team/*", other ], untagged: 7d }';
  expect(problems('index', rules(both))).toEqual([]);
  expect(problems('index', rules('{ repositories: "team/*", untagged: 1h }'))).toEqual([
    '2: gc.retention.0.untagged: is less than `gc.grace`, for which what was pushed or asked for stays',
  ]);
  const never = '{ repositories: "team/**", untagged: 7d }, { repositories: "team/keep", untagged: 30d }';
  expect(problems('index', rules(never))).toEqual([
    expect.stringContaining('2: gc.retention.1.repositories: never holds: rules before it have all of team/keep'),
  ]);
  expect(problems('index', rules('{ repositories: "Team//x", untagged: soon }, { repositories: [] }'))).toEqual([
    expect.stringContaining('2: gc.retention.0.repositories'),
    expect.stringContaining('2: gc.retention.0.untagged: expected a duration'),
    expect.stringContaining('2: gc.retention.1.repositories'),
    expect.stringContaining('2: gc.retention.1.untagged'),
  ]);
  const bucket =
    'backends: [{ name: main, s3: { bucket: images, endpoint: "http://h:1" } }]\nstore: { kind: bucket, backend: main }\n';
  expect(problems('index', rules(both) + bucket)).toEqual([
    expect.stringContaining('2: gc.retention: a store that is a bucket cannot delete a manifest in one step'),
  ]);
});

test('an index: what it deletes from backends it must know, and be able to ask for', () => {
  const backends = 'backends: [{ name: main, delete: true, s3: { bucket: images, endpoint: "http://h:1" } }]\n';
  const origins = 'origins: [ "http://o:1" ]\n';
  expect(problems('index', backends + origins)).toEqual([]);
  expect(problems('index', backends)).toEqual([expect.stringContaining('2: backends.0.delete: origins are asked')]);
  const bucket = 'store: { kind: bucket, backend: main }\n';
  expect(problems('index', backends + origins + bucket)).toEqual([
    expect.stringContaining('2: backends.0.delete: a store that is a bucket does not know'),
  ]);
  const shared = backends.replace('delete: true', 'delete: true, shared: true');
  expect(problems('index', shared + origins)).toEqual([expect.stringContaining('2: backends.0.delete: others write')]);
  expect(problems('origin', shared)).toEqual([expect.stringContaining('2: backends.0.delete: others write')]);
});

test('an origin: which one of several it is, and everything else', () => {
  const several = 'origins: [ "http://a:1", "http://b:1" ]\n';
  expect(problems('origin', several)).toEqual([]);
  expect(problems('origin', `${several}self: http://c:1\n`)).toEqual([
    '3: self: http://c:1 is not among the origins listed: http://a:1, http://b:1',
  ]);
  expect(problems('origin', `${several}self: http://b:1/\n`)).toEqual([]);
  expect(
    problems(
      'origin',
      [
        'listen: { host: "a b" }',
        'peer: { uplink: 0MB/s, limits: { up: 1kB/s }, advertise: "h:0" }',
        'disk: { budget: 0 }',
        'memory:',
        '  arena: 1KiB',
        'workers: 0',
        'replicas: 17',
        'origins: [ "http://a:1", nope, "http://a:1/" ]',
        'uploads: { limit: 0, idle: 0s }',
        'trackers: [ "http://user:secret@h:1", "http://h:0" ]',
        'nope: 1',
      ].join('\n'),
    ),
  ).toEqual([
    '2: listen.host: expected an address or a host name, got "a b"',
    '3: peer.advertise: expected host, host:port or [ipv6]:port, got "h:0"',
    '3: peer.uplink: expected at least 100kB/s, got "0MB/s"',
    '3: peer.limits.up: a limit is at least 100kB/s: peers give up a link that hardly moves',
    expect.stringMatching(/^4: disk\.budget: expected at least 1MB .*, got 0$/),
    expect.stringMatching(/^6: memory\.arena: expected at least 16MiB .*, got "1KiB"$/),
    '7: workers: expected at least 1, got 0',
    '8: replicas: expected at most 16, got 17',
    expect.stringMatching(/^9: origins\.1: expected a URL/),
    '9: origins.2: http://a:1 is listed twice',
    '10: uploads.limit: expected at least 1, got 0',
    expect.stringMatching(/^10: uploads\.idle: expected at least 1s .*, got "0s"$/),
    expect.stringMatching(/^11: trackers\.0: expected a URL .*user:\(secret\)@h:1"$/),
    expect.stringMatching(/^11: trackers\.1: expected a URL .*, got "http:\/\/h:0"$/),
    '12: nope: unknown key',
  ]);
});

test('an agent: ports, its own address in the place of others, no cache, no memory, no time', () => {
  const text = [
    'listen: { port: 16002 }',
    'peer:',
    '  port: 16002',
    'cache: { budget: 0 }',
    'memory: { arena: 1TiB }',
    'shutdown: 40d',
    'pull: { find: 0s, linger: 0s }',
    'proxy: http://localhost:16002',
    'trackers: http://h:1',
    'workers: many',
  ].join('\n');
  expect(problems('agent', text)).toEqual([
    '2: admin.port: 16002 is also the port of `listen`: give each its own',
    '4: peer.port: 16002 is also the port of `listen`: give each its own',
    '4: peer.port: 16002 is also the port of `admin`: give each its own',
    expect.stringMatching(/^5: cache\.budget: expected at least 1MB /),
    '6: memory.arena: expected at most 16GiB, got "1TiB"',
    '7: shutdown: expected at most 24d, got "40d"',
    expect.stringMatching(/^8: pull\.find: expected at least 50ms /),
    '9: proxy: http://localhost:16002 is where this process listens itself (`listen`)',
    '10: trackers: expected a list, got "http://h:1"',
    '11: workers: expected a number, got "many"',
  ]);
  expect(problems('agent', '', ['cache.budget=0', 'peer.port=16000']).map((line) => line.split(': ')[0])).toEqual([
    '--set cache.budget',
    '--set peer.port',
  ]);
});

test('a proxy, a tracker, an index', () => {
  expect(
    problems(
      'proxy',
      'push: { copies: 1, required: 2, originStall: 0s }\norigins: []\nindex: ["http://127.0.0.1:15000"]\n',
    ),
  ).toEqual([
    expect.stringMatching(/^2: push\.originStall: expected at least 1s /),
    '2: push.required: 2 cannot hold a blob of which 1 get a copy: raise `push.copies`',
    '3: origins: must not be empty',
    '4: index: http://127.0.0.1:15000 is where this process listens itself (`listen`)',
  ]);
  // Named where it was written, though the value that it is compared with is the default.
  expect(problems('proxy', 'push: { copies: 1 }\n')).toEqual([expect.stringMatching(/^2: push\.required: 2 cannot/)]);
  expect(problems('tracker', 'lease: 10s\nlookup: { memory: 0, wait: 0s }\nlimits: { leases: -1 }\n')).toEqual([
    '2: interval: must be shorter than `lease`, or leases end between renewals',
    expect.stringMatching(/^3: lookup\.memory: expected at least 1MiB /),
    '3: lookup.wait: expected at least 1ms, got "0s"',
    '4: limits.leases: expected at least 1, got -1',
  ]);
  expect(problems('index', "data: ''\nlisten: { port: 70000 }\n")).toEqual([
    '2: data: must not be empty',
    '3: listen.port: expected a port from 0 to 65535, got 70000',
  ]);
});

test('addresses of which one covers the other share a port; those that do not, do not', () => {
  const at = (listen: string, peer: string) =>
    problems('origin', `listen: { host: "${listen}", port: 7 }\npeer: { host: "${peer}", port: 7 }\n`).length;
  const apart = [
    ['127.0.0.1', '10.0.0.1'],
    ['::1', '0.0.0.0'],
    ['::1', '127.0.0.1'],
    ['10.0.0.1', 'localhost'],
  ] as const;
  for (const [a, b] of apart) expect([a, b, at(a, b), at(b, a)]).toEqual([a, b, 0, 0]);
  const shared = [
    ['127.0.0.1', '0.0.0.0'],
    ['::', '10.0.0.1'],
    ['localhost', '::1'],
    ['localhost', '0.0.0.0'],
    ['h', 'h'],
  ] as const;
  for (const [a, b] of shared) expect([a, b, at(a, b), at(b, a)]).toEqual([a, b, 1, 1]);
  expect(problems('origin', 'listen: { port: 0 }\npeer: { port: 0 }\n')).toEqual([]);
});

test('the defaults of every role are right, and so are the examples', () => {
  for (const role of Object.keys(SCHEMAS)) expect([role, problems(role, '')]).toEqual([role, []]);
  const examples = join(import.meta.dirname, '../examples/cluster');
  for (const role of readdirSync(examples).filter((name) => name !== 'common.yaml')) {
    const schema = SCHEMAS[role.replace('.yaml', '')] as z.ZodType;
    expect(() => loadConfig({ file: join(examples, role), env: {}, schema }), role).not.toThrow();
  }
});

test('backends: two rules that fight, and a rule that says no backend or two', () => {
  const text = [
    'backends:',
    '  - { name: all, memory: {} }',
    '  - name: all',
    '    repositories: [ "team-a/**", "Team" ]',
    '    memory: {}',
    '  - name: two',
    '    memory: {}',
    '    noop: {}',
    '  - name: none',
    '    repositories: "x/*"',
    '  - { name: odd name, repositories: {}, memory: {}, durability: none, stall: 1ms, s4: {},',
    '      limits: { reads: 0, up: fast, of: team } }',
    '',
  ].join('\n');
  for (const role of ['origin', 'index']) {
    expect(problems(role, text)).toEqual([
      '4: backends.1.name: all is the name of backends.0 too: give each its own',
      '4: backends.1: team-a/** is never reached: backends.0 has **, and the first that matches wins',
      '5: backends.1.repositories.1: is no pattern of a repository: a name, `*` within a part of it, `**` for any',
      expect.stringMatching(/^9: backends\.2\.noop: the rule two has memory and noop: give it exactly one of /),
      expect.stringMatching(/^10: backends\.3: the rule none has no backend: give it exactly one of /),
      '12: backends.4.repositories: expected a pattern of repositories, or a list of them, got a map',
      '12: backends.4.name: expected letters, digits, and . _ - between them, got "odd name"',
      '12: backends.4.durability: expected "origins" or "backend", got "none"',
      '12: backends.4.stall: expected at least 1s (as a backend may pause), got "1ms"',
      '12: backends.4.s4: unknown key',
      '13: backends.4.limits.reads: expected at least 1, got 0',
      '13: backends.4.limits.up: expected a rate such as 300MB/s or 200Mbit/s, got "fast"',
      '13: backends.4.limits.of: expected "origin" or "cluster", got "team"',
    ]);
  }
});

test('backends: who is never written confirms no push', () => {
  const rule = (more: string): readonly string[] =>
    problems('origin', `backends:\n  - { name: n, durability: backend, ${more} }\n`);
  expect(rule('memory: {}')).toEqual([]);
  expect(rule('memory: {}, readOnly: true')).toEqual([expect.stringContaining('`readOnly` confirms no push')]);
  expect(rule("http: { download: 'http://127.0.0.1/%s' }")).toEqual([
    '3: backends.0.durability: a backend of kind http is never written, and confirms no push: leave this out',
  ]);
});

test('backends: a pattern that an earlier rule takes everything of', () => {
  const rules = (...patterns: string[]): readonly string[] =>
    problems(
      'origin',
      `backends:\n${patterns.map((p, i) => `  - { name: n${i}, repositories: ${p}, noop: {} }\n`).join('')}`,
    );
  expect(rules('"a/*"', '"a/**"', '"b/**"', '"**"')).toEqual([]);
  expect(rules('"a/*/c"', '"a/**/c"', '"a/*"', '"*/c"')).toEqual([]);
  expect(rules('"a/**"', '["b", "a/b/*"]')).toEqual([
    '4: backends.1: a/b/* is never reached: backends.0 has a/**, and the first that matches wins',
  ]);
  expect(rules('"a*/**"', '"ab*/c"')).toHaveLength(1);
  expect(rules('"**"', '"**"')).toHaveLength(1);
});

test('a tracker shares leases by the address of a Redis', () => {
  expect(problems('tracker', 'leases: { redis: "rediss://:p@redis:6379/3", prefix: "a:b" }\n')).toEqual([]);
  for (const url of ['redis:6379', 'http://redis:6379', 'redis://', 'redis://redis/x'])
    expect(problems('tracker', `leases: { redis: "${url}" }\n`)).toEqual([
      '2: leases.redis: expected redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS',
    ]);
  const more = 'passwordFile: /run/redis, sentinels: ["s:26379", "[::1]:26379"]';
  expect(problems('tracker', `leases: { redis: "redis://user@name/0", ${more} }\n`)).toEqual([]);
  expect(problems('tracker', `leases: { redis: "redis://:p@name", ${more} }\n`)[0]).toContain('leave out one');
  expect(problems('tracker', 'leases: { redis: "redis://r", sentinels: ["s"] }\n')[0]).toContain('expected HOST:PORT');
  expect(problems('tracker', 'leases: { redis: "redis://r", prefix: "*" }\n')[0]).toContain(
    'leases.prefix: expected letters',
  );
});

test('verify: what an agent compares, and who must have signed', () => {
  const key = 'keys: [/etc/cosign.pub]';
  const rules = (text: string): string => `verify: { cosign: [ ${text} ] }\n`;
  expect(problems('agent', 'verify: full\n')).toEqual([]);
  expect(problems('agent', 'verify: { content: full }\n')).toEqual([]);
  for (const role of ['agent', 'proxy']) {
    const signed = `{ repositories: 'team/**', ${key} }, { repositories: [a, 'b/*'], ${key}, at: [pull], mode: warn, identity: any }`;
    expect(problems(role, rules(signed))).toEqual([]);
    expect(
      problems(
        role,
        rules(`{ repositories: 'UP', keys: [], at: [never], mode: off, identity: ['*', 'UP'], other: 1 }`),
      ),
    ).toEqual([
      '2: verify.cosign.0.repositories: is no pattern of a repository: a name, `*` within a part of it, `**` for any',
      '2: verify.cosign.0.keys: must not be empty',
      '2: verify.cosign.0.at.0: expected "push" or "pull", got "never"',
      '2: verify.cosign.0.mode: expected "enforce" or "warn", got "off"',
      '2: verify.cosign.0.identity.1: is no pattern of a repository: a name, `*` within a part of it, `**` for any',
      '2: verify.cosign.0.other: unknown key',
    ]);
    expect(problems(role, rules(key))).toHaveLength(1);
  }
  expect(problems('agent', 'verify: half\n')).toEqual(['2: verify: expected "pieces" or "full" or a map, got "half"']);
});

test('a value that may have several forms: what is wrong with the one that it has, or which there are', () => {
  const rule = (repositories: string): readonly string[] =>
    problems('index', `replicas: { rules: [ { repositories: ${repositories}, replicas: 3 } ] }\n`);
  const at = '2: replicas.rules.0.repositories';
  const pattern = 'is no pattern of a repository: a name, `*` within a part of it, `**` for any';
  expect(rule("'prod/**'")).toEqual([]);
  expect(rule("'prod/[a]'")).toEqual([`${at}: ${pattern}`]);
  expect(rule("[ok, 'UP']")).toEqual([`${at}.1: ${pattern}`]);
  expect(rule('[]')).toEqual([`${at}: must not be empty`]);
  expect(rule('[ok, 5]')).toEqual([`${at}.1: expected text, got 5`]);
  expect(rule('5')).toEqual([`${at}: expected text or a list, got 5`]);
  expect(rule('{ a: 1 }')).toEqual([`${at}: expected text or a list, got a map`]);
  expect(problems('index', 'store: { kind: mongo }\n')).toEqual([
    '2: store.kind: expected "sqlite" or "postgres" or "bucket", got "mongo"',
  ]);
  expect(problems('index', 'store: {}\n')).toEqual(['2: store.kind: is needed, and is not there']);
  expect(problems('index', 'keepUnlinked: [1]\n')).toEqual(['2: keepUnlinked: expected text or a number, got a list']);
});
