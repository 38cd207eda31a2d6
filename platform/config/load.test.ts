// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of the configuration files themselves.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import { peerShape } from '../peer/config.ts';
import { commonShape } from './common.ts';
import { listenAt } from './listen.ts';
import { ConfigError, jsonSchema, loadConfig, readRole } from './load.ts';
import { baseUrl, size } from './units.ts';

const schema = z.strictObject({
  ...commonShape('agent'),
  data: z.string(),
  listen: listenAt(16_000),
  peer: peerShape(16_001),
  cache: z.strictObject({ budget: size('100GiB') }).prefault({}),
  trackers: z.array(baseUrl()).min(1).prefault(['http://127.0.0.1:15003']),
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-config-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const load = (file: string, more: { sets?: string[]; env?: Record<string, string> } = {}) =>
  loadConfig({ file, schema, ...more });
function problems(file: string, more: { sets?: string[]; env?: Record<string, string> } = {}): readonly string[] {
  try {
    load(file, more);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((line) => line.replaceAll(`${dir}/`, ''));
    throw error;
  }
  throw new Error('the configuration was accepted');
}

test('defaults fill what is not said', () => {
  const { config } = load(write('a.yaml', 'role: agent\ndata: /d\n'));
  expect(config.listen).toEqual({ host: '127.0.0.1', port: 16_000 });
  expect(config.cache.budget).toBe(100 * 2 ** 30);
  expect(config.shutdown).toBe(30_000);
  expect(config.trackers).toEqual(['http://127.0.0.1:15003']);
});

test('every bad value and unknown key is reported at once, with its line', () => {
  const file = write(
    'a.yaml',
    'role: agent\nlisten:\n  host: h\n  prt: 1\ncache:\n  budget: 10 bananas\nlog: { level: loud }\nnope: 1\ntrackers:\n  - http://a:1\n  - ftp://b\n',
  );
  expect([...problems(file)].sort()).toEqual([
    'a.yaml:11: trackers.1: expected a URL such as http://127.0.0.1:15003, got "ftp://b"',
    'a.yaml:1: data: is needed, and is not there',
    'a.yaml:4: listen.prt: unknown key',
    'a.yaml:6: cache.budget: expected a size such as 4MiB or 300MB, got "10 bananas"',
    expect.stringMatching(/^a\.yaml:7: log\.level: expected "trace" or .* got "loud"$/),
    'a.yaml:8: nope: unknown key',
  ]);
});

test('what peers tell one another must fit the wire', () => {
  const file = write('a.yaml', `role: agent\ndata: /d\ncluster: ''\nzone: z\u00fcrich\n`);
  expect([...problems(file)].sort()).toEqual([
    expect.stringMatching(/^a\.yaml:3: cluster: /),
    'a.yaml:4: zone: expected printable ASCII, which is all that a zone may have, got "z\u00fcrich"',
  ]);
  expect(problems(write('b.yaml', `role: agent\ndata: /d\nzone: ${'z'.repeat(65)}\n`))).toHaveLength(1);
  expect(problems(write('c.yaml', 'role: agent\ndata: /d\npeer: { host: "a b", advertise: "" }\n'))).toEqual([
    'c.yaml:3: peer.host: expected an address or a host name, got "a b"',
  ]);
  const long = 'h'.repeat(256);
  expect(problems(write('d.yaml', `role: agent\ndata: /d\npeer: { advertise: "${long}:1" }\n`))).toHaveLength(1);
});

test('extends: later wins, maps merge, lists replace, problems name the file they stand in', () => {
  write('base.yaml', 'role: agent\ndata: /base\nlisten: { port: 1 }\ntrackers: [ "http://a:1", "http://b:1" ]\n');
  const file = write('top.yaml', 'extends: base.yaml\nlisten: { host: h }\ntrackers: [ "http://c:1" ]\n');
  expect(load(file).config).toMatchObject({ data: '/base', listen: { host: 'h', port: 1 }, trackers: ['http://c:1'] });
  write('base.yaml', 'role: agent\ndata: /base\nlisten: { port: x }\n');
  expect(problems(file)).toEqual(['base.yaml:3: listen.port: expected a port from 0 to 65535, got "x"']);
});

test('a cycle of extends is named, and a missing file', () => {
  write('b.yaml', 'extends: a.yaml\n');
  expect(problems(write('a.yaml', 'role: agent\nextends: b.yaml\n'))[0]).toMatch(
    /^b\.yaml:1: extends a\.yaml, .* a cycle$/,
  );
  expect(problems(write('c.yaml', 'extends: gone.yaml\n'))).toEqual([
    'c.yaml:1: extends gone.yaml: there is no such file',
  ]);
  expect(problems(join(dir, 'none.yaml'))).toEqual(['none.yaml: there is no such file']);
});

test('the environment is expanded in values, and cannot change the structure', () => {
  const file = write(
    'a.yaml',
    'role: agent\ndata: ${D}\nlisten: { host: "${H:-localhost}" }\ncache:\n  budget: ${B:-4MiB}\nname: $${D}\n',
  );
  const { config } = load(file, { env: { D: '/x: {y: 1}\nnope: 1' } });
  expect(config.data).toBe('/x: {y: 1}\nnope: 1');
  expect(config.listen.host).toBe('localhost');
  expect(config.cache.budget).toBe(4 * 1024 * 1024);
  expect(config.name).toBe('${D}');
  expect(problems(file)).toEqual(['a.yaml:2: the environment variable D is not set: set it, or write ${D:-default}']);
  expect(problems(write('c.yaml', 'role: agent\nlisten: { port: x }\ntrackers: ${T}\nnope: 1\ndata: /d\n'))).toEqual([
    expect.stringContaining('c.yaml:2: listen.port: '),
    'c.yaml:3: the environment variable T is not set: set it, or write ${T:-default}',
    'c.yaml:4: nope: unknown key',
  ]);
  expect(() => readRole(write('d.yaml', 'role: ${R}\n'), {})).toThrow('variable R is not set');
  const numbered = write('b.yaml', 'role: agent\ndata: /d\nlisten:\n  port: ${P}\n');
  expect(load(numbered, { env: { P: '81' } }).config.listen.port).toBe(81);
});

test('--set overrides the file and is named where it is wrong', () => {
  const file = write('a.yaml', 'role: agent\ndata: /d\ntrackers: [ "http://a:1" ]\n');
  const { config } = load(file, { sets: ['listen.port=5', 'trackers.0=http://z:2', 'log={level: debug}'] });
  expect(config).toMatchObject({ listen: { port: 5 }, trackers: ['http://z:2'], log: { level: 'debug' } });
  const wrong = problems(file, { sets: ['listen.port=x', 'bad', 'no.such=1'] });
  expect([...wrong].sort()).toEqual([
    '--set bad: expected key.path=value',
    '--set listen.port: listen.port: expected a port from 0 to 65535, got "x"',
    '--set no.such: no: unknown key',
  ]);
});

test('broken YAML, duplicate keys, alias bombs and odd files are problems, not crashes', () => {
  expect(problems(write('a.yaml', 'role: agent\ndata: [\n'))[0]).toMatch(/^a\.yaml:\d+: /);
  expect(problems(write('b.yaml', 'role: agent\ndata: /d\ndata: /e\n'))[0]).toMatch(/^b\.yaml:3: /);
  let bomb = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n';
  for (let i = 1; i < 9; i++)
    bomb += `a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(',')}]\n`;
  expect(problems(write('c.yaml', bomb)).join()).toMatch(/too large/);
  expect(problems(write('d.yaml', 'just text\n'))[0]).toMatch(/map of key: value/);
  expect(problems(write('e.yaml', '__proto__: { polluted: 1 }\nrole: agent\ndata: /d\n'))).toEqual([
    'e.yaml:1: __proto__: unknown key',
  ]);
  expect(problems(write('f.yaml', 'a: &a [*a]\n')).length).toBeGreaterThan(0);
});

test('an empty value counts as absent and is warned of', () => {
  const { config, warnings } = load(write('a.yaml', 'role: agent\ndata: /d\ncache:\n'));
  expect(config.cache.budget).toBe(100 * 2 ** 30);
  expect(warnings.map((line) => line.replace(`${dir}/`, ''))).toEqual([
    'a.yaml:3: cache: empty, so the default is used',
  ]);
});

test('the role can be read without the schema, and the schema published', () => {
  expect(readRole(write('a.yaml', 'role: agent\nnope: ${X}\n'), {})).toBe('agent');
  expect(jsonSchema(schema)).toMatchObject({ type: 'object', additionalProperties: false, required: ['role', 'data'] });
});
