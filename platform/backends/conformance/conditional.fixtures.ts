/** Objects that are written under conditions (conditional.ts), of backends that have them: of the conformance suite. */

import { expect, test } from 'vitest';
import { type Backend, type BackendError, smallBytesMax } from '../backend.ts';
import { type ConditionalObjects, conditionalObjects, proveConditions } from '../conditional.ts';
import { never } from '../objects.fixtures.ts';

const racers = 50;

const write = (objects: ConditionalObjects, key: string, text: string, version: string | null) =>
  objects.put(key, Buffer.from(text), never, { version });
const text = async (objects: ConditionalObjects, key: string): Promise<string | undefined> => {
  const found = await objects.load(key, never);
  return found && String(Buffer.from(found.bytes));
};

export function conditionalConformance(make: () => Promise<Backend>): void {
  const opened = async (stack: AsyncDisposableStack): Promise<ConditionalObjects> => {
    const backend = stack.use(await make());
    await backend.probe(never);
    return conditionalObjects(backend);
  };

  test('an object is read whole with the version that its next write has to name', async () => {
    await using stack = new AsyncDisposableStack();
    const objects = await opened(stack);
    expect(await objects.load('a/b', never)).toBeUndefined();
    const first = await write(objects, 'a/b', 'one', null);
    expect(await objects.load('a/b', never)).toMatchObject({ version: first.version });
    expect(await text(objects, 'a/b')).toBe('one');
    const second = await write(objects, 'a/b', 'two', first.version);
    for (const version of [first.version, null])
      await expect(write(objects, 'a/b', 'three', version)).rejects.toMatchObject({ why: 'changed' });
    await expect(write(objects, 'none', 'three', second.version)).rejects.toMatchObject({ why: 'changed' });
    expect(await text(objects, 'a/b')).toBe('two');
    expect(await text(objects, 'none')).toBeUndefined();
    const large = 'x'.repeat(smallBytesMax);
    await write(objects, 'large', large, null);
    expect((await text(objects, 'large'))?.length).toBe(large.length);
  });

  test('names as the index has them are listed in order, with their sizes, and read', async () => {
    await using stack = new AsyncDisposableStack();
    const objects = await opened(stack);
    const names = ['a!', 'a1!/b!z', 'a-b!', 'a.-x!', 'a..b!', 'a0!', 'a_!', 'aa!/t/v1!z', 'aa!/t/v1!7', 'b!'];
    const keys = names.map((name) => `p/${name}`);
    for (const [size, key] of keys.entries()) await write(objects, key, 'x'.repeat(size), null);
    const sorted = [...keys].sort();
    const sizes = new Map(keys.map((key, size) => [key, size]));
    const listed: string[] = [];
    for (let after: string | undefined, more = true; more; ) {
      const page = await objects.list('p/', { after, max: 3 }, never);
      for (const { key, size } of page.objects) expect(size).toBe(sizes.get(key));
      listed.push(...page.objects.map(({ key }) => key));
      after = page.next;
      more = after !== undefined;
    }
    expect(listed).toEqual(sorted);
    const within = await objects.list('p/aa!/t/', { after: 'p/aa!/t/v1!8', max: 9 }, never);
    expect(within.objects.map(({ key }) => key)).toEqual(['p/aa!/t/v1!z']);
    for (const [size, key] of keys.entries()) expect((await text(objects, key))?.length).toBe(size);
    await objects.remove(keys[0] as string, never);
    expect(await text(objects, keys[0] as string)).toBeUndefined();
    expect(await text(objects, keys[1] as string)).toBe('x');
  });

  test(`of ${racers} that make an object, and of ${racers} that replace it, one does each time`, async () => {
    await using stack = new AsyncDisposableStack();
    const objects = await opened(stack);
    for (let turn = 0; turn < 3; turn++) {
      let version: string | null = null;
      for (const what of ['made', 'replaced', 'replaced again'])
        version = await raced(objects, { key: `key-${turn}`, what, version });
    }
  });

  test('it is proved, and leaves nothing', async () => {
    await using stack = new AsyncDisposableStack();
    const objects = await opened(stack);
    await proveConditions(objects, 'in/', never);
    expect((await objects.list('', { max: 9 }, never)).objects).toEqual([]);
  });
}

type Race = { readonly key: string; readonly what: string; readonly version: string | null };

/** The version that the one winner made. */
async function raced(objects: ConditionalObjects, { key, what, version }: Race): Promise<string> {
  const race = Array.from({ length: racers }, (_, i) =>
    write(objects, key, `${what} by ${i}`, version).then(
      (done) => ({ i, ...done }),
      (error: BackendError) => error.why,
    ),
  );
  const ends = await Promise.all(race);
  const [winner, ...others] = ends.filter((end) => typeof end === 'object');
  expect(others).toEqual([]);
  expect(ends.filter((end) => end === 'changed').length).toBe(racers - 1);
  expect(await text(objects, key)).toBe(`${what} by ${winner?.i}`);
  return winner?.version ?? 'nobody won';
}
