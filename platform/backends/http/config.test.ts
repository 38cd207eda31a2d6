import { expect, test } from 'vitest';
import { type Digest, digestHex } from '../../../core/digest.ts';
import { httpSchema } from './config.ts';
import { askedOf, templateLayout, urlOf } from './template.ts';

const digest = `sha256:${'ab'.repeat(32)}` as Digest;
const problems = (settings: object): string[] =>
  (httpSchema.safeParse(settings).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);

test.each([
  ['https://host/blobs', 'names no blob: put %s'],
  ['https://host/{repo}', 'names no blob: put %s'],
  ['https://host/{hexx}/%s', 'has {hexx}, which is none of %s, {hex}, {digest}'],
  ['https://{hex}.host/%s', 'has a placeholder in the name of its host'],
  ['https://%s/', 'has a placeholder in the name of its host'],
  ['https://user:secret@host/%s', 'has credentials in it: put them under `auth`'],
  ['ftp://host/%s', 'is no address of http'],
  ['host/%s', 'is no address of http'],
  ['https://host/#%s', 'has a #'],
])('the template %s is refused: %s', (download, message) => {
  expect(problems({ download })).toEqual([expect.stringContaining(`download: ${message}`)]);
});

test('each setting that is wrong is named with its path', () => {
  const download = 'https://host/%s';
  expect(problems({})).toEqual([expect.stringMatching(/^download: /)]);
  expect(problems({ download, redirects: -1 })).toEqual([expect.stringMatching(/^redirects: /)]);
  expect(problems({ download, auth: { username: 'user' } })).toEqual([
    expect.stringMatching(/^auth: expected username/),
  ]);
  expect(problems({ download, headers: { Authorization: 'x' } })).toEqual([
    expect.stringMatching(/^headers.Authorization: is made by Shoal/),
  ]);
  expect(problems({ download, headers: { 'X-A': 'a\r\nB: c' } })).toEqual([expect.stringMatching(/^headers.X-A: /)]);
  expect(problems({ download, headers: { 'X A': 'a' } })).toEqual([expect.stringMatching(/^headers.X A: /)]);
});

test('what is put in stays in its place, and a key says what it was made of', () => {
  const hex = digestHex(digest);
  const url = (template: string, repo?: string) => urlOf(template, { digest, repo }).href;
  expect(url('https://host/a/%s?x=%s')).toBe(`https://host/a/${hex}?x=${hex}`);
  expect(url('https://host/a%20b/{algorithm}/{hex}')).toBe(`https://host/a%20b/sha256/${hex}`);
  expect(url('https://host/{repo}/{digest}', 'a/b?#%')).toBe(`https://host/a/b%3F%23%25/${digest}`);
  const plain = templateLayout('https://host/%s');
  expect([plain.blobKey(digest, 'a/b'), plain.perRepository]).toEqual([digest, false]);
  const each = templateLayout('https://host/{repo}/%s');
  expect([each.blobKey(digest, 'a/b'), each.perRepository]).toEqual([`a/b@${digest}`, true]);
  expect(askedOf(each.blobKey(digest, 'a/b'))).toEqual({ digest, repo: 'a/b' });
  expect(each.digestOf(`a/b@${digest}`)).toBe(digest);
  for (const repo of ['..', 'a/../../b', 'a/./b', '/a', 'A', 'a%2f..', '\ud800'])
    expect(askedOf(each.blobKey(digest, repo)), repo).toBeUndefined();
  expect([each.digestOf('a/b'), each.digestOf('.shoal/readiness')]).toEqual([undefined, undefined]);
});
