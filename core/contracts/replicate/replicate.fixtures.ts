/** A request and an answer of each route of `shoal replicate`, for tests. */

import { testDigest } from '../../handout/fixtures.ts';
import { type AnyExample, example } from '../example.fixtures.ts';
import type { TagVersion } from '../index-api.ts';
import { REPLICATE } from './api.ts';

const version = `12-${'0f'.repeat(16)}` as TagVersion;
const [here, there] = [{ digest: testDigest(1), version }, { digest: testDigest(2) }];
const remote = { name: 'west', url: 'https://west.example', kind: 'shoal', cluster: '0f'.repeat(16) } as const;

export const replicateExamples: Readonly<Record<keyof typeof REPLICATE, AnyExample>> = {
  status: example(
    REPLICATE.status,
    {},
    {
      reply: {
        cluster: 'f0'.repeat(16),
        remotes: [
          {
            ...remote,
            down: { cause: 'unavailable', message: 'remote west: cannot write a:1' },
            ...{ waiting: 3, dead: 1, oldestMs: 1_700_000_000_000, causes: [{ cause: 'unavailable', rows: 3 }] },
          },
          { name: 'hub', url: 'http://hub:5000', kind: 'registry', waiting: 0, dead: 0, causes: [] },
        ],
      },
    },
  ),
  backfill: example(REPLICATE.backfill, {}, { body: { remote: 'west' }, reply: { repositories: 7 } }),
  diff: example(
    REPLICATE.diff,
    {},
    {
      body: { remote: 'west', repositories: 'a/**', from: 'here a/b' },
      reply: {
        repositories: 2,
        tags: 9,
        differences: [
          { repo: 'a/b', tag: '1', how: 'digest', here, there, waiting: true },
          { repo: 'a/b', tag: '2', how: 'missing', here, waiting: false },
        ],
        different: 2,
        unlisted: false,
        next: 'there ',
      },
    },
  ),
};
