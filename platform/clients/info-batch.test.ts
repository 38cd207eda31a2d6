/** Questions of one moment go as one request, and each gets its own answer. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { type BlobInfo, type InfoOutcome, infosMax } from '../../core/contracts/origin.ts';
import { byDigest, type Digest, digestOf } from '../../core/digest.ts';
import { CallContext } from './context.ts';
import { InfoBatch } from './info-batch.ts';

const ctx = CallContext.begin({ requestId: 'test' });
const digest = (no: number): Digest => digestOf('sha256', no.toString(16).padStart(64, '0'));
const meta = { length: 1, pieceLength: 262144, root: '0'.repeat(64) };
const infoOf = (of: Digest): BlobInfo => ({ digest: of, meta }) as BlobInfo;

function batch(answer: (of: Digest) => InfoOutcome = infoOf) {
  const sent: number[] = [];
  const repos: (string | undefined)[] = [];
  const made = new InfoBatch({
    one: async ({ digest: of }) => {
      sent.push(1);
      return answer(of) as BlobInfo;
    },
    many: async (digests, repo) => {
      sent.push(digests.length);
      repos.push(repo);
      return { infos: digests.map(answer) };
    },
    checked: (info, of) => {
      if (info?.digest === of && 'meta' in info) return info;
      throw new ApiError('UNAVAILABLE', 'another blob');
    },
  });
  return { batch: made, sent, repos };
}

test('what is asked in one moment is one request, in parts of at most infosMax; alone it is asked alone', async () => {
  const { batch: asked, sent } = batch();
  const digests = Array.from({ length: infosMax + 3 }, (_, i) => digest(i));
  const infos = await Promise.all(digests.map((of) => asked.ask(byDigest(of), ctx)));
  expect(infos.map((info) => info?.digest)).toEqual(digests);
  expect(sent).toEqual([infosMax, 3]);
  await asked.ask(byDigest(digest(1)), ctx);
  expect(sent).toEqual([infosMax, 3, 1]);
});

test('a request is of one repository, and says which', async () => {
  const { batch: asked, sent, repos } = batch();
  const of = (no: number, repo: string | undefined) => asked.ask({ digest: digest(no), repo }, ctx);
  const found = await Promise.all([of(1, 'a'), of(2, undefined), of(3, 'a'), of(1, 'b'), of(4, undefined), of(5, 'b')]);
  expect(found.map((info) => info?.digest)).toEqual([1, 2, 3, 1, 4, 5].map((no) => digest(no)));
  expect([sent, repos]).toEqual([
    [2, 2, 2],
    ['a', undefined, 'b'],
  ]);
});

test('each question has its own answer: here, not here, an error, or nonsense', async () => {
  const { batch: asked } = batch((of) => {
    if (of === digest(1)) return null;
    if (of === digest(2)) return { error: { code: 'UNAVAILABLE', message: 'is being fetched' } };
    return infoOf(of === digest(3) ? digest(4) : of);
  });
  const [here, missing, fetched, wrong] = [0, 1, 2, 3].map((no) => asked.ask(byDigest(digest(no)), ctx));
  await expect(here).resolves.toEqual(infoOf(digest(0)));
  await expect(missing).resolves.toBeUndefined();
  await expect(fetched).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'is being fetched' });
  await expect(wrong).rejects.toThrow('another blob');
});

test('a question that is given up ends at once, and the others do not', async () => {
  const { batch: asked, sent } = batch();
  const leaving = new AbortController();
  const left = asked.ask(byDigest(digest(0)), ctx.withSignal(leaving.signal));
  const others = [1, 2].map((no) => asked.ask(byDigest(digest(no)), ctx));
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(await Promise.all(others)).toEqual([1, 2].map((no) => infoOf(digest(no))));
  expect(sent).toEqual([2]);
  await expect(asked.ask(byDigest(digest(0)), ctx.withSignal(leaving.signal))).rejects.toThrow('gone');
});

test('a request that fails fails all of its questions', async () => {
  const refused = new ApiError('UNAVAILABLE', 'connection refused');
  const asked = new InfoBatch({
    one: () => Promise.reject(refused),
    many: () => Promise.reject(refused),
    checked: (info) => info as BlobInfo,
  });
  const results = await Promise.allSettled([1, 2].map((no) => asked.ask(byDigest(digest(no)), ctx)));
  expect(results.every((result) => result.status === 'rejected' && result.reason === refused)).toBe(true);
});
