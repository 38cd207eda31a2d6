import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { KnownOrigins } from './known-origins.ts';

const dirs: string[] = [];
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true });
});

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-known-'));
  dirs.push(dir);
  return dir;
}

function known(dir: string, o: { cluster?: string; trackers?: string[] } = {}) {
  const warned: string[] = [];
  const log = { warn: (_: object, text: string) => warned.push(text) };
  const { cluster = 'c', trackers = ['http://t1', 'http://t2'] } = o;
  return Object.assign(new KnownOrigins({ dir, cluster, trackers, log }), { warned });
}

const origins = ['http://o1:1', 'http://o2:1'];
const told = { origins, places: [{ id: '1'.repeat(32), url: 'http://o1:1', weight: 2 }] };

test('what was told is there after a restart, also where one tracker was replaced', async () => {
  const dir = await folder();
  const before = known(dir);
  expect(await before.read()).toBeUndefined();
  before.write({ origins: ['http://o0:1'], places: [] });
  before.write(told);
  await before[Symbol.asyncDispose]();
  expect(await readdir(dir)).toEqual(['origins']);
  expect(await known(dir).read()).toEqual(told);
  expect(await known(dir, { trackers: ['http://t2', 'http://t3'] }).read()).toEqual(told);
  expect(before.warned).toEqual([]);
});

test('what a release before wrote, without ids, is read', async () => {
  const dir = await folder();
  await writeFile(join(dir, 'origins'), '{"cluster":"c","trackers":["http://t1"],"origins":["http://o1:1"]}\n');
  const one = known(dir);
  expect(await one.read()).toEqual({ origins: ['http://o1:1'], places: [] });
  expect(one.warned).toEqual([]);
});

test('what is not news is not written again', async () => {
  const dir = await folder();
  const first = known(dir);
  first.write(told);
  await first[Symbol.asyncDispose]();
  const second = known(dir);
  await second.read();
  await rm(join(dir, 'origins'));
  second.write(told);
  await second[Symbol.asyncDispose]();
  expect(await readdir(dir)).toEqual([]);
});

test.each([
  ['of another cluster', '{"cluster":"d","trackers":["http://t1"],"origins":["http://o1:1"]}'],
  ['of other trackers', '{"cluster":"c","trackers":["http://t9"],"origins":["http://o1:1"]}'],
  ['cut off', '{"cluster":"c","trackers":["http://t1"],"ori'],
  ['empty', ''],
  ['null', 'null'],
  ['zeros', '\0'.repeat(100)],
  ['no list', '{"cluster":"c","trackers":["http://t1"],"origins":{"0":"http://o1:1"}}'],
  ['no URLs', '{"cluster":"c","trackers":["http://t1"],"origins":["file:///etc/passwd"]}'],
  ['a port that there is not', '{"cluster":"c","trackers":["http://t1"],"origins":["http://o1:65536"]}'],
  ['far too long', `{"cluster":"c","trackers":["http://t1"],"origins":["http://o1:1"]}${' '.repeat(600_000)}`],
])('a file that is %s is ignored with one line, and replaced', async (_, text) => {
  const dir = await folder();
  await writeFile(join(dir, 'origins'), text);
  const one = known(dir);
  expect(await one.read()).toBeUndefined();
  expect(one.warned).toHaveLength(1);
  one.write(told);
  await one[Symbol.asyncDispose]();
  expect(JSON.parse(await readFile(join(dir, 'origins'), 'utf8'))).toMatchObject(told);
});

test('a directory that cannot be written to costs a line in the log', async () => {
  const dir = await folder();
  const one = known(join(dir, 'absent'));
  one.write(told);
  await one[Symbol.asyncDispose]();
  expect(one.warned).toEqual(['origins cannot be remembered']);
});
