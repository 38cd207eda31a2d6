import { expect, test } from 'vitest';
import { digestOf } from '../../../core/digest.ts';
import type { Linked } from '../links.ts';
import { placeAt, registryKeys, tagKey } from './layout.ts';

const digest = digestOf('sha256', 'ab'.repeat(32));
const { links } = registryKeys;

test('a key is read as it was written, and begins with what all of its repository begin with', () => {
  const key = registryKeys.blobKey(digest, 'a/b');
  expect(placeAt(key)).toEqual({ kind: 'bytes', repo: 'a/b', digest });
  expect(registryKeys.digestOf(key)).toBe(digest);
  expect(links.linkOf(key)).toBeUndefined();
  for (const of of [
    { repo: 'a/b', kind: 'tag', name: '1.0_x-Y' },
    { repo: 'a', kind: 'manifest', name: digest },
  ] as const satisfies Linked[]) {
    const link = links.linkKey(of) as string;
    expect(links.linkOf(link)).toEqual({ ...of, part: 'link' });
    expect(link.startsWith(links.under(of.repo)[0] as string)).toBe(true);
    expect(links.linkOf(links.recordKey(of))).toBeUndefined();
    expect(registryKeys.digestOf(link)).toBeUndefined();
  }
  expect(links.linkKey({ repo: 'a', kind: 'tag', name: 'x' })).toBe(tagKey('a', 'x'));
  expect(links.linkKey({ repo: 'a', kind: 'blob', name: digest })).toBeUndefined();
});

test('what is no key is none: without a repository, of no digest, of no tag, with more behind it', () => {
  const junk = ['', 'a', 'a/_tags', 'a/_tags/', 'a/_tags/-', 'a/_tags/x/y', '/_tags/x', 'A/_tags/x', 'a/_other/x'];
  const shortened = `a/_bytes/${digest.slice(0, -1)}`;
  for (const key of [...junk, registryKeys.blobKey(digest), shortened, 'a/_manifests/x'])
    expect(placeAt(key), key).toBeUndefined();
});
