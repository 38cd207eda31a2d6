import { expect, test } from 'vitest';
import { escaped, HdfsNames } from './names.ts';

const names = new HdfsNames('main', '_uploads');
const keys = [
  ...[
    'docker/registry/v2/blobs/sha256/ab/ab01/data',
    '_uploads/x',
    'x/_uploads',
    'a//b',
    '/a',
    'a/',
    './..',
    '...',
    'a:b',
  ],
  ...[
    '.snapshot/.reserved',
    '.snapshots',
    'a b',
    'a%b',
    'a%25b',
    'a!b',
    'a!',
    '!',
    'a!21',
    'a=3A',
    'ü/日本/😀',
    '`^~;+?#&',
  ],
];

test('ordinary keys are their own paths, and no path has what HDFS or a gateway reads otherwise', () => {
  expect(names.of('docker/registry/v2/repositories/a_b/c-d/_manifests/tags/V1.2-x_y/current/link').join('/')).toBe(
    'docker/registry/v2/repositories/a_b/c-d/_manifests/tags/V1.2-x_y/current/link',
  );
  for (const key of keys) expect(names.of(key).join('/')).toMatch(/^[A-Za-z0-9._!=^`~-]+(\/[A-Za-z0-9._!=^`~-]+)*$/);
  expect(names.of('_uploads/.././.snapshot//x')).toEqual(['_uploads!', '..!', '.!', '.snapshot!', '!', 'x']);
});

test('a path leads back to its key, and one that no key makes to none', () => {
  for (const key of keys)
    expect(
      names
        .of(key)
        .map((name, depth) => names.partOf(name, depth))
        .join('/'),
    ).toBe(key);
  expect(new Set(keys.map((key) => names.of(key).join('/'))).size).toBe(keys.length);
  for (const foreign of [
    '_uploads',
    '.',
    '..',
    '.snapshot',
    'a b',
    'a!',
    'a=4A',
    'a~zz',
    'ü',
    'a!2',
    '~FF',
    '!2d',
    '=3a',
  ])
    expect(names.partOf(foreign, 0), foreign).toBeUndefined();
  expect(names.partOf('_uploads', 1)).toBe('_uploads');
});

test('names are in the order of the bytes of what they stand for', () => {
  const chars = Array.from({ length: 127 }, (_, code) => String.fromCharCode(code)).filter((char) => char !== '/');
  const parts = ['', '.', '..', '.snapshot', '.snapshots', '_uploads', '_uploads!', 'é', '日', '😀', 'ｘ', ...chars];
  const all = parts.flatMap((part) => [part, `${part}-`, `-${part}`, `.${part}`, `_uploads${part}`, `z${part}a`]);
  const sorted = [...new Set(all)].toSorted((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
  const there = sorted.map((part) => names.ofPart(part, 0));
  expect(there).toEqual(there.toSorted((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two))));
  for (const part of sorted) expect(names.ofPart(part, 0).startsWith(escaped(part))).toBe(true);
});

test('what HDFS cannot hold is refused', () => {
  for (const key of ['', 'x'.repeat(256), '😀'.repeat(22), '\ud800', 'a/'.repeat(513)])
    expect(() => names.of(key)).toThrow(/^main: .* is no key that HDFS can hold/);
  expect(names.of('x'.repeat(255))).toHaveLength(1);
});
