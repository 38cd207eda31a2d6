/** A tag that somebody asks to have sent: what waits is tried, what a remote has lost goes there again, by the rules. */

import { afterEach, expect, test } from 'vitest';
import { FakeRegistry } from '../../platform/backends/registry/fake.fixtures.ts';
import { image } from '../backing/testing.fixtures.ts';
import { follower } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const soon = { timeout: 40_000, interval: 20 };
const one = image('one');

async function world() {
  const hub = stack.use(await FakeRegistry.start());
  const remotes = { hub: { url: hub.url, kind: 'registry', stall: '1s' } };
  const at = await follower(stack, { remotes, rules: [{ repositories: 'a', tags: ['v*'], to: 'hub' }] });
  for (const repo of ['a', 'b']) await at.push(repo, one, ['v1', 'dev']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  return { hub, at, there: hub.repo('a') };
}

test('what the remote has lost, or has on another manifest, goes there again; what it has costs a question', async () => {
  const { hub, at, there } = await world();
  const { version } = (await at.store.tag('a', 'v1')) ?? {};
  await at.again('a', 'v1');
  expect([(await at.store.tag('a', 'v1'))?.version, await at.depth()]).toEqual([version, 0]);
  there.tags.delete('v1');
  await at.again('a', 'v1');
  await expect.poll(() => there.tags.get('v1'), soon).toBe(one.digest);
  hub.asked.splice(0);
  for (const [repo, tag] of [
    ['a', 'dev'],
    ['b', 'v1'],
    ['a', 'v-never'],
  ] as const)
    await at.again(repo, tag);
  expect(hub.asked.filter((asked) => !/v-never/.test(asked))).toEqual([]);
  expect(await at.depth()).toBe(0);
});

test('what was given up is tried; where the remote does not say what it has, that is said', async () => {
  const { hub, at, there } = await world();
  hub.misdeed = () => ({ status: 503 });
  await at.store.putTag('a', 'v2', { digest: one.digest });
  const key = { target: 'remote:hub', repo: 'a', kind: 'tag', name: 'v2' } as const;
  const row = await at.store.pending(key);
  await at.store.failed(row!, { cause: 'refused', dueMs: 0, dead: true });
  await expect(at.again('a', 'v1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  hub.misdeed = () => undefined;
  await at.again('a', 'v2');
  await expect.poll(() => there.tags.get('v2'), soon).toBe(one.digest);
});
