import { expect, test } from 'vitest';
import { otherPlatforms, parsePin } from './pins.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

test('a digest, an image, a pattern of repositories; nothing else', () => {
  expect(parsePin(digest)).toEqual({ kind: 'digest', digest });
  expect(parsePin('library/app:v1.2')).toEqual({ kind: 'image', repo: 'library/app', tag: 'v1.2' });
  expect(parsePin('tools/**')).toEqual({ kind: 'repositories', pattern: 'tools/**' });
  for (const wrong of ['', 'A/b', 'a/b:', ':v1', 'a/*:v1', 'sha256:ab', 'a b', '***'])
    expect(parsePin(wrong)).toBeUndefined();
});

test('of an index, what is for another platform; what names none is for all', () => {
  const of = (name: string, platform?: object) => ({ digest: name, ...(platform && { platform }) });
  const manifests = [
    of('a', { os: 'linux', architecture: 'amd64' }),
    of('b', { os: 'linux', architecture: 'arm64' }),
    of('c', { os: 'windows', architecture: 'amd64' }),
    of('attestation', { os: 'unknown', architecture: 'unknown' }),
    of('e'),
    null,
  ];
  const bytes = Buffer.from(JSON.stringify({ manifests }));
  expect([...otherPlatforms(bytes, 'amd64')]).toEqual(['b', 'c']);
  expect([...otherPlatforms(Buffer.from('{}'), 'amd64')]).toEqual([]);
});
