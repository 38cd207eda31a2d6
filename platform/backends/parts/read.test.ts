/** How many requests a large range is read by, and when they begin. */

import { expect, test } from 'vitest';
import { BackendError } from '../backend.ts';
import { readParts } from './read.ts';
import { PartRoom } from './room.ts';

const size = 8_000;
const chunkBytes = 500;

test('the first bytes come by one request, and one more begins with each quarter of a part that was given', async () => {
  const begun: number[] = [];
  const plan = {
    room: new PartRoom(100 * size),
    parts: { size, parallel: 4 },
    open: async ({ start, end }: { start: number; end: number }) => {
      begun.push(start);
      const chunks = (async function* () {
        for (let at = start; at < end; at += chunkBytes) yield new Uint8Array(Math.min(chunkBytes, end - at));
      })();
      return { version: '1', chunks };
    },
    wrong: (why: BackendError['why'], words: string) => new BackendError(why, words),
  };
  let given = 0;
  const atOnce: number[] = [];
  for await (const chunk of readParts(plan, { start: 0, end: 40 * size }, new AbortController().signal)) {
    given += chunk.length;
    if (given <= size) atOnce.push(begun.length);
  }
  expect(given).toBe(40 * size);
  expect(atOnce).toEqual([1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]);
});
