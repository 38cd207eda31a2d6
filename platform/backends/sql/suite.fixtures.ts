/** What a database of tags does whichever it is: run against SQLite here, and against servers where there are some. */

import { describe, expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { conditionsConformance } from '../conformance/conditions.fixtures.ts';
import { tagsConformance } from '../conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import type { SqlConnections } from './connections.ts';
import { keyOfTag } from './key.ts';

/** An empty database. */
export type EmptyDatabase = {
  /** As a rule of it says, with other settings beside where they are. */
  open(more?: object): Promise<Backend>;
  /** Another way in. */
  readonly raw: SqlConnections;
  /** Kraken's table as gorm 1.9 has made it for Kraken's model on such a server. */
  readonly krakens: readonly string[];
};

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

type Made = { readonly make: () => Promise<EmptyDatabase>; readonly opened: () => Promise<Backend> };

const run = ({ raw }: EmptyDatabase, text: string) => raw.run({ text, values: [] }, never);
const put = (backend: Backend, key: string, value: string, version?: string | null) =>
  backend.put(key, Buffer.from(value), never, version === undefined ? undefined : { version });

async function text(backend: Backend, key: string): Promise<string | undefined> {
  const found = await backend.stat(key, never);
  return (
    found && String(await bytesOf(backend.read(key, { start: 0, end: found.size, version: found.version }, never)))
  );
}

/** With Kraken's own table in it. */
async function krakens(make: Made['make']): Promise<EmptyDatabase> {
  const empty = await make();
  for (const text of empty.krakens) await run(empty, text);
  return empty;
}

export function sqlConformance(make: () => Promise<EmptyDatabase>): void {
  const made: Made = { make, opened: async () => await (await make()).open() };
  const { opened } = made;
  const can = { conditions: true, list: true, writes: true, records: true };
  tagsConformance(opened, { keyOf: (repository, tag) => keyOfTag({ repository, tag }) });
  describe('conditions of records', () => conditionsConformance({ make: opened, objects: 0, can }));
  describe('tags', () => tagRows(made));
  describe('lists', () => lists(made));
  describe('tables', () => tables(made));
}

function tagRows({ make, opened }: Made): void {
  test('of a tag that many write by condition one wins, and what another has written meanwhile stays', async () => {
    await using backend = await opened();
    const key = 'library/app:v1';
    const made = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((letter) => put(backend, key, digest(letter), null)),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const failed = made.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    for (const error of failed) expect(error).toMatchObject({ why: 'changed' });
    const before = (await backend.stat(key, never))?.version ?? '';
    const after = await put(backend, key, digest('e'), before);
    await expect(put(backend, key, digest('f'), before)).rejects.toMatchObject({ why: 'changed' });
    await expect(put(backend, key, digest('f'), 'none')).rejects.toMatchObject({ why: 'changed' });
    expect(await text(backend, key)).toBe(digest('e'));
    expect((await backend.stat(key, never))?.version).toBe(after.version);
  });

  test('nor do two write it while the tables are being made', async () => {
    for (let turn = 0; turn < 5; turn++) {
      const empty = await make();
      await using one = await empty.open();
      await using other = await empty.open();
      const made = await Promise.allSettled(
        ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((letter) =>
          [one, other].map((backend) => put(backend, 'library/app:v1', digest(letter), null)),
        ),
      );
      expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect((await one.list('', { max: 9 }, never)).objects).toHaveLength(1);
    }
  });

  test("Kraken's table is used as it stands, and Kraken finds there what it expects", async () => {
    const empty = await krakens(make);
    await using backend = await empty.open();
    await run(
      empty,
      `INSERT INTO tags (repository, tag, image_id, created_at, updated_at) VALUES ('library/app', 'old', '${digest('a')}', '2020-01-02 03:04:05', '2020-01-02 03:04:05')`,
    );
    expect(await text(backend, 'library/app:old')).toBe(digest('a'));
    await put(backend, 'library/app:old', digest('b'));
    await put(backend, 'library/app:new', digest('c'));
    // As Kraken asks for it.
    const { rows } = await run(
      empty,
      "SELECT * FROM tags WHERE (tags.repository = 'library/app') AND (tags.tag = 'old') ORDER BY tags.id ASC LIMIT 1",
    );
    expect(rows).toHaveLength(1);
    expect(Object.keys(rows[0] ?? {}).toSorted()).toEqual(
      ['created_at', 'id', 'image_id', 'repository', 'tag', 'updated_at'].toSorted(),
    );
    const [row = {}] = rows;
    expect([String(row['id']), row['image_id']]).toEqual(['1', digest('b')]);
    const year = (at: unknown): number => (at instanceof Date ? at : new Date(String(at))).getUTCFullYear();
    expect(year(row['created_at'])).toBe(2020);
    expect(year(row['updated_at'])).toBe(new Date().getUTCFullYear());
    const { rows: all } = await run(empty, 'SELECT tag, created_at, updated_at FROM tags ORDER BY id');
    expect(all.map(({ tag }) => tag)).toEqual(['old', 'new']);
    expect(year(all[1]?.['created_at'])).toBe(new Date().getUTCFullYear());
    // What Kraken writes meanwhile is read.
    await run(empty, `UPDATE tags SET image_id = '${digest('d')}' WHERE tag = 'new'`);
    expect(await text(backend, 'library/app:new')).toBe(digest('d'));
  });

  test('V1 and v1 are two tags', async () => {
    await using backend = await opened();
    await put(backend, 'library/app:v1', digest('a'));
    expect(await backend.stat('library/app:V1', never)).toBeUndefined();
    await put(backend, 'library/app:V1', digest('b'));
    expect([await text(backend, 'library/app:v1'), await text(backend, 'library/app:V1')]).toEqual([
      digest('a'),
      digest('b'),
    ]);
    const { objects } = await backend.list('library/app:', { max: 9 }, never);
    expect(objects.map(({ key }) => key)).toEqual(['library/app:V1', 'library/app:v1']);
  });
}

function lists({ opened }: Made): void {
  test('what does not fit a column is refused and not cut, nor is what is no digest', async () => {
    await using backend = await opened();
    for (const value of ['x'.repeat(2057), 'two\nlines', 'grün', '\0'])
      await expect(put(backend, 'library/app:v1', value)).rejects.toMatchObject({ why: 'refused' });
    await expect(put(backend, 'x'.repeat(513), 'record')).rejects.toMatchObject({ why: 'refused' });
    await expect(put(backend, 'größe', 'record')).rejects.toMatchObject({ why: 'refused' });
    expect(await backend.list('', { max: 9 }, never)).toEqual({ objects: [], next: undefined });
    await put(backend, 'library/app:v1', 'x'.repeat(2056));
    expect((await text(backend, 'library/app:v1'))?.length).toBe(2056);
  });

  test('tags and records are listed in the order of their bytes, by pages, under any prefix', async () => {
    await using backend = await opened();
    const repos = ['a', 'a-b', 'a.b', 'a/b', 'a0', 'a_b', '0', 'zz'];
    const keys = [
      ...repos.flatMap((repo) => ['V', '_', 'v', 'v.1', '9'].map((tag) => `${repo}:${tag}`)),
      ...repos.map((repo) => `_shoal/${repo}/_shoal/current/v`),
      "with a quote's?",
    ].toSorted();
    for (const key of keys) await put(backend, key, digest('a'));
    const under = async (prefix: string, max: number): Promise<string[]> => {
      const all: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await backend.list(prefix, { after, max }, never);
        expect(page.objects.length).toBeLessThanOrEqual(max);
        all.push(...page.objects.map(({ key }) => key));
        after = page.next;
        if (after === undefined) return all;
      }
    };
    expect((await backend.list('a:', { max: 1 }, never)).objects).toEqual([{ key: 'a:9', size: 71 }]);
    for (const max of [1, 7, 1000])
      for (const prefix of ['', 'a', 'a:', 'a:v', 'a_', '_shoal/', '_shoal/a/', 'with', 'nothing', '%', "'"])
        expect(await under(prefix, max), `${prefix} by ${max}`).toEqual(keys.filter((key) => key.startsWith(prefix)));
  });
}

function tables({ make, opened }: Made): void {
  test('a probe proves that it may be written to, and leaves nothing; what is removed is gone', async () => {
    await using backend = await opened();
    await backend.probe(never);
    await backend.probe(never);
    expect(await backend.list('', { max: 9 }, never)).toEqual({ objects: [], next: undefined });
    for (const key of ['library/app:v1', '.shoal/x']) {
      await put(backend, key, digest('a'));
      await backend.remove(key, never);
      await backend.remove(key, never);
      expect(await backend.stat(key, never)).toBeUndefined();
    }
    await expect(backend.write('blob', sourceOf(Buffer.alloc(1)), never)).rejects.toMatchObject({ why: 'unsupported' });
  });

  test('tables that are missing are empty to a reader, made by a writer, and only where they may be', async () => {
    const empty = await make();
    await using reading = await empty.open();
    expect(await reading.stat('library/app:v1', never)).toBeUndefined();
    expect(await reading.list('', { max: 9 }, never)).toEqual({ objects: [], next: undefined });
    await using forbidden = await empty.open({ create: false });
    for (const call of [
      () => forbidden.stat('library/app:v1', never),
      () => forbidden.list('', { max: 9 }, never),
      () => put(forbidden, 'library/app:v1', digest('a')),
      () => forbidden.probe(never),
    ])
      await expect(call()).rejects.toMatchObject({
        why: 'missing',
        scope: 'bucket',
        message: expect.stringMatching(/^main.*: CREATE TABLE IF NOT EXISTS tags /s),
      });
    await using one = await empty.open();
    await using other = await empty.open();
    await Promise.all([one, other].map((backend, i) => put(backend, `library/app:v${i}`, digest('a'))));
    expect((await forbidden.list('', { max: 9 }, never)).objects).toHaveLength(2);
  });

  test("without records it is Kraken's table alone", async () => {
    const empty = await krakens(make);
    await using backend = await empty.open({ records: false, create: false });
    expect(backend.can.records).toBe(false);
    await backend.probe(never);
    expect(await backend.stat('.shoal/readiness', never)).toBeUndefined();
    await expect(put(backend, '_shoal/x', 'record')).rejects.toMatchObject({ why: 'unsupported' });
    await put(backend, 'library/app:v1', digest('a'));
    expect((await backend.list('', { max: 9 }, never)).objects).toEqual([{ key: 'library/app:v1', size: 71 }]);
  });
}
