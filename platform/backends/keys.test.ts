import { expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { realClock } from '../net/clock.ts';
import { createLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Backends } from './backends.ts';
import { backendsShape } from './config.ts';

const digest = `sha256:${'0f'.repeat(32)}` as Digest;
const hex = '0f'.repeat(32);

async function keysOf(rule: object) {
  const log = createLog({ role: 'origin', level: 'silent', name: '' });
  const given = { log, metrics: new Metrics(), env: {}, clock: realClock, sharers: () => 1 };
  await using backends = await Backends.open(backendsShape().parse([{ name: 'main', memory: {}, ...rule }]), given);
  const { blobKey, layout } = backends.of('a') as NonNullable<ReturnType<Backends['of']>>;
  const name = (kind: 'tag' | 'manifest') =>
    layout.links.linkKey({ repo: 'a', kind, name: kind === 'tag' ? 'v' : digest });
  return [blobKey(digest, 'a'), name('tag'), name('manifest')];
}

const wrong = (rule: object) => {
  const { error } = backendsShape().safeParse([{ name: 'main', ...rule }]);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
};

const sharded = `docker/registry/v2/blobs/sha256/0f/${hex}/data`;
const current = 'docker/registry/v2/repositories/a/_manifests/tags/v/current/link';
const revision = `docker/registry/v2/repositories/a/_manifests/revisions/sha256/${hex}/link`;

test("keys: a word for all, or one each for blobs and tags, Kraken's own too; where Kraken writes no links, there are none", async () => {
  expect(await keysOf({})).toEqual([sharded, current, revision]);
  expect(await keysOf({ keys: 'registry' })).toEqual([sharded, current, revision]);
  expect(await keysOf({ keys: 'identity' })).toEqual([hex, 'a:v', undefined]);
  expect(await keysOf({ keys: { tags: 'identity' } })).toEqual([sharded, 'a:v', undefined]);
  expect(await keysOf({ keys: { blobs: 'identity' } })).toEqual([hex, current, revision]);
  expect(await keysOf({ keys: { blobs: 'sharded_docker_blob', tags: 'docker_tag' } })).toEqual([
    ...[sharded, current, undefined],
  ]);
  expect(await keysOf({ keys: 'identity', tags: { memory: {} } })).toEqual([hex, 'a:v', undefined]);
});

test("a word that is none, or that is Kraken's for the other part, is named with its path", () => {
  expect(wrong({ memory: {}, keys: 'docker_tag' })).toEqual([
    "0.keys: docker_tag is Kraken's word for tags alone: write keys: { blobs: sharded_docker_blob, tags: docker_tag }",
  ]);
  expect(wrong({ memory: {}, keys: { tags: 'sharded_docker_blob' } })).toEqual([
    expect.stringContaining("0.keys.tags: sharded_docker_blob is Kraken's word for blobs alone"),
  ]);
  expect(wrong({ memory: {}, keys: { blobs: 'docker_tag', tags: 'other' } })).toEqual([
    expect.stringContaining("0.keys.blobs: docker_tag is Kraken's word for tags alone"),
    '0.keys.tags: expected one of registry, docker_tag, identity',
  ]);
  expect(wrong({ memory: {}, keys: { layers: 'identity' } })).toEqual(['0.keys: Unrecognized key: "layers"']);
});

test('keys of what has none to choose are refused, with the path: alone, on one side of a shadow, of blobs or tags', () => {
  const vain = (path: string) => expect.stringMatching(new RegExp(`^0\\.${path}: cannot be chosen`));
  expect(wrong({ noop: {}, keys: 'identity' })).toEqual([vain('keys')]);
  expect(wrong({ memory: {}, tags: { noop: {} }, keys: { blobs: 'identity', tags: 'identity' } })).toEqual([
    vain('keys\\.tags'),
  ]);
  expect(wrong({ noop: {}, tags: { memory: {} }, keys: { blobs: 'identity', tags: 'identity' } })).toEqual([
    vain('keys\\.blobs'),
  ]);
  expect(wrong({ noop: {}, tags: { memory: {} }, keys: 'identity' })).toEqual([]);
  expect(wrong({ shadow: { first: { memory: {} }, second: { memory: {} } }, keys: 'identity' })).toEqual([]);
});
