import { expect, test } from 'vitest';
import { parseDigest } from '../../core/digest.ts';
import { registryLayout } from './layout.ts';

const hex = 'ab0123456789'.padEnd(64, '0');

test('a blob lies where a Docker registry puts it, and is found by its key', () => {
  const digest = parseDigest(`sha256:${hex}`)!;
  const key = registryLayout.blobKey(digest);
  expect(key).toBe(`docker/registry/v2/blobs/sha256/ab/${hex}/data`);
  expect(registryLayout.digestOf(key)).toBe(digest);
});

test('another key is of no blob', () => {
  const root = 'docker/registry/v2/blobs/sha256';
  for (const key of [
    `${root}/ac/${hex}/data`,
    `${root}/ab/${hex}/data/more`,
    `${root}/ab/${hex.slice(1)}/data`,
    `${root}/ab/${hex}`,
    `other/${root}/ab/${hex}/data`,
    '',
  ])
    expect(registryLayout.digestOf(key), key).toBeUndefined();
});
