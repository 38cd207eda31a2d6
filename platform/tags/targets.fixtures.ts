/** What every tag store must do for several targets of a repository (outbox.ts, targets.ts), run against each implementation. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { OutboxOptions, OutboxRow } from './outbox.ts';
import type { TagStore } from './store.ts';
import type { OutboxKind, OutboxTarget } from './targets.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, layer] = [digest(1), digest(2), digest(100)] as const;
const bare = { mediaType: 'm/x', size: 500, blobs: [], manifests: [] };
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({ ...bare, tags: [], ...more });

const main: OutboxTarget = { name: 'main', kinds: ['blob', 'manifest', 'tag'] };
const east: OutboxTarget = { name: 'remote:east', kinds: ['tag', 'referrer'] };
const hook: OutboxTarget = { name: 'event:hook', kinds: ['manifest', 'tag'], every: true };

type Open = (outbox: OutboxOptions) => Promise<TagStore>;
let nowMs = 0;
let targets: readonly OutboxTarget[] = [];
let lost: string[] = [];
/** Who was said to be told. */
let heard: (target: string) => void = () => undefined;
let store: TagStore;

export function targetsConformance(name: string, open: Open): void {
  describe(`targets: ${name}`, () => {
    beforeEach(async () => {
      nowMs = 1_000_000;
      targets = [main, east, hook];
      lost = [];
      heard = () => undefined;
      store = await open({
        targetsOf: () => targets,
        nowMs: () => nowMs,
        onTold: (names) => {
          for (const target of names) heard(target);
        },
        onLost: (target, rows) => lost.push(`${target} ${rows}`),
      });
    });
    afterEach(() => store[Symbol.asyncDispose]());

    each();
    everyWrite();
    changes();
  });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const short = (name: string): string =>
  name.startsWith('sha256:') ? String(Number.parseInt(name.slice(-4), 16)) : name;
const told = ({ kind, name, digest: on }: OutboxRow): string => `${kind} ${short(name)} ${on && short(on)}`;

/** All that waits for one of them, in short. */
async function rowsOf({ name }: OutboxTarget): Promise<string[]> {
  return (await store.waiting(0, 1_000, { target: name })).map(told);
}

const rowOf = ({ name: target }: OutboxTarget, kind: OutboxKind, name: string) =>
  store.pending({ target, repo: 'a', kind, name });

async function claim({ name }: OutboxTarget, n = 9): Promise<readonly OutboxRow[]> {
  return await store.claim(name, { nowMs, n, untilMs: nowMs + 100 });
}

function each(): void {
  test('each target has the rows that it wants, and what one has got the others still wait for', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.putManifest('a', one, image({ tags: ['x'], blobs: [layer] }), 0);
    await store.putManifest('a', two, image({ subject: one }), 0);
    expect(await rowsOf(main)).toEqual(['blob 100 100', 'manifest 1 1', 'manifest 2 2', 'tag x 1']);
    expect(await rowsOf(east)).toEqual(['manifest 2 2', 'tag x 1']);
    // A push by tag is one write.
    expect(await rowsOf(hook)).toEqual(['tag x 1', 'manifest 2 2']);
    const x = await rowOf(main, 'tag', 'x');
    expect((await rowOf(east, 'tag', 'x'))?.version).toBe(x?.version);
    await store.written(x!);
    await store.failed((await rowOf(east, 'tag', 'x'))!, { cause: 'down', dueMs: nowMs + 50 });
    expect(await rowOf(main, 'tag', 'x')).toBeUndefined();
    expect((await store.outbox()).map(({ target, cause, rows }) => [target, cause, rows]).sort()).toEqual([
      ['event:hook', null, 2],
      ['main', null, 3],
      ['remote:east', null, 1],
      ['remote:east', 'down', 1],
    ]);
    expect([await store.nextDueMs(main.name), await store.nextDueMs(east.name)]).toEqual([nowMs, nowMs]);
    expect(await store.retry({ target: main.name })).toBe(0);
    expect(await store.retry({ repo: 'a', kind: 'tag', name: 'x' })).toBe(2);
  });

  test('who is told of a write hears so at once, and finds it', async () => {
    const told: [string, Promise<number | undefined>][] = [];
    heard = (target) => told.push([target, turn().then(() => store.nextDueMs(target))]);
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    const names = () => told.map(([target]) => target).sort();
    expect(names()).toEqual([hook.name, main.name, east.name].sort());
    expect(await Promise.all(told.map(([, dueMs]) => dueMs))).toEqual([nowMs, nowMs, nowMs]);
    await store.putManifest('a', two, image(), 0);
    await store.deleteTag('a', 'never');
    expect(names()).toEqual([hook.name, main.name, east.name, hook.name, main.name].sort());
    await Promise.all(told.map(([, dueMs]) => dueMs));
  });

  test('of one key each target is held by itself', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    expect((await claim(main)).map(told).sort()).toEqual(['manifest 1 1', 'tag x 1']);
    expect((await claim(east)).map(told)).toEqual(['tag x 1']);
    expect([await claim(main), await claim(east)]).toEqual([[], []]);
    await store.hold([{ target: east.name, repo: 'a', kind: 'tag', name: 'x' }], 0);
    expect([(await claim(main)).length, (await claim(east)).length]).toEqual([0, 1]);
  });

  test('a manifest with a subject is told once when it comes, and when it goes', async () => {
    const signature = image({ subject: one });
    await store.putManifest('a', two, signature, 0);
    await store.written((await rowOf(east, 'manifest', two))!);
    await store.putManifest('a', two, signature, 0);
    await store.putManifest('a', one, image(), 0);
    expect(await rowsOf(east)).toEqual([]);
    await store.deleteManifest('a', one, 0);
    await store.deleteManifest('a', two, 0);
    expect(await rowsOf(east)).toEqual(['manifest 2 null']);
  });

  test('what is dead is tried no more, until it is written anew, or an operator says so; or it is dropped', async () => {
    await store.putManifest('a', one, image({ tags: ['x', 'y', 'z'] }), 0);
    for (const tag of ['x', 'y', 'z'])
      await store.failed((await rowOf(east, 'tag', tag))!, { cause: 'denied', dueMs: nowMs, dead: true });
    expect([await claim(east), await store.nextDueMs(east.name)]).toEqual([[], undefined]);
    const all = await store.waiting(0, 9, { target: east.name, dead: true });
    expect(all.map(({ name, cause, dead, attempts }) => [name, cause, dead, attempts])).toEqual(
      ['x', 'y', 'z'].map((tag) => [tag, 'denied', true, 1]),
    );
    expect(await store.waiting(0, 9, { target: main.name, dead: true })).toEqual([]);
    await store.putTag('a', 'x', { digest: one });
    expect(await store.retry({ target: east.name, repo: 'a', kind: 'tag', name: 'y' })).toBe(1);
    expect((await claim(east)).map(told).sort()).toEqual(['tag x 1', 'tag y 1']);
    expect(await store.drop({ target: east.name, dead: true })).toBe(1);
    expect(await rowsOf(east)).toEqual(['tag x 1', 'tag y 1']);
    expect(await store.drop({ target: east.name })).toBe(2);
    expect([await rowsOf(east), (await rowsOf(main)).length]).toEqual([[], 4]);
  });
}

function everyWrite(): void {
  test('where every write is wanted none replaces another, and each comes once the one before it in its repository is there', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    await store.putTag('a', 'x', { digest: one });
    await store.putManifest('b', two, image(), 0);
    await store.deleteTag('a', 'x');
    await store.deleteManifest('a', one, 0);
    const inA = ['tag x 1', 'tag x 1', 'tag x null', 'manifest 1 null'];
    expect(await rowsOf(hook)).toEqual([...inA, 'manifest 2 2']);
    expect(await store.due(hook.name, nowMs + 99, 9)).toHaveLength(2);
    const seen: string[] = [];
    for (let rows = await claim(hook); rows.length > 0; rows = await claim(hook)) {
      for (const row of rows) {
        expect(row.slot).toBeGreaterThan(0);
        expect(await store.pending(row)).toMatchObject({ slot: row.slot, version: row.version });
        if (row.repo === 'a') seen.push(told(row));
        await store.written(row);
      }
    }
    expect(seen).toEqual(inA);
    expect([await rowsOf(hook), await store.nextDueMs(hook.name)]).toEqual([[], undefined]);
  });

  test('one that is held, or failed, holds up its own repository; one that is dead or dropped does not', async () => {
    for (const repo of ['a', 'b']) {
      await store.putManifest(repo, one, image(), 0);
      for (const tag of ['x', 'y']) await store.putTag(repo, tag, { digest: one });
    }
    const heads = async () => (await store.due(hook.name, nowMs, 9)).map((row) => `${row.repo} ${told(row)}`).sort();
    const [head] = (await claim(hook)).filter(({ repo }) => repo === 'a');
    expect(await claim(hook)).toEqual([]);
    await store.failed(head!, { cause: 'down', dueMs: nowMs + 40 });
    expect(await heads()).toEqual(['b manifest 1 1']);
    nowMs += 40;
    expect(await heads()).toEqual(['a manifest 1 1', 'b manifest 1 1']);
    await store.failed(head!, { cause: 'denied', dueMs: nowMs, dead: true });
    expect(await heads()).toEqual(['a tag x 1', 'b manifest 1 1']);
    const [x] = (await claim(hook)).filter(({ repo }) => repo === 'a');
    expect(await store.drop({ target: hook.name, repo: 'a', kind: 'tag', name: 'x' })).toBe(1);
    await store.written(x!);
    expect(await heads()).toEqual(['a tag y 1', 'b manifest 1 1']);
    expect(await store.retry({ target: hook.name, dead: true })).toBe(1);
    expect(await heads()).toContain('a manifest 1 1');
    await store.putTag('a', 'z', { digest: one });
    expect(await heads()).not.toContain('a tag z 1');
  });

  test('a write is never refused for what waits: beyond what may wait it leaves no row there, and that is told', async () => {
    targets = [east, { ...hook, rowsMax: 3 }];
    await store.putManifest('a', one, image({ tags: ['x', 'y'] }), 0);
    const push = (tag: string, n: number) =>
      Promise.all(Array.from({ length: n }, () => store.putTag('a', tag, { digest: one })));
    await push('x', 1_100);
    const { length } = await store.waiting(0, 5_000, { target: hook.name });
    expect(length).toBeGreaterThanOrEqual(3);
    expect(lost.length).toBeGreaterThan(0);
    expect(length + lost.length).toBe(2 + 1_100);
    expect(lost.every((line) => line === `${hook.name} 1`)).toBe(true);
    expect(await rowsOf(east)).toEqual(['tag x 1', 'tag y 1']);
    await store.drop({ target: hook.name });
    await push('y', 101);
    expect((await rowsOf(hook)).length).toBeGreaterThan(0);
  });
}

function changes(): void {
  test('a target that comes later is brought what there is, and no other; not where every write is wanted', async () => {
    targets = [main];
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    await store.putManifest('a', two, image({ subject: one }), 0);
    for (const row of await store.due(main.name, nowMs, 9)) await store.written(row);
    targets = [main, hook, east];
    expect(await store.backfill()).toEqual([{ repo: 'a', target: east.name }]);
    expect(await store.backfill()).toEqual([]);
    expect([await rowsOf(main), await rowsOf(hook)]).toEqual([[], []]);
    expect(await rowsOf(east)).toEqual(['manifest 2 2', 'tag x 1']);
    const { version } = await store.tagState('a', 'x');
    expect(await rowOf(east, 'tag', 'x')).toMatchObject({ version });
    await store.drop({ target: east.name });
    // One that was gone for a while has missed what was written meanwhile.
    targets = [main];
    await store.backfill();
    targets = [main, east];
    expect(await store.backfill()).toEqual([{ repo: 'a', target: east.name }]);
    await store.drop({ target: east.name });
    expect(await store.refill(east.name)).toBe(1);
    expect(await store.backfill()).toEqual([{ repo: 'a', target: east.name }]);
    expect(await rowsOf(east)).toEqual(['manifest 2 2', 'tag x 1']);
    expect(await store.refill('remote:never')).toBe(0);
  });

  test('what waits for a target that is configured no more stays; what waits for a backend goes to the next one', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    const other = { ...main, name: 'other' };
    targets = [other];
    await store.putTag('a', 'y', { digest: one });
    await store.deleteTag('a', 'x');
    await store.reroute();
    expect(await rowsOf(main)).toEqual([]);
    expect(await rowsOf(other)).toEqual(['manifest 1 1', 'tag x null', 'tag y 1']);
    // As it was left, or as the tag is now.
    expect([['tag x 1'], ['tag x null']]).toContainEqual(await rowsOf(east));
    expect(await rowsOf(hook)).toEqual(['tag x 1']);
    targets = [];
    await store.reroute();
    expect(await rowsOf(other)).toHaveLength(3);
  });

  test('many repositories are brought to a target in steps, none twice', async () => {
    targets = [];
    for (let i = 0; i < 130; i++) await store.putManifest(`r/${i}`, one, image({ tags: ['x'] }), 0);
    targets = [east];
    const filled: string[] = [];
    for (let step = await store.backfill(); step.length > 0; step = await store.backfill())
      filled.push(...step.map(({ repo }) => repo));
    expect([filled.length, new Set(filled).size]).toEqual([130, 130]);
    expect(await rowsOf(east)).toHaveLength(130);
  });
}
