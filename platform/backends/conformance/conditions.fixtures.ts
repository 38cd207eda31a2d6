/** Conditions of `put`, of backends that have them: of the conformance suite. */

import { expect, test } from 'vitest';
import { type Backend, BackendError } from '../backend.ts';
import { bytesOf, type Conforming, never } from '../objects.fixtures.ts';

const writers = 20;
/** Each turn that is lost is another writer's: of a backend that refuses more it is not to be believed that others were faster. */
const lostMax = 10 * writers;

const text = async (backend: Backend, key: string): Promise<string> => {
  const found = await backend.stat(key, never);
  return String(await bytesOf(backend.read(key, { start: 0, end: found?.size ?? 0, version: found?.version }, never)));
};

/** Adds one to the number there; again where another was faster. How often that was. */
export async function addOne(backend: Backend): Promise<number> {
  for (let lost = 0; ; lost++) {
    const there = await backend.stat('count', never);
    const range = { start: 0, end: there?.size ?? 0, version: there?.version };
    try {
      const count = there === undefined ? 0 : Number(String(await bytesOf(backend.read('count', range, never))));
      await backend.put('count', Buffer.from(String(count + 1)), never, { version: there?.version ?? null });
      return lost;
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'changed') throw error;
      if (lost === lostMax) throw new Error(`${lostMax} turns of one writer were lost: no write of it gets through`);
    }
  }
}

export function conditionsConformance({ make, can }: Conforming): void {
  test('a condition that is not met changes nothing', async () => {
    await using backend = await make();
    await backend.probe(never);
    const put = (value: string, version: string | null) => backend.put('key', Buffer.from(value), never, { version });
    await expect(put('none', 'never-was')).rejects.toMatchObject({ why: 'changed' });
    const first = await put('first', null);
    await expect(put('again', null)).rejects.toMatchObject({ why: 'changed' });
    const second = await put('second', first.version);
    await expect(put('third', first.version)).rejects.toMatchObject({ why: 'changed' });
    expect(await text(backend, 'key')).toBe('second');
    expect((await backend.stat('key', never))?.version).toBe(second.version);
    await backend.put('key', Buffer.from('whatever is there'), never);
    await expect(put('third', second.version)).rejects.toMatchObject({ why: 'changed' });
    if (can.list) expect((await backend.list('', { max: 9 }, never)).objects.length).toBe(1);
  });

  test(`of ${writers} that make one object at once, one does`, async () => {
    await using backend = await make();
    await backend.probe(never);
    const puts = Array.from({ length: writers }, (_, i) =>
      backend.put('one', Buffer.from(`writer ${i}`), never, { version: null }).then(
        () => i,
        (error: BackendError) => error.why,
      ),
    );
    const ends = await Promise.all(puts);
    const won = ends.filter((end) => typeof end === 'number');
    expect(won.length).toBe(1);
    expect(ends.filter((end) => end === 'changed').length).toBe(writers - 1);
    expect(await text(backend, 'one')).toBe(`writer ${won[0]}`);
  });

  test(`${writers} that add to one number at once: none is lost`, { timeout: 60_000 }, async () => {
    await using backend = await make();
    await backend.probe(never);
    await Promise.all(Array.from({ length: writers }, () => addOne(backend)));
    expect(await text(backend, 'count')).toBe(String(writers));
    if (can.list) expect((await backend.list('', { max: 9 }, never)).objects.length).toBe(1);
  });
}
