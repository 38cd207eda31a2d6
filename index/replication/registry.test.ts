/** A registry that is no Shoal as a remote: everything that a tag needs goes there, once, and in its order. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { FakeRegistry } from '../../platform/backends/registry/fake.fixtures.ts';
import { digestOfBytes, type Image, image, imageIndex } from '../backing/testing.fixtures.ts';
import { follower } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const soon = { timeout: 20_000, interval: 20 };
const [one, two] = [image('one'), image('two')];

async function world(rule: object = {}, remote: object = {}) {
  const hub = stack.use(await FakeRegistry.start());
  const remotes = { hub: { url: hub.url, kind: 'registry', stall: '1s', ...remote } };
  const at = await follower(stack, { remotes, rules: [{ to: 'hub', ...rule }] });
  return { hub, at };
}

const signed = (of: Image, words: string): Image =>
  image(words, {
    subject: { mediaType: MEDIA.ociManifest, digest: of.digest, size: of.bytes.length },
    artifactType: 'application/vnd.example.signature',
  });

test('a tag goes there with its blobs, what it shares with others once, and the tag last', async () => {
  const { hub, at } = await world();
  await at.push('a/x', one, ['1', 'latest']);
  await at.push('b/y', one, ['1']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  expect(hub.repo('a/x').tags).toEqual(
    new Map([
      ['1', one.digest],
      ['latest', one.digest],
    ]),
  );
  expect(hub.repo('b/y').tags.get('1')).toBe(one.digest);
  // Each blob came once; to the other repository it was mounted.
  expect(hub.asked.filter((asked) => /^PUT .*blobs/.test(asked))).toHaveLength(2);
  const put = hub.asked.findIndex((asked) => asked.startsWith('PUT /v2/a/x/manifests/'));
  expect(hub.asked.slice(put).filter((asked) => /^P.* \/v2\/a\/x\/blobs/.test(asked))).toEqual([]);
  expect(await at.told('shoal_replications_total{remote="hub",how="sent"}')).toBe(3);
});

test('an index goes with its images, and what signs any of them with it; what is signed later is listed by its subject', async () => {
  const { hub, at } = await world();
  const all = imageIndex([one, two]);
  const early = signed(one, 'early');
  for (const of of [one, two, early]) await at.push('a', of);
  await at.push('a', all, ['1']);
  await expect.poll(() => hub.repo('a').tags.get('1'), soon).toBe(all.digest);
  await expect.poll(() => at.depth(), soon).toBe(0);
  const order = hub.asked.filter((asked) => asked.startsWith('PUT /v2/a/manifests/'));
  expect(order.at(-1)).toBe('PUT /v2/a/manifests/1');
  expect(hub.repo('a').manifests.has(early.digest)).toBe(true);
  const late = signed(two, 'late');
  const twice = signed(late, 'of the signature');
  await at.push('a', late);
  await at.push('a', twice);
  await expect.poll(() => at.depth(), soon).toBe(0);
  for (const [of, by] of [
    [one, early],
    [two, late],
    [late, twice],
  ] as const) {
    const listed = hub.repo('a').manifests.get(hub.repo('a').tags.get(of.digest.replace(':', '-')) ?? '');
    expect(JSON.parse(String(listed)).manifests).toMatchObject([
      { digest: by.digest, artifactType: 'application/vnd.example.signature' },
    ]);
  }
});

test('only what a rule says goes: repositories, tags, deletions', async () => {
  const { hub, at } = await world({ repositories: 'a/**', tags: ['v*'], deletes: true });
  await at.push('a/x', one, ['v1', 'v2', 'dev']);
  await at.push('b', two, ['v1']);
  await at.push('a/x', signed(two, 'of what is not there'));
  await expect.poll(() => at.depth(), soon).toBe(0);
  expect([...hub.repos.keys()]).toEqual(['a/x']);
  expect([...hub.repo('a/x').tags.keys()].sort()).toEqual(['v1', 'v2']);
  await at.store.deleteTag('a/x', 'v1');
  await expect.poll(() => hub.repo('a/x').tags.has('v1'), soon).toBe(false);
  expect([...hub.repo('a/x').tags.keys()]).toEqual(['v2']);
});

test('without `deletes` a deletion stays here', async () => {
  const { hub, at } = await world();
  await at.push('a', one, ['1']);
  await expect.poll(() => hub.repo('a').tags.get('1'), soon).toBe(one.digest);
  await at.store.deleteTag('a', '1');
  await expect.poll(() => at.depth(), soon).toBe(0);
  expect(hub.repo('a').tags.get('1')).toBe(one.digest);
});

test('while it is down nothing is given up, and all comes once it is back: the newest of each tag', async () => {
  const { hub, at } = await world();
  hub.misdeed = () => ({ status: 503 });
  for (let i = 0; i < 20; i++) await at.push('a', one, [`t${i}`]);
  await expect.poll(() => at.told('shoal_replication_up{remote="hub"}'), soon).toBe(0);
  for (let i = 0; i < 10; i++) await at.push('a', two, [`t${i}`]);
  expect(await at.depth()).toBe(20);
  expect((await at.store.outbox()).some(({ dead }) => dead)).toBe(false);
  hub.misdeed = () => undefined;
  await expect.poll(() => at.depth(), { ...soon, timeout: 40_000 }).toBe(0);
  for (let i = 0; i < 20; i++) expect(hub.repo('a').tags.get(`t${i}`)).toBe((i < 10 ? two : one).digest);
  expect(await at.told('shoal_replication_up{remote="hub"}')).toBe(1);
}, 60_000);

test('what it refuses again and again is dead and holds up nothing; an operator has it tried again', async () => {
  const { hub, at } = await world();
  hub.misdeed = ({ method, path }) =>
    method === 'PUT' && path.endsWith('/manifests/bad')
      ? { status: 400, body: '{"errors":[{"code":"MANIFEST_INVALID","message":"on purpose"}]}' }
      : undefined;
  await at.push('a', one, ['bad', 'good']);
  await expect.poll(() => hub.repo('a').tags.has('good'), soon).toBe(true);
  const key = { target: 'remote:hub' };
  // Its back-off is some minutes.
  await expect
    .poll(
      async () => {
        const dead = (await at.store.outbox()).some((state) => state.dead);
        if (!dead) await at.store.retry(key);
        at.lanes.get('remote:hub')?.wake();
        return dead;
      },
      { timeout: 30_000, interval: 100 },
    )
    .toBe(true);
  const refused = hub.asked.filter((asked) => asked.endsWith('manifests/bad') && asked.startsWith('PUT')).length;
  expect(refused).toBeGreaterThanOrEqual(8);
  hub.misdeed = () => undefined;
  await at.store.retry(key);
  at.lanes.get('remote:hub')?.wake();
  await expect.poll(() => hub.repo('a').tags.get('bad'), soon).toBe(one.digest);
  await expect.poll(() => at.depth(), soon).toBe(0);
}, 60_000);

test('a blob that is cut goes on where it stood, in another attempt as well', async () => {
  const { hub, at } = await world();
  const large = Buffer.alloc(12 * 1024 * 1024, 'large');
  const manifest = { layers: [{ mediaType: MEDIA.ociLayer, digest: digestOfBytes(large), size: large.length }] };
  const big = { ...image('big', manifest), blobs: [image('big').blobs[0] as Uint8Array, large] };
  let cuts = 0;
  let down = false;
  hub.misdeed = ({ method }) => {
    if (down && method !== 'PATCH') return { status: 503 };
    if (method !== 'PATCH' || cuts > 0) return undefined;
    cuts += 1;
    // Nobody answers where it stands, for as long as an attempt lasts.
    down = true;
    setTimeout(() => {
      down = false;
    }, 2_000);
    return { cut: 5 * 1024 * 1024 };
  };
  await at.push('a', big, ['1']);
  await expect.poll(() => hub.repo('a').tags.get('1'), { ...soon, timeout: 40_000 }).toBe(big.digest);
  expect(hub.asked.filter((asked) => asked.startsWith('POST /v2/a/blobs/uploads/'))).toHaveLength(2);
  expect(await at.told('shoal_replication_bytes_total{remote="hub"}')).toBeGreaterThanOrEqual(large.length);
}, 60_000);

test('what no origin holds waits, and is named; origins that do not answer are waited for', async () => {
  const { hub, at } = await world();
  at.origins.fails = () => new ApiError('UNAVAILABLE', 'no origin answers');
  await at.push('a', one, ['1']);
  await expect
    .poll(() => at.told('shoal_replication_failures_total{remote="hub",cause="origins"}'), soon)
    .toBeGreaterThan(0);
  expect(await at.told('shoal_replication_up{remote="hub"}')).toBe(1);
  at.origins.fails = undefined;
  await expect.poll(() => hub.repo('a').tags.get('1'), soon).toBe(one.digest);
  await at.push('a', two, ['2']);
  at.origins.held.clear();
  await at.push('a', image('three'), ['3']);
  await expect.poll(() => hub.repo('a').tags.has('3'), soon).toBe(true);
});

test('a remote that has lost what it was seen to hold gets it again', async () => {
  const { hub, at } = await world();
  await at.push('a', one, ['1']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  hub.repo('a').blobs.clear();
  hub.repo('a').manifests.clear();
  await at.push('a', one, ['2']);
  await expect.poll(() => hub.repo('a').tags.get('2'), soon).toBe(one.digest);
  expect(hub.repo('a').blobs.size).toBe(2);
});

test.each([
  ['a page of HTML', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ['an error that is none', { status: 500, body: '\0\0' }],
  ['half an answer', { cut: 1 }],
  ['nothing', 'hang'],
] as const)(
  'a remote that answers with %s is waited for, and gets all in the end',
  async (_, wrong) => {
    const { hub, at } = await world();
    hub.misdeed = () => wrong;
    await at.push('a', one, ['1']);
    await expect.poll(() => at.told('shoal_replication_up{remote="hub"}'), soon).toBe(0);
    hub.misdeed = () => undefined;
    await expect.poll(() => at.depth(), { ...soon, timeout: 40_000 }).toBe(0);
    expect(hub.repo('a').tags.get('1')).toBe(one.digest);
  },
  60_000,
);

test('what was there before a rule goes, too, to the remote that is new', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-replication-'));
  stack.defer(() => rm(dir, { recursive: true }));
  const [hub, next] = [stack.use(await FakeRegistry.start()), stack.use(await FakeRegistry.start())];
  const file = join(dir, 'tags.db');
  const remotes = { hub: { url: hub.url, kind: 'registry' }, next: { url: next.url, kind: 'registry' } };
  const before = await follower(stack, { remotes, rules: [{ to: 'hub' }] }, { file });
  await before.push('a', one, ['1', '2']);
  await expect.poll(() => before.depth(), soon).toBe(0);
  await before.stop();
  const asked = hub.asked.length;
  const at = await follower(stack, { remotes, rules: [{ to: ['hub', 'next'] }] }, { file, origins: before.origins });
  await expect.poll(() => [...next.repo('a').tags.keys()].sort(), soon).toEqual(['1', '2']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  expect(hub.asked.slice(asked).filter((one) => !one.endsWith(' /v2/'))).toEqual([]);
});
