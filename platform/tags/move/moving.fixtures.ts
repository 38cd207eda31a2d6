/**
 * What every engine must do as a source and as a target of a move, run against each pair: the store that comes of it does
 * whatever the one before would have done.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { OutboxOptions } from '../outbox.ts';
import type { TagStore } from '../store.ts';
import { numberOf, tagVersion } from '../versions.ts';
import type { MoveReading, MoveSource, MoveTarget } from './engine.ts';
import { type Change, type Entries, type EntryKind, KINDS } from './entries.ts';
import { moveTags } from './move.ts';

export type MovingPlace = {
  open(outbox?: OutboxOptions): Promise<TagStore>;
  source(): Promise<MoveSource>;
  target(database: string): Promise<MoveTarget>;
};
/** `idle`: it keeps since when links are idle. `place`: an empty one each time. */
export type MovingEngine = {
  readonly name: string;
  readonly idle: boolean;
  readonly place: () => Promise<MovingPlace>;
};

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  ...{ mediaType: 'm/x', size: 500, tags: [], blobs: [], manifests: [] },
  ...more,
});
const hourMs = 3_600_000;
const [gone, told, proved, waits] = [digest(900), digest(901), digest(902), digest(903)];
const annotations = { 'org.example.a': 'é "x"', b: '' };
const signal = new AbortController().signal;
const at = (nowMs: number) => ({ nowMs, unlinkedMs: hourMs });

/** A bit of all that there is. */
export async function populate(store: TagStore): Promise<void> {
  for (const repo of ['a', 'a/b.c', 'a-b', 'team/x_y'])
    for (let no = 0; no < 4; no++) await store.linkBlob(repo, digest(100 + no), { size: 9 + no });
  await store.putManifest('a', digest(1), image({ tags: ['V1', 'v1', 'latest', 'Z', 'a'], blobs: [digest(100)] }), 0);
  await store.putManifest('a', digest(2), image({ blobs: [digest(101), digest(102)], size: 7 }), 0);
  await store.putManifest('a', digest(3), image({ manifests: [digest(1), digest(2)], tags: ['index'] }), 0);
  const referrer = { subject: digest(1), artifactType: 'a/t', annotations, blobs: [digest(103)] };
  await store.putManifest('a', digest(4), image(referrer), 0);
  await store.putManifest('a/b.c', digest(1), image({ tags: ['x'], blobs: [digest(100)] }), 0);
  await store.putManifest('a-b', digest(5), image({ tags: ['go'], subject: digest(77) }), 0);
  await store.deleteManifest('a-b', digest(5), 10);
  await store.deleteTag('a', 'Z');
  await store.putTag('a', 'v1', { digest: digest(2) });
  for (const lost of [gone, told, proved, waits]) await store.linkBlob('team/x_y', lost, { size: 1 });
  for (const lost of [gone, told, proved]) await store.unlinkBlob('team/x_y', lost, 0);
  await store.unlinkBlob('team/x_y', waits, 5 * hourMs);
  await store.condemn([told, proved], at(3 * hourMs));
  const generation = await store.linkBlob('a', proved, { size: 1 });
  expect(await store.linkBlob('a', proved, { size: 1, proof: generation })).toBeUndefined();
  // Referred to, and told all the same.
  await store.putManifest('team/x_y', digest(6), image({ subject: told, tags: ['s'] }), 0);
  await store.documents.putDocument('access', { version: 7, text: '{"users":[]}' }, 0);
  await store.documents.putDocument('blocks', { version: 1_764_444_000_000, text: '["é"]' }, 0);
}

export async function entriesOf(from: { read(): Promise<MoveReading> }): Promise<{ [K in EntryKind]: Entries[K][] }> {
  await using reading = await from.read();
  const all: Partial<Record<EntryKind, object[]>> = {};
  for (const kind of KINDS) {
    const found: object[] = [];
    for await (const page of reading.pages(kind)) found.push(...page);
    all[kind] = found;
  }
  return all as { [K in EntryKind]: Entries[K][] };
}

/** Since when links are idle only engines with tables keep. */
let aged = true;
async function lastingIn(from: { read(): Promise<MoveReading> }) {
  const { idle, ...all } = await entriesOf(from);
  return { ...all, idle: aged ? idle : [] };
}

export async function moved(from: MovingPlace, to: MovingPlace) {
  await using source = await from.source();
  await using target = await to.target(source.database);
  return await moveTags({ source, target, signal, progress: () => undefined });
}

export function movingConformance(from: MovingEngine, to: MovingEngine): void {
  describe(`move: ${from.name} to ${to.name}`, () => {
    let [old, fresh]: MovingPlace[] = [];
    beforeEach(async () => {
      aged = from.idle && to.idle;
      [old, fresh] = [await from.place(), await to.place()];
    });
    const places = () => [old, fresh] as [MovingPlace, MovingPlace];

    entries(places);
    continues(places);
    broken(places);
    refusals(places);
    outbox(places);
  });
}

type Places = () => [MovingPlace, MovingPlace];

async function filled(place: MovingPlace): Promise<void> {
  await using store = await place.open();
  await populate(store);
}

function entries(places: Places): void {
  test('every entry is there, and alike', async () => {
    const [old, fresh] = places();
    await filled(old);
    const said = await moved(old, fresh);
    await using source = await old.source();
    await using copy = await fresh.source();
    const all = await lastingIn(source);
    expect(await lastingIn(copy)).toEqual(all);
    expect(copy.database).toBe(source.database);
    expect(all.manifest).toContainEqual({
      ...{ repo: 'a', digest: digest(4), mediaType: 'm/x', size: 500, subject: digest(1), artifactType: 'a/t' },
      ...{ annotations, blobs: [digest(103)], manifests: [] },
    });
    expect(all.tag.map(({ repo, tag, on }) => `${repo} ${tag} ${on === null ? 'gone' : 'on'}`)).toEqual([
      ...['a a on', 'a index on', 'a latest on', 'a V1 on', 'a v1 on', 'a Z gone', 'a-b go gone', 'a/b.c x on'],
      'team/x_y s on',
    ]);
    expect(all.unlinked.map((one) => one.digest)).toEqual(expect.arrayContaining([gone, told, waits]));
    expect(all.document).toEqual([
      { name: 'access', version: 7, text: '{"users":[]}' },
      { name: 'blocks', version: 1_764_444_000_000, text: '["é"]' },
    ]);
    expect(said).toMatchObject({ kept: 0, late: 0, rounds: 2, entries: { tag: 9, repo: 4 } });
  });
}

function continues(places: Places): void {
  test('the store goes on where the other one stood', async () => {
    const [old, fresh] = places();
    await filled(old);
    const before = await (async () => {
      await using store = await old.open();
      return await seenOf(store);
    })();
    await moved(old, fresh);
    await using store = await fresh.open();
    expect(await seenOf(store)).toEqual(before);
    const { version } = (await store.tag('a', 'latest')) ?? {};
    expect(await store.putTag('a', 'Z', { digest: digest(1), after: version ?? null })).toMatchObject({
      changed: before.deleted.version,
    });
    const put = await store.putTag('a', 'latest', { digest: digest(2), after: version ?? null });
    const next = put !== undefined && 'version' in put ? put.version : undefined;
    expect(numberOf(next ?? tagVersion(0, ''))).toBeGreaterThan(Math.max(...before.versions.map(numberOf)));
    const generation = await store.linkBlob('a', told, { size: 1 });
    expect(generation).toBeGreaterThan(0);
    expect(await store.condemn([told], at(9 * hourMs))).toMatchObject({ condemned: [] });
    await store.deleteManifest('team/x_y', digest(6), 9 * hourMs);
    expect(await store.condemn([told, waits, gone], at(9 * hourMs))).toMatchObject({ condemned: [told, waits, gone] });
    expect(await store.linkBlob('a', told, { size: 1 })).toBeGreaterThan(generation ?? 0);
    expect(await store.linkBlob('a', waits, { size: 1 })).toBeGreaterThan(generation ?? 0);
    await store.deleteManifest('a', digest(4), 10 * hourMs);
    await store.unlinkBlob('a', digest(103), 10 * hourMs);
    expect((await store.condemn([digest(103)], at(20 * hourMs))).condemned).toEqual([]);
  });
}

/** What a store answers. */
async function seenOf(store: TagStore) {
  const deleted = await store.tagState('a', 'Z');
  const tags = ['V1', 'v1', 'latest', 'a', 'index'];
  const all = await Promise.all(tags.map((tag) => store.tag('a', tag)));
  return {
    deleted,
    versions: all.flatMap((one) => one?.version ?? []),
    all,
    listed: await store.tags('a', { n: 10 }),
    catalog: await store.catalog({ n: 10 }),
    empty: await store.tags('a-b', { n: 10 }),
    none: await store.tags('nobody', { n: 10 }),
    referrers: await store.referrers('a', digest(1), { n: 10 }),
    holders: await store.holders(digest(100), { n: 10 }),
    blob: await store.blob('a', digest(103)),
    references: await store.references('a', digest(3)),
    unlinked: await store.unlinked([gone, told, proved, waits, digest(77), digest(100)]),
  };
}

/** Of one that was restored. */
export function restoredConformance(engine: MovingEngine): void {
  test(`an index in ${engine.name} that was moved from one that was restored says so, until it is trusted`, async () => {
    const place = await engine.place();
    const former = ['a'.repeat(32), 'b'.repeat(32)];
    {
      await using target = await place.target('c'.repeat(32));
      await target.write(former.map((id) => ({ kind: 'succession', how: 'add', entry: { id, trusted: false } })));
      await target.finish();
    }
    await using store = await place.open();
    expect(await store.succession()).toEqual({ of: former, trusted: false });
    await store.trust();
    expect(await store.succession()).toEqual({ of: former, trusted: true });
    await using source = await place.source();
    expect((await entriesOf(source)).succession).toEqual(former.map((id) => ({ id, trusted: true })));
    await using other = await (await engine.place()).open();
    expect(await other.succession()).toEqual({ of: [], trusted: true });
    await other.trust();
  });
}

function broken(places: Places): void {
  test('one that breaks off after any change goes on, and is no store before its end', async () => {
    const [old, fresh] = places();
    await filled(old);
    let [attempts, done] = [0, 0];
    for (let whole = false; !whole; attempts++) {
      await using source = await old.source();
      await using target = await fresh.target(source.database);
      let left = 7;
      const write = async (changes: readonly Change[]): Promise<void> => {
        const some = changes.slice(0, left);
        if (some.length > 0) await target.write(some);
        done += some.length;
        left -= some.length;
        if (some.length < changes.length) throw new Error('broken off');
      };
      const { name, holds, begun } = target;
      const breaking = {
        ...{ name, holds, begun, write },
        read: () => target.read(),
        finish: () => target.finish(),
        [Symbol.asyncDispose]: async () => undefined,
      };
      const asked = { source, target: breaking, signal, progress: () => undefined };
      whole = await moveTags(asked).then(
        () => true,
        (error: Error) => error.message !== 'broken off' && Promise.reject(error),
      );
      if (!whole) await expect(fresh.source()).rejects.toThrow(/has not ended|there is no/);
    }
    await using source = await old.source();
    await using copy = await fresh.source();
    const all = await lastingIn(source);
    expect(await lastingIn(copy)).toEqual(all);
    expect(attempts).toBeGreaterThan(3);
    // Nothing was brought twice.
    expect(done).toBe(Object.values(all).flat().length);
  });

  test('what is written meanwhile is brought as well', async () => {
    const [old, fresh] = places();
    await filled(old);
    await using store = await old.open();
    await using source = await old.source();
    await using target = await fresh.target(source.database);
    let wrote = false;
    const progress = () => undefined;
    const read = async (): Promise<MoveReading> => {
      const reading = await source.read();
      // A snapshot, or what comes before the place where it is read by now, lacks these.
      const pages = reading.pages.bind(reading);
      reading.pages = async function* pagesOf(kind) {
        if (kind === 'numbers' && !wrote) {
          wrote = true;
          await store.putManifest('a', digest(8), image({ tags: ['late'] }), 0);
          await store.deleteTag('a', 'a');
          await store.deleteManifest('team/x_y', digest(6), 0);
        }
        yield* pages(kind);
      };
      return reading;
    };
    const { name, database } = source;
    const moving = { name, database, read, [Symbol.asyncDispose]: async () => undefined };
    const { late, rounds } = await moveTags({ source: moving, target, signal, progress });
    expect(late).toBeGreaterThan(3);
    expect(rounds).toBe(3);
    await using copy = await fresh.source();
    expect(await lastingIn(copy)).toEqual(await lastingIn(source));
  });
}

function refusals(places: Places): void {
  test('what holds something already is refused; so is a move of another store into one that has not ended', async () => {
    const [old, fresh] = places();
    await filled(old);
    {
      await using _begun = await fresh.target('e'.repeat(32));
      await _begun.write([{ kind: 'repo', how: 'add', entry: { repo: 'z' } }]);
    }
    await expect(moved(old, fresh)).rejects.toThrow(/another index/);
    await expect(fresh.source()).rejects.toThrow(/has not ended|there is no/);
    await expect(moved(old, old)).rejects.toThrow(/the very/);
  });
}

function outbox(places: Places): void {
  const kinds = ['blob', 'manifest', 'tag'] as const;
  const targets = [
    { name: 'main', kinds },
    { name: 'event:x', kinds: ['manifest', 'tag'] as const, every: true },
  ];
  const backed: OutboxOptions = { targetsOf: () => targets, nowMs: () => 7 };

  test('rows that wait, wait on', async () => {
    const [old, fresh] = places();
    {
      await using store = await old.open(backed);
      await populate(store);
      await store.adoptManifest('far', digest(50), { mediaType: 'm/x', size: 1, blobs: [], manifests: [] });
      const version = tagVersion(5, 'e'.repeat(32));
      await store.adoptTag('far', 'x', { digest: digest(50), version });
      const [row] = await store.claim('main', { nowMs: 8, n: 1, untilMs: 9 });
      if (row !== undefined) await store.failed(row, { cause: 'why', dueMs: 99 });
      const [event] = await store.claim('event:x', { nowMs: 8, n: 1, untilMs: 9 });
      if (event !== undefined) await store.failed(event, { cause: 'no', dueMs: 99, dead: true });
    }
    await moved(old, fresh);
    await using source = await old.source();
    const all = await lastingIn(source);
    expect(all.outbox.length).toBeGreaterThan(20);
    {
      await using copy = await fresh.source();
      expect(await lastingIn(copy)).toEqual(all);
    }
    await using store = await fresh.open(backed);
    expect(await store.waiting(0, 1_000)).toHaveLength(all.outbox.length);
    expect(await store.outbox()).toContainEqual(expect.objectContaining({ target: 'event:x', dead: true, rows: 1 }));
    expect(await store.backfill()).toEqual([]);
    expect((await store.tag('far', 'x'))?.version).toBe(tagVersion(5, 'e'.repeat(32)));
  });
}
