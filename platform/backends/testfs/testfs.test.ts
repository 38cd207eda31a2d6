import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { blobsConformance, tagsConformance } from '../conformance.fixtures.ts';
import { dockerTagLinks, registryLayout } from '../layout.ts';
import { never, sourceOf } from '../objects.fixtures.ts';
import { testfsSchema } from './config.ts';
import { TestfsServer } from './server.fixtures.ts';
import { TestfsBackend } from './testfs.ts';

let dir: string;
let server: TestfsServer;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-testfs-'));
  server = await TestfsServer.start(dir);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

const opened = (root: string, stallMs = 5_000): TestfsBackend =>
  new TestfsBackend(testfsSchema.parse({ address: server.address, root }), {
    name: 'main',
    stallMs,
    env: {},
    clock: realClock,
  });
const make = async () => opened(`in/${randomUUID()}`);
const linkOf = (repo: string, name: string): string => dockerTagLinks.linkKey({ repo, kind: 'tag', name }) ?? '';

describe('blobs', () => blobsConformance(make, { keyOf: registryLayout.blobKey, cannot: ['conditions'] }));
describe('tags', () => tagsConformance(make, { keyOf: linkOf, cannot: ['conditions'] }));

test('a file lies where Kraken has it', async () => {
  await using backend = opened('blobs');
  await backend.put('ab01', Buffer.from('x'), never);
  expect(String(await readFile(join(dir, 'blobs/ab01')))).toBe('x');
  await writeFile(join(dir, 'blobs/cd02'), 'of Kraken');
  expect(await backend.stat('cd02', never)).toMatchObject({ size: 9 });
});

test('lists are in the order of the bytes of keys, in pages, whatever a key is', async () => {
  await using backend = await make();
  expect(await backend.list('', { max: 9 }, never)).toEqual({ objects: [], next: undefined });
  const keys = ['a-b', 'a/b', 'a/c', 'a:b', 'a%3Ab', 'a b', 'é/ü', '../x', 'x/./y', 'z'].toSorted((one, two) =>
    Buffer.compare(Buffer.from(one), Buffer.from(two)),
  );
  for (const key of keys) await backend.put(key, Buffer.from(key), never);
  for (const key of keys) expect(await backend.stat(key, never)).toMatchObject({ size: Buffer.byteLength(key) });
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await backend.list('', { after, max: 3 }, never);
    found.push(...page.objects.map(({ key }) => key));
    if (page.next === undefined) break;
    after = page.next;
  }
  expect(found).toEqual(keys);
  expect((await backend.list('a/', { max: 9 }, never)).objects).toEqual([
    { key: 'a/b', size: 3 },
    { key: 'a/c', size: 3 },
  ]);
  expect((await backend.list('nothing/at/all', { max: 9 }, never)).objects).toEqual([]);
});

test('what it cannot is said: conditions, and removing', async () => {
  await using backend = await make();
  await backend.put('key', Buffer.from('x'), never);
  await expect(backend.put('key', Buffer.from('y'), never, { version: null })).rejects.toMatchObject({
    why: 'unsupported',
  });
  await expect(backend.remove('key', never)).rejects.toMatchObject({ why: 'unsupported' });
  await backend.remove('none', never);
});

test('a transfer that is cut leaves half an object, and the next one mends it', async () => {
  await using backend = await make();
  const source = sourceOf(randomBytes(3_000_000));
  const abort = new AbortController();
  let reads = 0;
  const cut = {
    ...source,
    async *read(start: number, end: number) {
      reads++;
      for await (const chunk of source.read(start, end, never)) {
        yield chunk;
        if (reads === 2 && start++ === 20) abort.abort(new Error('enough'));
      }
    },
  };
  await expect(backend.write('key', cut, abort.signal)).rejects.toThrow('enough');
  expect((await backend.stat('key', never))?.size).toBeLessThan(3_000_000);
  await backend.write('key', source, never);
  expect(await backend.stat('key', never)).toMatchObject({ size: 3_000_000 });
});

test('what answers there is no file server of Kraken, lies, or hangs: an error that says so, and never that a blob is unknown', async () => {
  await using backend = opened('blobs', 300);
  const answer = (status: number, headers: Record<string, string>, text: string) => {
    server.instead = (_, response) => !!response.writeHead(status, headers).end(text);
  };
  try {
    answer(404, { 'content-type': 'text/html' }, '<html><title>nginx</title></html>');
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'unavailable' });
    await expect(backend.probe(never)).rejects.toThrow(/is no file server of Kraken/);
    answer(200, {}, '');
    await expect(backend.stat('key', never)).rejects.toThrow(/does not say the size/);
    answer(200, {}, '<html>');
    await expect(backend.list('', { max: 1 }, never)).rejects.toThrow(/answers no JSON, but a page of HTML/);
    answer(500, {}, 'copy: no space left on device');
    await expect(backend.put('key', Buffer.from('x'), never)).rejects.toMatchObject({ why: 'unavailable' });
    server.instead = () => true;
    await expect(backend.stat('key', never)).rejects.toMatchObject({ why: 'stalled' });
  } finally {
    server.instead = () => false;
  }
});

test.each([
  [{ address: 'kraken' }, 'address', /HOST:PORT/],
  [{ address: 'a:1', root: '../x' }, 'root', /part that is/],
  [{ address: 'a:1', root: '/x y' }, 'root', /letters/],
  [{ addr: 'a:1' }, 'address', /./],
])('%j is named with its path', (wrong, path, words) => {
  const [issue] = testfsSchema.safeParse(wrong).error?.issues ?? [];
  expect([issue?.path.join('.'), issue?.message]).toEqual([path, expect.stringMatching(words)]);
});
