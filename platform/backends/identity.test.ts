import { expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { identityBlobs, identityLinks as links } from './identity.ts';
import type { Linked } from './links.ts';

const hex = '0f'.repeat(32);
const name = `sha256:${hex}` as Digest;
const long = `sha512:${'ab'.repeat(64)}` as Digest;
const repo = 'library/a--b/c.d_e__f';

test('a blob lies at its hex, as Kraken puts it, and is found by its key', () => {
  expect(identityBlobs.blobKey(name)).toBe(hex);
  for (const digest of [name, long]) expect(identityBlobs.digestOf(identityBlobs.blobKey(digest))).toBe(digest);
  for (const key of ['', hex.slice(1), `${hex}0`, hex.toUpperCase(), `x/${hex}`, `${repo}:v1`])
    expect(identityBlobs.digestOf(key), key).toBeUndefined();
});

test('a tag lies at repository:tag; what Kraken does not write has a record of ours alone, which is no name to Kraken', () => {
  const keys = (of: Linked) => [links.linkKey(of), links.recordKey(of)];
  expect(keys({ repo, kind: 'tag', name: 'V1.0-x_y' })).toEqual([
    `${repo}:V1.0-x_y`,
    `_shoal/${repo}/_shoal/current/V1.0-x_y`,
  ]);
  expect(keys({ repo, kind: 'manifest', name })).toEqual([undefined, `_shoal/${repo}/_shoal/manifests/sha256/${hex}`]);
  expect(keys({ repo, kind: 'blob', name })).toEqual([undefined, `_shoal/${repo}/_shoal/blobs/sha256/${hex}`]);
});

test('each key is read back, and begins as all of its repository do, in the order of the keys', () => {
  for (const of of [
    { repo, kind: 'tag', name: '_' },
    { repo: 'a', kind: 'manifest', name },
    { repo: 'a/0', kind: 'blob', name: long },
    { repo: 'a', kind: 'tag', name: 'v' },
  ] as const) {
    const record = links.recordKey(of);
    const link = links.linkKey(of) ?? record;
    expect(links.linkOf(record)).toEqual({ ...of, part: 'record' });
    expect(links.linkOf(link)).toEqual({ ...of, part: link === record ? 'record' : 'link' });
    expect(links.under()).toEqual(['']);
    for (const key of [record, link]) {
      expect(links.under(of.repo).some((start) => key.startsWith(start))).toBe(true);
      expect(links.under('a').some((start) => key.startsWith(start))).toBe(of.repo === 'a');
    }
  }
  expect(links.under('a')).toEqual([...links.under('a')].sort());
});

test.each([
  hex,
  'a',
  'a:',
  ':v',
  'a:v:w',
  'A:v',
  'a:v/w',
  '_shoal/a:v',
  '_shoal/a/_shoal/current/',
  '_shoal/readiness',
])('%s is none of them', (key) => {
  expect(links.linkOf(key)).toBeUndefined();
});
