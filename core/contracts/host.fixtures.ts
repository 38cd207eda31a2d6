/** A request and an answer of each route that agents and origins have alike, for tests. */

import { type AnyExample, example } from './example.fixtures.ts';
import { PINS } from './pins.ts';
import { VOLUMES } from './volumes.ts';

const volumes: Readonly<Record<keyof typeof VOLUMES, AnyExample>> = {
  list: example(
    VOLUMES.list,
    {},
    {
      reply: {
        volumes: [
          {
            ...{ no: 1, path: '/mnt/1', state: 'lost', why: 'it is not mounted', weight: 2 },
            ...{ blobs: 3, usedBytes: 4, freeBytes: 5 },
          },
        ],
      },
    },
  ),
};

const pinned = {
  pins: [
    {
      ...{ pin: 'library/app:1', complete: false, blobs: 3, bytes: 30, lacking: 1, lackingBytes: 10 },
      problem: 'there is no library/app:1',
    },
  ],
};
const pins: Readonly<Record<keyof typeof PINS, AnyExample>> = {
  list: example(PINS.list, {}, { reply: pinned }),
  add: example(PINS.add, {}, { body: { pin: 'library/app:1' }, reply: pinned }),
  remove: example(PINS.remove, { pin: 'library/app:1' }, { reply: pinned }),
};

export const hostExamples = { volumes, pins };
