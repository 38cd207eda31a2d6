/** Of what origins ask each other, and an operator of repair. */

import { testDigest, testMeta, testPeer } from '../handout/fixtures.ts';
import { DRAIN } from './drain.ts';
import { type AnyExample, example } from './example.fixtures.ts';
import { REPAIR } from './origin-repair.ts';

const one = testDigest(1);
const sha512 = `sha512:${'0f'.repeat(64)}` as typeof one;
const name = 'library/a--b/c.d_e__f';
const named = { digest: one, meta: testMeta(7), owed: [name, ''], owners: 3 };
export const repairExamples: Readonly<Record<keyof typeof REPAIR, AnyExample>> = {
  sums: example(REPAIR.sums, {}, { body: { place: 'a' }, reply: { peer: testPeer(1), sums: 'A'.repeat(65_536) } }),
  shared: example(
    REPAIR.shared,
    {},
    { body: { place: 'a', buckets: 'A'.repeat(684), after: sha512 }, reply: { blobs: [named], more: true } },
  ),
  offer: example(
    REPAIR.offer,
    {},
    { body: { place: 'a', from: testPeer(1), blobs: [named], sample: true }, reply: { held: [one] } },
  ),
  state: example(
    REPAIR.state,
    {},
    {
      reply: {
        ...{ phase: 'waits', why: 'the index does not answer', lacking: { blobs: 1, bytes: 2 }, below: 3, unheard: 0 },
        ...{ spare: { blobs: 4, unsafe: 1 }, fetched: { blobs: 5, bytes: 6 }, failed: 1, rate: 7, rateMax: 8 },
        ...{ leftMs: 9, comparedMsAgo: 10, others: [{ place: 'b', url: 'http://b', state: 'differs' }] },
      },
    },
  ),
  page: example(REPAIR.page, {}),
  now: example(REPAIR.now, {}),
};

const drained = {
  ...{ draining: true, mayStop: false, why: ['2 uploads are open'], blobs: 9, left: 1, leftBytes: 5 },
  ...{ unlinked: 1, uploads: 2, owed: 3, lookedMsAgo: 4 },
};
export const drainExamples: Readonly<Record<keyof typeof DRAIN, AnyExample>> = {
  state: example(DRAIN.state, {}, { reply: drained }),
  begin: example(DRAIN.begin, {}, { reply: drained }),
  cancel: example(DRAIN.cancel, {}, { reply: drained }),
};
