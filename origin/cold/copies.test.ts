/** What may go from an origin since a backend has it: never what somebody counts on, nor what is not confirmed just then. */

import { expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { backedAsRegistry, keyedAsRegistry } from '../../platform/backends/registry/keys.fixtures.ts';
import { registryKeys } from '../../platform/backends/registry/layout.ts';
import { type Blob, blobOf } from '../../platform/store/store.fixtures.ts';
import type { BlobEntry } from '../../platform/store/store.ts';
import { askUnneeded } from '../unneeded.ts';
import { BackendCopies } from './copies.ts';

const never = new AbortController().signal;
const blobs = [1, 2, 3].map((seed) => blobOf(1000 + seed, seed)) as [Blob, Blob, Blob];
const [one, two, three] = blobs;
const digests = blobs.map(({ digest }) => digest);
const fromFirst = { backend: 'b0', repo: 'team/x' };

async function world(...patterns: string[][]) {
  const faulty = patterns.map((_, no) => new FaultyBackend(new MemoryBackend(`b${no}`)));
  const said = { durability: 'origins', required: false } as const;
  const backends = new Backends(
    patterns.map((of, no) => ({ patterns: of, backed: backedBy(faulty[no] as FaultyBackend, said) })),
  );
  const entries = new Map(blobs.map(({ digest, meta }) => [digest, { digest, meta } as BlobEntry]));
  const copies = new BackendCopies({ backends, store: { get: (digest: Digest) => entries.get(digest) } });
  const put = async (no: number, ...which: Blob[]): Promise<void> => {
    for (const blob of which)
      await faulty[no]!.write(backends.all[0]!.blobKey(blob.digest), sourceOf(blob.bytes), never);
  };
  return { copies, faulty, put, backends, store: { get: (digest: Digest) => entries.get(digest) } };
}

test('where every repository has a backend, and there is one, what it confirms may go', async () => {
  const { copies, put, faulty } = await world(['**']);
  await put(0, one, two);
  expect(await copies.confirmed(digests, never)).toEqual([one.digest, two.digest]);
  faulty[0]!.fail({ on: 'stat', what: 'size' }, { on: 'stat', what: 'unavailable' });
  expect(await copies.confirmed(digests, never)).toEqual([]);
});

test('a backend that hangs lets nothing go, and holds nobody up', async () => {
  const { copies, put, faulty } = await world(['**']);
  await put(0, one, two);
  faulty[0]!.fail({ on: 'stat', what: 'hang' });
  expect(await copies.confirmed(digests, never)).toEqual([two.digest]);
});

test('of several backends all must have it, but of what was fetched from one since when nobody counts on it', async () => {
  const { copies, put } = await world(['team/**'], ['**']);
  await put(0, one, two);
  await put(1, two, three);
  expect(await copies.confirmed(digests, never)).toEqual([two.digest]);
  copies.fetched(one.digest, fromFirst);
  expect(await copies.confirmed(digests, never)).toEqual([one.digest, two.digest]);
  copies.relied(one.digest);
  expect(await copies.confirmed(digests, never)).toEqual([two.digest]);
});

test('of several, those of the repositories that the index says it is in are enough', async () => {
  const { backends, store, put } = await world(['team/**'], ['**']);
  await put(0, one, three);
  await put(1, two);
  const linked = new Map([
    [one.digest, ['team/a', 'team/b']],
    [two.digest, ['app']],
    [three.digest, ['team/a', 'app']],
  ]);
  const holders = async (digest: Digest) => ({ repositories: linked.get(digest) ?? [], more: false });
  const confirmed = (of: typeof holders) =>
    new BackendCopies({ backends, store, holders: of }).confirmed(digests, never);
  expect(await confirmed(holders)).toEqual([one.digest, two.digest]);
  // Whose repositories are not all known, or none, has to be in all of them.
  await put(1, one);
  expect(await confirmed(async (digest) => ({ ...(await holders(digest)), more: true }))).toEqual([one.digest]);
  expect(await confirmed(() => Promise.reject(new Error('no index answers')))).toEqual([one.digest]);
  linked.clear();
  expect(await confirmed(holders)).toEqual([one.digest]);
});

test('where some repository has none, only what was fetched, and is still there, may go', async () => {
  const { copies, put, faulty } = await world(['team/**']);
  await put(0, one, two);
  copies.fetched(one.digest, fromFirst);
  copies.fetched(three.digest, fromFirst);
  expect(await copies.confirmed(digests, never)).toEqual([one.digest]);
  expect(faulty[0]!.count('stat')).toBe(2);
});

test('of a backend that tells repositories apart the index says in which it must be; without its word it stays', async () => {
  const upstream = keyedAsRegistry('up');
  const backed = backedAsRegistry(upstream, { durability: 'origins', required: false });
  const backends = new Backends([{ patterns: ['**'], backed }]);
  const entries = new Map(blobs.map(({ digest, meta }) => [digest, { digest, meta } as BlobEntry]));
  const store = { get: (digest: Digest) => entries.get(digest) };
  const put = (blob: Blob, repo: string) =>
    upstream.write(registryKeys.blobKey(blob.digest, repo), sourceOf(blob.bytes), never);
  const linked = new Map([
    [one.digest, ['a', 'b']],
    [two.digest, ['a', 'b']],
    [three.digest, []],
  ]);
  const holders = async (digest: Digest) => ({ repositories: linked.get(digest) ?? [], more: false });
  const confirmed = (of: ConstructorParameters<typeof BackendCopies>[0]['holders']) =>
    new BackendCopies({ backends, store, holders: of }).confirmed(digests, never);
  for (const repo of ['a', 'b']) await put(one, repo);
  await put(two, 'a');
  expect(await confirmed(holders)).toEqual([one.digest]);
  expect(await confirmed(async (digest) => ({ ...(await holders(digest)), more: true }))).toEqual([]);
  expect(await confirmed(() => Promise.reject(new Error('no index answers')))).toEqual([]);
  expect(await confirmed(undefined)).toEqual([]);
  const fetched = new BackendCopies({ backends, store });
  fetched.fetched(two.digest, { backend: 'up', repo: 'a' });
  fetched.fetched(three.digest, { backend: 'up', repo: 'a' });
  expect(await fetched.confirmed(digests, never)).toEqual([two.digest]);
});

test('what a backend is owed stays, whoever lets it go; an index that does not answer keeps only what it alone could', async () => {
  const { copies, put } = await world(['**']);
  await put(0, one, two);
  const asked: (readonly Digest[])[] = [];
  const may = (index: 'answers' | 'fails' | 'none') =>
    askUnneeded({
      index:
        index === 'none'
          ? undefined
          : async (of) => {
              asked.push(of);
              if (index === 'fails') throw new Error('no index answers');
              return { unneeded: of.filter((digest) => digest === three.digest), waiting: 4 };
            },
      owed: () => ({ held: async () => new Set([one.digest]) }),
      copies: () => copies,
      spares: () => undefined,
    })(digests, never);
  expect(await may('answers')).toEqual({ unneeded: [three.digest, two.digest], waiting: 4 });
  expect(asked).toEqual([[two.digest, three.digest]]);
  expect(await may('fails')).toEqual({ unneeded: [two.digest], waiting: 0 });
  expect(await may('none')).toEqual({ unneeded: [two.digest], waiting: 0 });
  copies.confirmed = async () => [];
  await expect(may('fails')).rejects.toThrow('no index answers');
});
