import { expect, test } from 'vitest';
import { type DocumentName, documentWaitMs } from '../../core/contracts/documents/documents.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import type { DocumentStore, StoredDocument } from '../../platform/tags/documents.ts';
import { MemoryDocuments } from '../../platform/tags/memory/documents.ts';
import { DocumentWatch, documentLookMs, type ToldDocument, type WatchOptions } from './watch.ts';

const never = new AbortController().signal;
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

/** A store that counts who looks, and may hold its answers back. */
class Store implements DocumentStore {
  readonly tables = new MemoryDocuments();
  looks = 0;
  fails = false;
  held: Promise<void> = Promise.resolve();

  async document(name: DocumentName): Promise<StoredDocument | undefined> {
    this.looks += 1;
    const found = this.tables.document(name);
    await this.held;
    if (this.fails) throw new Error('away');
    return found;
  }

  async putDocument(name: DocumentName, document: StoredDocument, expected: number): Promise<boolean> {
    return this.tables.putDocument(name, document, expected);
  }
}

function made(options: Partial<WatchOptions> = {}) {
  const clock = new VirtualClock();
  const store = new Store();
  const watch = new DocumentWatch({ store, clock, ...options });
  const told: ToldDocument[] = [];
  const follow = async (after: number, signal = never): Promise<ToldDocument> => {
    const one = await watch.after('blocks', after, signal);
    told.push(one);
    return one;
  };
  const pass = async (ms: number): Promise<void> => {
    for (const end = clock.ms + ms; clock.ms < end; ) {
      clock.until(Math.min(end, clock.ms + 100));
      await turns();
    }
  };
  return { clock, store, watch, told, follow, pass };
}
const first: StoredDocument = { version: 1, text: '"a"' };
const second: StoredDocument = { version: 2, text: '"b"' };

test('who has another version than the one that is there is told at once, be it an older one', async () => {
  const { store, follow } = made();
  store.tables.putDocument('blocks', second, 0);
  expect(await follow(0)).toEqual(second);
  expect(await follow(1)).toEqual(second);
  expect(await follow(9)).toEqual(second);
});

test('a thousand who wait cost one look a second, and are told what another process has written', async () => {
  const { store, told, follow, pass, watch } = made();
  store.tables.putDocument('blocks', first, 0);
  for (let i = 0; i < 1_000; i++) void follow(1);
  await pass(10 * documentLookMs);
  expect([told.length, watch.waiting]).toEqual([0, 1_000]);
  expect(store.looks).toBeLessThanOrEqual(11);
  store.tables.putDocument('blocks', second, 1);
  await pass(2 * documentLookMs);
  expect([told.length, watch.waiting]).toEqual([1_000, 0]);
  expect(new Set(told.map(({ version }) => version))).toEqual(new Set([2]));
  const { looks } = store;
  await pass(10 * documentLookMs);
  expect(store.looks, 'nobody waits: nobody looks').toBe(looks);
});

test('what this process writes is told without a look', async () => {
  const { store, told, follow, watch } = made();
  void follow(0);
  await turns();
  const { looks } = store;
  expect(await watch.put('blocks', first, 0)).toBe(true);
  await turns();
  expect([told, store.looks]).toEqual([[first], looks]);
  expect(await watch.put('blocks', second, 7)).toBe(false);
});

test('a look that began before a write says nothing of what is there after it', async () => {
  const { store, told, follow, watch, pass } = made();
  store.tables.putDocument('blocks', first, 0);
  void follow(1);
  await turns();
  const held = Promise.withResolvers<void>();
  store.held = held.promise;
  await pass(documentLookMs);
  await watch.put('blocks', second, 1);
  await turns();
  expect(told).toEqual([second]);
  store.held = Promise.resolve();
  held.resolve();
  await turns();
  void follow(2);
  await pass(3 * documentLookMs);
  expect(told).toEqual([second]);
});

test('who waits in vain is told so, and who has left holds no place', async () => {
  const { store, told, follow, pass, watch } = made();
  store.tables.putDocument('blocks', first, 0);
  const leaving = new AbortController();
  void follow(1);
  void follow(1, leaving.signal);
  await turns();
  leaving.abort();
  await turns();
  expect(watch.waiting).toBe(1);
  await pass(documentWaitMs);
  expect(told).toEqual([{ version: 1 }, { version: 1 }]);
  expect(watch.waiting).toBe(0);
});

test('beyond so many who wait each is told when to ask again', async () => {
  const { follow, watch } = made({ waitingMax: 2 });
  void follow(0);
  void follow(0);
  const third = await follow(0);
  expect(third).toEqual({ version: 0, againMs: expect.any(Number) });
  expect(third.againMs).toBeLessThan(5_000);
  expect(watch.waiting).toBe(2);
});

test('a store that fails is told to who asks anew; who waits goes on, and is told once it is back', async () => {
  const { store, told, follow, pass } = made();
  store.tables.putDocument('blocks', first, 0);
  void follow(1);
  await turns();
  store.fails = true;
  await pass(3 * documentLookMs);
  await expect(follow(1)).rejects.toThrow('away');
  store.fails = false;
  store.tables.putDocument('blocks', second, 1);
  await pass(2 * documentLookMs);
  expect(told).toEqual([second]);
});

test('at the end nobody waits any more', async () => {
  const { told, follow, watch } = made();
  void follow(0);
  await turns();
  watch[Symbol.dispose]();
  await turns();
  expect(told).toEqual([{ version: 0 }]);
  expect(await follow(0)).toEqual({ version: 0 });
});
