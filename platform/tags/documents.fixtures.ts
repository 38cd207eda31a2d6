/** What every tag store must do about documents (documents.ts), run against each engine. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TagStore } from './store.ts';

let store: TagStore;

export function documentsConformance(name: string, open: () => Promise<TagStore>): void {
  describe(`documents: ${name}`, () => {
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store[Symbol.asyncDispose]());

    const put = (version: number, expected: number, text = `{"of":${version}}`) =>
      store.documents.putDocument('blocks', { version, text }, expected);

    test('there is none until somebody writes the first one', async () => {
      expect(await store.documents.document('blocks')).toBeUndefined();
      expect(await put(5, 4)).toBe(false);
      expect(await store.documents.document('blocks')).toBeUndefined();
      expect(await put(5, 0)).toBe(true);
      expect(await store.documents.document('blocks')).toEqual({ version: 5, text: '{"of":5}' });
      expect(await store.documents.document('access')).toBeUndefined();
    });

    test('it is changed only by who has read the version that is there', async () => {
      await put(5, 0);
      expect(await put(6, 0)).toBe(false);
      expect(await put(6, 4)).toBe(false);
      expect(await put(1_764_444_000_000, 5)).toBe(true);
      expect(await put(7, 5)).toBe(false);
      expect(await store.documents.document('blocks')).toMatchObject({ version: 1_764_444_000_000 });
    });

    test('of many who change the same version at once, one does', async () => {
      await put(1, 0);
      const done = await Promise.all(Array.from({ length: 20 }, (_, i) => put(2, 1, `"${i}"`)));
      expect(done.filter((yes) => yes)).toHaveLength(1);
      expect(await store.documents.document('blocks')).toEqual({ version: 2, text: `"${done.indexOf(true)}"` });
    });

    test('a large one, and whatever JSON may have, comes back as it was', async () => {
      const text = JSON.stringify({ odd: '\u0000\ud800 ä "x" \\', long: 'x'.repeat(900_000) });
      expect(await put(1, 0, text)).toBe(true);
      expect(await store.documents.document('blocks')).toEqual({ version: 1, text });
    });
  });
}
