import { expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import type { BlobInfo, GrowingInfo } from '../core/contracts/origin.ts';
import { type BlobIn, byDigest } from '../core/digest.ts';
import { testDigest, testGrowth, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { CallContext } from '../platform/clients/context.ts';
import { LookupAllowance } from './allowance.ts';
import { Lookups } from './lookups.ts';

const digest = testDigest(1);
const call = { call: CallContext.begin({ requestId: 'r' }) };
type Answer = BlobInfo | GrowingInfo | undefined;

/** Origins by what they answer to whom; `asked` has each question, and what for. */
function lookupsOf(...origins: ((blob: BlobIn) => Answer)[]) {
  let nowMs = 0;
  const asked: string[] = [];
  const clients = origins.map((answer, no) => {
    const ask = (what: string) => async (blob: BlobIn) => {
      asked.push(`${no} ${what} ${blob.repo}`);
      return answer(blob);
    };
    return { info: ask('bytes'), located: ask('size') };
  });
  const lookups = new Lookups({
    allowance: new LookupAllowance(4),
    origins: { order: () => clients },
    memoryBytes: 1e6,
    clock: { nowMs: () => nowMs },
    onLookup: () => undefined,
  });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { lookups, asked, pass };
}

test('a client that asks for what no origin has is not asked for any longer; others are, and it is again in time', async () => {
  const o = lookupsOf(({ digest: one }) => (one === testDigest(9) ? held() : undefined));
  const bogus = { ...call, client: '10.0.0.7' };
  // What is there costs nothing, however often.
  for (let i = 0; i < 20; i++) {
    await o.lookups.find(byDigest(testDigest(9)), bogus);
    o.lookups.doubt(testDigest(9));
    o.pass(400);
  }
  await o.lookups.find(byDigest(testDigest(9)), bogus);
  o.asked.length = 0;
  const herd = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => o.lookups.find(byDigest(testDigest(100 + i)), bogus)),
  );
  expect(o.asked).toHaveLength(4);
  expect(herd.filter(({ kind }) => kind === 'unknown')).toHaveLength(4);
  const refused = herd.find((found) => found.kind === 'unavailable');
  expect(refused).toMatchObject({ why: expect.stringContaining('the client 10.0.0.7') });
  expect(refused).toMatchObject({ why: expect.stringContaining('limits.client.lookups (4)') });
  const honest = { ...call, client: '10.0.0.8' };
  expect(await o.lookups.find(byDigest(testDigest(2_000)), honest)).toEqual({ kind: 'unknown' });
  expect(await o.lookups.find(byDigest(testDigest(9)), bogus)).toMatchObject({ kind: 'known' });
  o.pass(1_000);
  expect(await o.lookups.find(byDigest(testDigest(3_000)), bogus)).toEqual({ kind: 'unknown' });
  expect(await o.lookups.find(byDigest(testDigest(3_001)), bogus)).toMatchObject({ kind: 'unavailable' });
});

const inRepo = (repo: string): BlobIn => ({ digest, repo });
const growing = (known: number, no = 1): GrowingInfo => ({
  digest,
  growth: { ...testGrowth(known), length: 1e9, pieceLength: 1 << 20 },
  peer: testPeer(no, 'origin'),
});
const held = (no = 1): BlobInfo => ({ digest, meta: testMeta(1e9), peer: testPeer(no, 'origin') });

test("one repository's no, and its trouble, is no other one's answer; what is known is known of the digest", async () => {
  const o = lookupsOf(({ repo }) => {
    if (repo === 'down') throw new ApiError('UNAVAILABLE', 'the backend hangs');
    return repo === 'has' ? held() : undefined;
  });
  expect(await o.lookups.find(inRepo('no'), call)).toEqual({ kind: 'unknown' });
  expect(await o.lookups.find(inRepo('down'), call)).toMatchObject({ kind: 'unavailable' });
  // Neither is asked again for a moment, and neither answers for the other.
  expect(await o.lookups.find(inRepo('no'), call)).toEqual({ kind: 'unknown' });
  expect(await o.lookups.find(inRepo('down'), call)).toMatchObject({ kind: 'unavailable' });
  expect(o.asked).toEqual(['0 bytes no', '0 bytes down']);
  expect(await o.lookups.find(inRepo('has'), call)).toMatchObject({ kind: 'known' });
  expect(await o.lookups.find(inRepo('no'), call)).toMatchObject({ kind: 'known' });
  expect(o.asked).toHaveLength(3);
});

test('of a blob that an origin receives, that origin is asked anew, often at first, then every 50 ms, while somebody asks', async () => {
  let known = 0;
  const o = lookupsOf(
    () => undefined,
    () => (known < 9 ? growing(known) : held()),
  );
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ kind: 'growing', growth: { known: 0 } });
  expect(o.asked).toEqual(['0 bytes a', '1 bytes a']);
  known = 5;
  o.pass(15);
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ growth: { known: 0 } });
  o.pass(10);
  const herd = Array.from({ length: 100 }, () => o.lookups.find(inRepo('a'), call));
  for (const found of await Promise.all(herd)) expect(found).toMatchObject({ growth: { known: 5 } });
  // Of it alone.
  expect(o.asked.slice(2)).toEqual(['1 bytes a']);
  o.pass(10_000);
  expect(o.asked).toHaveLength(3);
  known = 7;
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ growth: { known: 7 } });
  known = 9;
  o.pass(40);
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ growth: { known: 7 } });
  o.pass(15);
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ kind: 'known', meta: testMeta(1e9) });
});

test('of two that receive it the one that is further is believed, and both are named; the same one once', async () => {
  const o = lookupsOf(
    () => growing(3, 1),
    () => growing(7, 2),
  );
  const found = await o.lookups.find(inRepo('a'), call);
  expect(found).toMatchObject({ kind: 'growing' });
  // The first that answers is enough; the second one may have come by then.
  expect(['3', '7']).toContain(String('growth' in found && found.growth.known));
  const same = lookupsOf(
    () => held(4),
    () => held(4),
  );
  const known = await same.lookups.find(inRepo('a'), call);
  expect('origins' in known && known.origins.length).toBe(1);
});

test('nothing is fetched for who asks for the size, nor to refresh what is known', async () => {
  let there = true;
  const o = lookupsOf(() => (there ? held() : growing(0)));
  await o.lookups.find(inRepo('a'), call);
  there = false;
  o.pass(20_000);
  // It is known still; the refresh finds that no origin holds it, and the next who wants its bytes has it fetched.
  expect(await o.lookups.find(inRepo('a'), call)).toMatchObject({ kind: 'known' });
  await new Promise(setImmediate);
  expect(await o.lookups.size(inRepo('a'), call)).toMatchObject({ kind: 'growing' });
  expect(o.asked).toEqual(['0 bytes a', '0 size a', '0 size a']);
  await o.lookups.find(inRepo('a'), call);
  expect(o.asked.at(-1)).toBe('0 bytes a');
});

test('however many known blobs are asked for, the origins are asked of so many of them at once, and of all in time', async () => {
  const o = lookupsOf(({ digest: one }) => ({ digest: one, meta: testMeta(1e9), peer: testPeer(1, 'origin') }));
  const blobs = Array.from({ length: 40 }, (_, no) => byDigest(testDigest(no)));
  const all = async (): Promise<number> => {
    o.asked.length = 0;
    for (const blob of blobs) expect(await o.lookups.find(blob, call)).toMatchObject({ kind: 'known' });
    return o.asked.length;
  };
  expect(await all()).toBe(40);
  const round = async (): Promise<number[]> => {
    o.pass(20_000);
    const turns: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      turns.push(await all());
      o.pass(60);
    }
    return turns;
  };
  // The first that is found old asks alone: the others are not known to be yet.
  expect(await round()).toEqual([1, 16, 16, 7, 0]);
  // What was asked of waits no longer: else nothing new would have a place in time.
  expect((await round())[0]).toBeLessThan(16);
});
