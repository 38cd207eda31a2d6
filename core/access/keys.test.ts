import { expect, test } from 'vitest';
import type { AccessKeys } from './documents.ts';
import { keyCountsMs, keyHeardMs, publicKeys, refreshCountsMs, signingKey, withKey } from './keys.ts';

const key = (kid: string, d?: string) => ({
  kty: 'EC' as const,
  crv: 'P-256' as const,
  x: 'x',
  y: 'y',
  kid,
  ...(d !== undefined && { d }),
});
const kids = (keys: readonly { kid: string }[]) => keys.map(({ kid }) => kid);
const first = withKey(undefined, key('a', 'd'), { generation: 1, forget: false, nowMs: 1_000 });

test('the first key signs at once', () => {
  expect(signingKey(first, 1_000)?.kid).toBe('a');
  expect(JSON.stringify(publicKeys(first, 1_000))).not.toContain('"d"');
});

test('the next one signs once everybody has heard of it, and the one before counts on', () => {
  const both = withKey(first, key('b', 'd'), { generation: 2, forget: false, nowMs: 5_000 });
  expect(signingKey(both, 5_000)?.kid).toBe('a');
  expect(signingKey(both, 5_000 + keyHeardMs)?.kid).toBe('b');
  expect(kids(publicKeys(both, 5_000))).toEqual(['a', 'b']);
  const over = 5_000 + keyHeardMs + keyCountsMs;
  expect(kids(publicKeys(both, over - 1))).toEqual(['a', 'b']);
  expect(kids(publicKeys(both, over))).toEqual(['b']);
  const third = (nowMs: number): AccessKeys => withKey(both, key('c', 'd'), { generation: 3, forget: false, nowMs });
  expect(kids(third(over).keys)).toEqual(['a', 'b', 'c']);
  expect(kids(third(5_000 + keyHeardMs + refreshCountsMs).keys)).toEqual(['b', 'c']);
});

test('keys that are to be forgotten are, and the new one signs at once', () => {
  const only = withKey(first, key('b', 'd'), { generation: 2, forget: true, nowMs: 5_000 });
  expect(kids(only.keys)).toEqual(['b']);
  expect(signingKey(only, 5_000)?.kid).toBe('b');
});

test("a key whose other half is in a file is nobody else's to sign with", () => {
  const files = withKey(first, key('f'), { generation: 1, forget: false, nowMs: 5_000 });
  expect(signingKey(files, 5_000 + keyHeardMs)?.kid).toBe('a');
  expect(signingKey({ generation: 0, keys: [] }, 0)).toBeUndefined();
  // The same one again, of another proxy that has it.
  expect(kids(withKey(files, key('f'), { generation: 1, forget: false, nowMs: 6_000 }).keys)).toEqual(['a', 'f']);
});
