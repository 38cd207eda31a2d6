/** The published package: packed, installed globally by the machine's own Node and npm, run from an empty folder. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../cluster.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
let empty = '';
let installed = '';
/** PATH without the Node 24 that `npm run` puts first: what a user's shell has. */
const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
const inShell = (...command: string[]): Promise<string> =>
  run('sh', ['-c', 'cd "$0" && exec "$@"', empty, ...command], { PATH: path.join(delimiter) });

beforeAll(async () => {
  const dir = await temporary(stack, 'package');
  empty = join(dir, 'empty');
  await mkdir(empty);
  await run('sh', ['-c', 'cd "$0" && exec npm pack --silent --pack-destination "$1"', root, dir]);
  const tarball = (await readdir(dir)).find((name) => name.endsWith('.tgz')) ?? 'no tarball';
  await inShell('npm', 'install', '-g', '--no-audit', '--no-fund', '--prefix', join(dir, 'prefix'), join(dir, tarball));
  installed = join(dir, 'prefix/bin/shoal');
});
afterAll(() => stack.disposeAsync());

test('packing left the checkout as it was', () => {
  expect(existsSync(join(root, 'dist'))).toBe(false);
});

test('the package holds no TypeScript and no tests', async () => {
  const files = await readdir(join(installed, '../../lib/node_modules/shoal/dist'), { recursive: true });
  expect(files.filter((name) => /\.ts$|\.test\.|testing|fixtures/.test(name))).toEqual([]);
});

test('shoal --version', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  expect(await inShell(installed, '--version')).toContain(version);
});

test('shoal demo, from an empty folder that stays empty', async () => {
  const printed = await inShell(installed, 'demo', '--size', '16MB');
  expect(printed).toMatch(/MB\/s/);
  expect(await readdir(empty)).toEqual([]);
});
