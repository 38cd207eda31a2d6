import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { indexStore } from './store.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-store-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

test('without --store each index has SQLite, and the backends', () => {
  expect(indexStore(undefined, undefined)).toEqual({ shared: false, config: {} });
  expect(indexStore(undefined, '/b.yaml')).toEqual({ shared: false, config: { extends: '/b.yaml' } });
  expect(indexStore(file('lite.yaml', 'store: { kind: sqlite }\n'), undefined).shared).toBe(false);
});

test('PostgreSQL, by its URL or by a file, has backends beside it', () => {
  const url = 'postgres://shoal@db/shoal';
  const store = { kind: 'postgres', url };
  expect(indexStore(url, undefined)).toEqual({ shared: true, config: { store } });
  expect(indexStore(url, '/b.yaml')).toEqual({ shared: true, config: { extends: '/b.yaml', store } });
  const named = file('pg.yaml', `store: { kind: postgres, url: '${url}' }\n`);
  expect(indexStore(named, undefined)).toEqual({ shared: true, config: { extends: named } });
  expect(indexStore(named, '/b.yaml')).toEqual({ shared: true, config: { extends: '/b.yaml', store } });
});

test('a bucket has the rule that its file names, and no other', () => {
  const named = file(
    'bucket.yaml',
    'store: { kind: bucket, backend: tags }\nbackends: [{ name: tags, s3: { bucket: tags } }]\n',
  );
  const expected = { shared: true, config: { extends: named } };
  expect(indexStore(named, undefined)).toEqual(expected);
  expect(indexStore(named, '/b.yaml')).toEqual(expected);
});

test.each([
  ['no file', '/nowhere/store.yaml', 'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, or a YAML file'],
  ['no store', 'backends: []\n', 'has no `store:` with a `kind:`'],
  ['a store without a kind', 'store: { url: x }\n', 'has no `store:` with a `kind:`'],
  ['nothing', '', 'has no `store:` with a `kind:`'],
  ['no map', '- 1\n', 'has no `store:` with a `kind:`'],
  ['no YAML', 'store: { kind: [\n', 'must be sufficiently indented'],
])('%s is said with the name of the option', (name, text, said) => {
  const named = text.startsWith('/') ? text : file(`${name}.yaml`, text);
  expect(() => indexStore(named, undefined)).toThrow(`--store ${named}: `);
  expect(() => indexStore(named, undefined)).toThrow(said);
});
