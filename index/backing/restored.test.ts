/** An index that was restored from an old backup: what the bucket has of the time since is found again, and nothing else is lost. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { reconcileKeysMax } from '../../core/contracts/reconcile.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { backUpTags } from '../../platform/tags/sqlite/backup.ts';
import { openTagsData } from '../../platform/tags/sqlite/data.ts';
import { restoreTags } from '../../platform/tags/sqlite/restore.ts';
import { depth, image, inBucket, push, type Site, site, writeBlobs } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const soon = { timeout: 20_000 };
const [one, two, three] = [image('one'), image('two'), image('three')];

async function reconciled(of: Site, apply: boolean): Promise<string[]> {
  const { changes, broken, next } = await of.reconcile({ apply, keys: reconcileKeysMax }, never);
  expect([broken, next]).toEqual([[], undefined]);
  return changes.filter(({ kind }) => kind === 'tag').map(({ how, name }) => `${how} ${name}`);
}

const tags = async (of: Site): Promise<readonly string[]> => (await of.store.tags('a', { n: 9 }))?.tags ?? [];

// Identities are drawn, and of two versions with one number the greater identity's is the later one.
test.each(['0', 'f'])(
  'what was pushed, moved and deleted since the backup comes from the bucket, and later writes win there (%s)',
  async (char) => {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-restored-'));
    stack.defer(() => rm(dir, { recursive: true }));
    const backend = stack.use(new FaultyBackend(new MemoryBackend('main')));
    const file = await openTagsData(dir);
    let nowMs = 1_000_000;
    const options = { dir, nowMs: () => nowMs };
    const first = await site(stack, backend, options);
    for (const of of [one, two, three]) await writeBlobs(backend, of);
    await push(first.answering, 'a', one, ['kept', 'moved', 'gone']);
    await expect.poll(() => depth(first), soon).toBe(0);
    // These wait to be written back when the backup is made.
    backend.fail({ on: 'any', what: 'unavailable' });
    await push(first.answering, 'a', one, ['overtaken', 'waiting']);
    const backup = join(dir, '..', `${dir.split('/').pop()}.db`);
    stack.defer(() => rm(backup, { force: true }));
    await backUpTags(file, backup, {});
    backend.heal();

    nowMs += 60_000;
    await push(first.answering, 'a', two, ['moved', 'new', 'overtaken']);
    await first.answering.deleteTag('a', 'gone');
    await expect.poll(() => depth(first), soon).toBe(0);
    await first.stop();

    nowMs += 60_000;
    await restoreTags({ from: backup, data: dir, replace: true, nowMs, copying: {} });
    const db = new DatabaseSync(file);
    db.prepare('UPDATE identity SET id = ?').run(char.repeat(32));
    db.close();
    const restored = await site(stack, backend, options);
    await expect.poll(() => depth(restored), soon).toBe(0);
    expect(await tags(restored)).toEqual(['gone', 'kept', 'moved', 'overtaken', 'waiting']);
    expect((await reconciled(restored, false)).sort()).toEqual(['added new', 'moved moved', 'removed gone']);
    await reconciled(restored, true);
    expect(await tags(restored)).toEqual(['kept', 'moved', 'new', 'overtaken', 'waiting']);
    expect((await restored.store.tag('a', 'moved'))?.digest).toBe(two.digest);
    expect(await reconciled(restored, true)).toEqual([]);
    // What the restored index wrote back is older than what is there.
    expect((await restored.store.tag('a', 'overtaken'))?.digest).toBe(two.digest);
    expect((await inBucket(backend, 'a', 'overtaken')).link).toBe(two.digest);

    await push(restored.answering, 'a', three, ['moved']);
    await expect.poll(() => depth(restored), soon).toBe(0);
    expect((await inBucket(backend, 'a', 'moved')).link).toBe(three.digest);
    expect((await restored.answering.tag('a', 'moved'))?.digest).toBe(three.digest);
  },
);
