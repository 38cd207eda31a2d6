/** Lists of a registry's names: how often they are read, and for whom. */

import { afterEach, expect, test } from 'vitest';
import { never } from '../objects.fixtures.ts';
import { FakeRegistry } from './fake.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function registry(repositories: number) {
  const fake = stack.use(await FakeRegistry.start());
  fake.pageMax = 100;
  for (let no = 0; no < repositories; no++) fake.repo(`r${no}`).tags.set('v1', `sha256:${'0'.repeat(64)}`);
  const catalogs = (): number => fake.asked.filter((asked) => asked.includes('/v2/_catalog')).length;
  return { fake, backend: stack.use(fake.backend()), catalogs };
}

test('the catalogue is read once for the pages of a list, however many repositories are between them', async () => {
  const { backend, catalogs } = await registry(30);
  const keys: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await backend.list('', { max: 10, after }, never);
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
    if (after === undefined) break;
  }
  expect(keys).toHaveLength(30);
  expect(keys).toEqual(keys.toSorted());
  expect(catalogs()).toBe(1);
});

test('whoever leaves fails nobody who waits for the same list; when all have left, it is asked for no more', async () => {
  const { fake, backend, catalogs } = await registry(3);
  fake.misdeed = () => 'hang';
  const [one, other, last] = [new AbortController(), new AbortController(), new AbortController()];
  const asked = [one, other].map(({ signal }) => backend.list('', { max: 9 }, signal));
  asked[1]?.catch(() => undefined);
  await expect.poll(catalogs).toBe(1);
  one.abort(new Error('one left'));
  await expect(asked[0]).rejects.toThrow('one left');
  const third = backend.list('', { max: 9 }, last.signal);
  other.abort(new Error('the other left'));
  await expect(asked[1]).rejects.toThrow('the other left');
  expect(catalogs()).toBe(1);
  last.abort(new Error('all left'));
  await expect(third).rejects.toThrow('all left');
  fake.misdeed = () => undefined;
  expect((await backend.list('', { max: 9 }, never)).objects).toHaveLength(3);
});
