/** What one process tells the next of its blobs: never relied on for what is here, and for nothing where it is in doubt. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Arena } from '../workers/arena.ts';
import { type FaultPlan, FaultyDisk, faultyRoot } from './disk/faulty-disk.ts';
import { originPromises } from './options.ts';
import { InlinePieceIo } from './pieces/inline-piece-io.ts';
import { type Blob, blobOf, readAll, sameBlob, upload } from './store.fixtures.ts';
import { BlobStore } from './store.ts';

const arena = new Arena(32 * unitBytes);
const [one, two, three] = [blobOf(700, 2), blobOf(unitBytes + 5, 3), blobOf(90, 4)] as const;
const dir = `${faultyRoot}/origin`;
const contents = `${dir}/contents`;

const open = (disk: FaultyDisk): Promise<BlobStore> =>
  BlobStore.open({
    ...{ dir, ...originPromises, workers: new InlinePieceIo(arena, disk), budgetBytes: 1e9, disk },
    ...{ flushEveryMs: 0, trustFrom: 0 },
  });
const newDisk = (seed: number): FaultyDisk => new FaultyDisk({ prng: prng(seed) });
const fileOf = (disk: FaultyDisk, { digest }: Blob): string =>
  disk.paths().find((path) => path.includes(digest.slice(7))) as string;
/** Files of blobs whose length somebody asked for. */
function looks(disk: FaultyDisk): Set<string> {
  const looked = new Set<string>();
  disk.plan = (_no, action, path) => {
    if (action === 'stat' && path.includes('/blobs/')) looked.add(path);
    return undefined;
  };
  return looked;
}

async function filled(seed = 1): Promise<FaultyDisk> {
  const disk = newDisk(seed);
  const store = await open(disk);
  for (const [i, blob] of [one, two, three].entries()) await upload(store, `up-${i}`, blob);
  store.get(one.digest)?.touch();
  await store[Symbol.asyncDispose]();
  return disk;
}

test('a process that ended by itself spares the next one a look at each file, and tells it the order of use', async () => {
  const disk = await filled();
  const looked = looks(disk);
  const store = await open(disk);
  expect([...looked]).toEqual([]);
  expect([...store.room.inOrder()]).toEqual([two, three, one].map(({ digest }) => digest));
  for (const blob of [one, two, three]) {
    const entry = store.get(blob.digest);
    expect(entry && sameBlob(await readAll(arena, entry), blob)).toBe(true);
  }
  // That one is killed: what it found is not to be relied on.
  disk.kill();
  const next = await open(disk);
  expect(looked.size).toBe(3);
  expect([...next.room.inOrder()]).toEqual([two, three, one].map(({ digest }) => digest));
});

test('what has gone meanwhile is missing, what has come is there, and what was cut short is told from what is whole', async () => {
  const disk = await filled();
  const gone = fileOf(disk, one);
  const [bytes, cut] = [disk.peek(gone) as Uint8Array, fileOf(disk, two)];
  disk.vanish(gone);
  disk.replace(cut, new Uint8Array(10));
  const store = await open(disk);
  expect(store.missing).toEqual([one.digest]);
  expect(store.get(one.digest)).toBeUndefined();
  expect(store.count).toBe(2);
  expect(await store.whole(two.digest, 'size')).toBeUndefined();
  expect((await store.whole(three.digest, 'size'))?.complete).toBe(true);
  await store[Symbol.asyncDispose]();
  // Somebody put a file back while no process ran: it is there, looked at.
  const fd = await disk.open(gone, 'create');
  await disk.write(fd, bytes, 0);
  await disk.close(fd);
  const looked = looks(disk);
  const next = await open(disk);
  expect([...looked]).toContain(gone);
  expect((await next.whole(one.digest, 'sample'))?.complete).toBe(true);
});

test('torn, cut or of another format it is as if it were not there', async () => {
  const disk = await filled();
  const right = disk.peek(contents) as Uint8Array;
  const all = new Set<Digest>([one, two, three].map(({ digest }) => digest));
  for (let at = 0; at < right.length; at += 3) {
    for (const cut of [false, true]) {
      const wrong = cut ? right.slice(0, at) : right.map((byte, i) => (i === at ? byte ^ 0xff : byte));
      disk.replace(contents, wrong);
      const looked = looks(disk);
      const store = await open(disk);
      expect(new Set(store.room.inOrder()), `byte ${at}`).toEqual(all);
      expect(store.missing, `byte ${at}`).toEqual([]);
      // Whether it ended by itself, and how many there are, are beside the checksum: they decide of looks alone.
      if (at >= 16 || at < 8 || cut) expect(looked.size, `byte ${at}`).toBe(3);
      disk.kill();
    }
  }
});

/** Two processes, one after the other. Goes on after refusals. */
async function lives(disk: FaultyDisk, held: Set<Blob>, removed: Set<Blob>): Promise<void> {
  const tried = (work: () => Promise<unknown>): Promise<unknown> =>
    work().catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
    });
  for (const pushed of [[one, two], [three]]) {
    if (disk.off) return;
    const store = await open(disk).catch(() => undefined);
    if (store === undefined) return;
    for (const blob of pushed)
      await tried(async () => {
        await upload(store, `up-${blob.bytes.length}`, blob);
        held.add(blob);
      });
    if (pushed.includes(three))
      await tried(async () => {
        held.delete(one);
        await store.remove(one.digest);
        removed.add(one);
      });
    await tried(() => store.flush());
    if (!disk.off) await store[Symbol.asyncDispose]().catch(() => undefined);
  }
}

test.each(['crash', 'kill'] as const)(
  'a %s at every operation of two processes loses nothing and brings nothing back',
  async (how) => {
    for (let at = 0, ended = false; !ended; at++) {
      const disk = newDisk(at + 1);
      const plan: FaultPlan = (no) => (no === at ? { kind: 'crash' } : undefined);
      disk.plan = plan;
      const [held, removed] = [new Set<Blob>(), new Set<Blob>()];
      await lives(disk, held, removed);
      ended = !disk.off;
      disk.plan = undefined;
      disk[how]();
      const store = await open(disk);
      for (const blob of [one, two, three]) {
        const entry = store.get(blob.digest);
        if (held.has(blob)) expect(entry?.complete, `operation ${at}: ${blob.bytes.length} bytes`).toBe(true);
        if (removed.has(blob)) expect(entry, `operation ${at}: removed`).toBeUndefined();
        if (entry?.complete === true)
          expect(sameBlob(await readAll(arena, entry), blob), `operation ${at}: whole`).toBe(true);
      }
      await store[Symbol.asyncDispose]();
    }
  },
);
