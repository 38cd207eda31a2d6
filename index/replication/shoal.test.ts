/** A remote that is, or says to be, a Shoal: who it is decides whether anything goes there. */

import { afterEach, expect, test } from 'vitest';
import { REPLICATION_HEADERS as H } from '../../core/contracts/replicate/headers.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { FakeRegistry } from '../../platform/backends/registry/fake.fixtures.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import { image } from '../backing/testing.fixtures.ts';
import { follower } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const soon = { timeout: 20_000, interval: 20 };
const one = image('one');
const token = 'a secret of two clusters';
const other = 'ab'.repeat(16);

async function world(headers: Record<string, string>) {
  const west = stack.use(await FakeRegistry.start());
  west.misdeed = ({ method, path }) =>
    method === 'GET' && path === OCI_PATHS.base ? { status: 200, headers, body: '{}' } : undefined;
  const remotes = { west: { url: west.url, token, stall: '1s' } };
  return { west, follow: () => follower(stack, { remotes, rules: [{ to: 'west' }] }) };
}

test('this very cluster is refused at the start, by name', async () => {
  await using own = openMemoryTags();
  const { index } = await own.unlinked([]);
  const { follow } = await world({ [H.cluster]: index, [H.taken]: 'taken' });
  await expect(follow()).rejects.toThrow(/^replicate\.remotes\.west: http:.* is this very cluster/);
});

test.each<[string, Record<string, string>, string]>([
  ['an older Shoal, which says nothing', {}, 'unsupported'],
  ['one that answers nonsense', { [H.cluster]: 'x', [H.taken]: 'maybe' }, 'unsupported'],
  ['one that takes versions from nobody', { [H.cluster]: other, [H.taken]: 'off' }, 'denied'],
  ['one that does not know our secret', { [H.cluster]: other, [H.taken]: 'refused' }, 'denied'],
])('%s gets nothing, and what waits is kept', async (_, headers, cause) => {
  const { west, follow } = await world(headers);
  const at = await follow();
  await at.push('a', one, ['1']);
  await expect.poll(() => at.told('shoal_replication_up{remote="west"}'), soon).toBe(0);
  expect(at.lanes.get('remote:west')?.why({ target: 'remote:west', repo: 'a', kind: 'tag', name: '1' })?.cause).toBe(
    cause,
  );
  expect(west.asked.filter((asked) => asked !== `GET ${OCI_PATHS.base}`)).toEqual([]);
  expect((await at.store.outbox()).map(({ rows, dead }) => [rows, dead])).toEqual([[1, false]]);
});

test('one that answers a write without the version that stands gets no more by itself', async () => {
  const { follow } = await world({ [H.cluster]: other, [H.taken]: 'taken' });
  const at = await follow();
  await at.push('a', one, ['1']);
  await expect
    .poll(() => at.told('shoal_replication_failures_total{remote="west",cause="unsupported"}'), soon)
    .toBeGreaterThan(0);
  expect(await at.depth()).toBe(1);
});
