// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of the configuration files themselves.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import { ConfigError, loadConfig } from './load.ts';
import { baseUrl, port } from './units.ts';

const schema = z.strictObject({
  name: z.string().prefault(''),
  url: baseUrl().optional(),
  port: port(1),
  store: z
    .strictObject({ password: z.string().max(40), key: z.enum(['a', 'b']).optional(), database: z.string().optional() })
    .optional(),
  backends: z.array(z.strictObject({ name: z.string(), secretKey: z.string().min(3).optional() })).prefault([]),
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-secrets-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const planted = 'pl4nted-s3cret';
const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const load = (file: string, more: { secrets?: string[]; sets?: string[]; env?: Record<string, string> } = {}) =>
  loadConfig({ file, schema, ...more });
function problems(...args: Parameters<typeof load>): readonly string[] {
  try {
    load(...args);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((line) => line.replaceAll(`${dir}/`, ''));
    throw error;
  }
  throw new Error('the configuration was accepted');
}

test('a value comes from a file beside the one that names it, and stays text', () => {
  mkdirSync(join(dir, 'keys'));
  write('keys/password', '12345\n');
  const { config, files } = load(
    write('a.yaml', 'store:\n  password: ${file:keys/password}\nname: p-${file:keys/password}\n'),
  );
  expect(config).toMatchObject({ store: { password: '12345' }, name: 'p-12345' });
  expect(files).toEqual([join(dir, 'a.yaml'), join(dir, 'keys/password'), join(dir, 'keys/password')]);
  expect(load(join(dir, 'a.yaml'), { sets: [`name=\${file:${dir}/keys/password}`] }).config.name).toBe('12345');
  expect(load(write('b.yaml', 'name: $${file:x}\n')).config.name).toBe('${file:x}');
});

test.each([
  ['gone', undefined, 'is not there'],
  ['empty', '\n', 'is empty'],
  ['large', 'x'.repeat(17_000), 'has more than 16384 bytes'],
  ['bytes', 'a\0b', 'has bytes that are no text'],
  ['..', undefined, 'is no file'],
])('a secret file %s is named with what is wrong', (name, text, why) => {
  if (text !== undefined) write(name, text);
  const [line, ...more] = problems(write('a.yaml', `name: a\nport: 5\nurl: \${file:${name}}\n`));
  expect(line).toMatch(/^a\.yaml:3: the file .* of a secret /);
  expect(line).toContain(why);
  expect(more.join()).not.toContain('xxx');
});

test('files of secrets are merged over the configuration, lists by number; --set is above both', () => {
  const file = write(
    'a.yaml',
    'name: a\nbackends:\n  - name: one\n  - name: two\nstore: { database: d, password: old }\n',
  );
  const secrets = [write('s.yaml', `store: { password: ${planted} }\nbackends: { 1: { secretKey: ${planted} } }\n`)];
  expect(load(file, { secrets }).config).toMatchObject({
    store: { database: 'd', password: planted },
    backends: [{ name: 'one' }, { name: 'two', secretKey: planted }],
  });
  expect(load(file, { secrets, sets: ['store.password=set'] }).config.store?.password).toBe('set');
  expect(load(file, { secrets }).files).toContain(join(dir, 's.yaml'));
});

test('no message says a secret, wherever it comes from and however wrong it is', () => {
  const file = write('a.yaml', 'name: a\n');
  write('key', planted);
  const quoted = `${planted}"quoted"`;
  const wrong: readonly (readonly [string, { secrets?: string[]; env?: Record<string, string>; sets?: string[] }])[] = [
    [write('1.yaml', 'url: ${file:key}\n'), {}],
    [write('2.yaml', 'url: http://${file:key}@host\n'), {}],
    [
      write('3.yaml', 'port: ${file:key}\nstore: { key: c, password: "${S}" }\n'),
      { env: { S: `${planted}${'x'.repeat(50)}` } },
    ],
    [file, { secrets: [write('4s.yaml', `url: ${planted}\nport: ${planted}\nnope: ${planted}\nstore: ${planted}\n`)] }],
    [file, { secrets: [write('5s.yaml', `store: { password: [${planted}] }\nbackends: { 0: ${planted} }\n`)] }],
    [file, { secrets: [write('6s.yaml', `${planted}\n`)] }],
    [file, { secrets: [write('7s.yaml', `a: "${planted}" ${planted}\n  ${planted}: ]\n- ${planted}`)] }],
    [file, { secrets: [write('8s.yaml', `url: '${quoted}'\n`)] }],
    [file, { sets: [`store={password: 5}`, `url=ftp://me:${planted}@host`] }],
    [write('9.yaml', `store: { password: 987654321 }\nbackends: [{ name: 1, secretKey: 22 }]\n`), {}],
  ];
  for (const [path, more] of wrong) {
    const said = problems(path, more).join('\n');
    expect(said).not.toContain('pl4nted');
    expect(said).not.toContain('987654321');
    expect(said.length).toBeGreaterThan(10);
  }
  expect(problems(write('9.yaml', 'store: { password: 987654321 }\n'))).toEqual([
    '9.yaml:1: store.password: expected text, got a secret',
  ]);
});
