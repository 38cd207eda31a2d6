/** A request and an answer of each route of routes.ts, for tests. */

import { testDigest } from '../../handout/fixtures.ts';
import { type AnyExample, example } from '../example.fixtures.ts';
import { INDEX_GC, ORIGIN_GC } from './routes.ts';

const [one, two] = [testDigest(1), testDigest(2)];
const index = '0f'.repeat(16);
const round = {
  ...{ apply: true, running: false, looked: 9, of: 10, blobs: 2, bytes: 2 ** 40 },
  ...{ waiting: 1, owed: 1, why: 'no index answers' },
};

const indexGc: Readonly<Record<keyof typeof INDEX_GC, AnyExample>> = {
  rules: example(INDEX_GC.rules, {}, { reply: { graceMs: 86_400_000, everyMs: 3_600_000, rate: 1_000, off: 'no' } }),
  condemn: example(
    INDEX_GC.condemn,
    {},
    { body: { digests: [one, two] }, reply: { index, condemned: [one], waiting: 1 } },
  ),
  useless: example(INDEX_GC.useless, {}, { body: { digests: [one, two] }, reply: { index, useless: [two] } }),
  step: example(
    INDEX_GC.step,
    {},
    {
      body: { apply: true },
      reply: {
        ...{ links: 3, bytes: 9, more: true, idle: 5, due: 2, dueBytes: 6, off: 'the index is read only' },
        retention: [{ repositories: ['team/*'], untaggedMs: 604_800_000, gone: 1, due: 2, waiting: 3 }],
        backends: { gone: 1, failed: 1, waiting: 4, due: 2, off: 'main: no answer' },
      },
    },
  ),
};

const originGc: Readonly<Record<keyof typeof ORIGIN_GC, AnyExample>> = {
  state: example(ORIGIN_GC.state, {}, { reply: round }),
  begin: example(ORIGIN_GC.begin, {}, { body: { apply: false }, reply: { ...round, running: true } }),
};

export const gcExamples = { indexGc, originGc };
