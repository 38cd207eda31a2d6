/** The library of a kind of backend is loaded by who has such a backend, and by nobody else; without it nobody else fails. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { kinds } from '../platform/backends/kinds.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { sectionsOf } from './backends-page.fixtures.ts';
import { copiedTree, type Loaded, loadedBy, noting } from './libraries.fixtures.ts';

const loopback = { host: '127.0.0.1', port: 0 };
/** What some kind of backend brings along, and what that is built upon. */
const libraries = /^(@aws|@smithy|@google-cloud|google-|gaxios|@azure|kysely|mysql2|pg|libpg|@mongodb)/;
const bucket = {
  bucket: 'images',
  endpoint: 'http://127.0.0.1:9',
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
};
async function temporaryDirectory(stack: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-libraries-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
const roles = ['origin', 'index'] as const;

/** What a role has loaded once it is ready and has been asked whether its backend is. */
async function loadedIn(role: (typeof roles)[number], at: (dir: string) => object | undefined): Promise<Loaded> {
  await using cluster = await Cluster.make();
  const [directory, noted] = [join(cluster.dir, 'objects'), join(cluster.dir, 'loaded')];
  await mkdir(directory);
  const rule = at(directory);
  const backends = rule === undefined ? [] : [{ name: 'main', required: true, ...rule }];
  const own = role === 'origin' ? { peer: loopback, trackers: ['http://127.0.0.1:9'] } : {};
  const settings = { role, listen: loopback, data: cluster.dataOf(role), backends, ...own };
  const entry = entryUrl(`../${role}/main.ts`, import.meta.url);
  const started = await cluster.start(entry, role, settings, [noting(noted)]);
  await (await fetch(`${started.url('api')}/readiness`)).arrayBuffer();
  return await loadedBy(noted);
}

test.each(roles)(
  '%s: no backend, or a directory, loads no library of another kind',
  { timeout: 60_000 },
  async (role) => {
    const none = await loadedIn(role, () => undefined);
    expect(none.packages).toContain('fastify');
    expect(none.packages.filter((name) => libraries.test(name))).toEqual([]);
    expect(none.files.filter((file) => /backends\/(?!around)(\w+)\/\1\.ts$/.test(file))).toEqual([]);
    const file = await loadedIn(role, (directory) => ({ file: { directory } }));
    expect(file.files).toContain('platform/backends/file/file.ts');
    expect(file.packages).toEqual(none.packages);
  },
);

test('a bucket loads its own', { timeout: 60_000 }, async () => {
  const { packages } = await loadedIn('origin', () => ({ s3: bucket }));
  expect(packages).toContain('@aws-sdk/client-s3');
  expect(packages.filter((name) => libraries.test(name) && !/^@(aws|smithy)/.test(name))).toEqual([]);
});

/** What kinds have of others, opened as their sections of docs/backends.md say; a kind that is not here has nothing. */
const own: Readonly<Record<string, string>> = {
  azure: '@azure/identity',
  gcs: 'google-auth-library',
  s3: '@aws-sdk/client-s3',
  shadow: '@aws-sdk/client-s3',
  sql: 'mysql2',
};
/** Whatever kind is opened. */
const common = ['zod'];
const script = `
const [, kinds, name, settings] = process.argv;
const { kindNamed } = await import(kinds);
const kind = kindNamed(name);
const nobody = new Proxy({}, { get: () => () => nobody });
const opening = { name, stallMs: 1000, env: {}, log: nobody, metrics: nobody, clock: { nowMs: () => 0 } };
await kind.open(kind.schema.parse(JSON.parse(settings)), opening);
process.exit(0);
`;

test.each(Object.keys(kinds))('%s loads its own library alone', { timeout: 60_000 }, async (name) => {
  await using stack = new AsyncDisposableStack();
  const dir = await temporaryDirectory(stack);
  const block = sectionsOf('backends.md').find(({ title }) => title === name)?.blocks[0] ?? '';
  const [rule] = (parse(block) as { backends: Record<string, unknown>[] }).backends;
  const tags = (rule?.['tags'] ?? {}) as Record<string, unknown>;
  const settings = rule?.[name] ?? tags[name];
  const noted = join(dir, 'loaded');
  const at = new URL('../platform/backends/kinds.ts', import.meta.url).href;
  const args = [noting(noted), '--input-type=module', '-e', script, at, name, JSON.stringify(settings)];
  await promisify(execFile)(process.execPath, args);
  const { packages } = await loadedBy(noted);
  const library = own[name];
  if (library === undefined) expect(packages).toEqual(common);
  else expect(packages).toContain(library);
  const others = [...Object.values(own), 'pg', '@aws-sdk/client-ecr'].filter((other) => other !== library);
  expect(packages.filter((one) => others.includes(one))).toEqual([]);
});

test('a library that is not installed: who needs it says which and what to do, and nobody else fails', {
  timeout: 60_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const tree = await copiedTree(stack, ['@aws-sdk/client-s3']);
  const [directory, file] = [join(tree, 'objects'), join(tree, 'origin.yaml')];
  await mkdir(directory);
  const asked = async (rule: object, ...args: string[]): Promise<{ code: number; said: string }> => {
    const own = { listen: loopback, peer: loopback, data: join(tree, 'data'), trackers: ['http://127.0.0.1:9'] };
    await writeFile(file, JSON.stringify({ role: 'origin', ...own, backends: [{ name: 'main', ...rule }] }));
    const done = promisify(execFile)(process.execPath, [join(tree, 'bin/shoal.js'), ...args, file]);
    return await done.then(
      ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, said: stdout + stderr }),
    );
  };
  expect(await asked({ file: { directory } }, 'config', 'check', '--online')).toMatchObject({ code: 0 });
  const said = expect.stringContaining('main: it needs the package @aws-sdk/client-s3, which is not installed');
  expect(await asked({ s3: bucket }, 'config', 'check', '--online')).toEqual({ code: 1, said });
  expect(await asked({ s3: bucket }, 'origin', '--config')).toEqual({ code: 1, said });
});
