import { expect, test } from 'vitest';
import type { Digest } from '../../digest.ts';
import { testDigest } from '../../handout/fixtures.ts';
import { blockByCharsMax, blockedError, blockedMax, blocksDocument, blocksIn } from './blocks.ts';
import { documentBytesMax } from './documents.ts';

const block = (no: number) => ({ digest: testDigest(no), reason: 'CVE', sinceMs: 1_764_444_000_000, by: 'root@host' });

test('what is written is read, and what is more of it later is passed over', () => {
  const blocked = [block(1), { digest: testDigest(2), sinceMs: 5 }];
  expect(blocksIn(JSON.parse(JSON.stringify(blocksDocument(blocked))))).toEqual(blocked);
  expect(blocksIn({ blocked: [{ ...block(1), more: 1 }], since: 2 })).toEqual([block(1)]);
  expect(blocksIn(undefined)).toEqual([]);
});

test.each([null, 5, [], {}, { blocked: {} }, { blocked: ['sha256:1'] }, { blocked: [{ digest: testDigest(1) }] }])(
  'what is no list is refused: %j',
  (body) => expect(() => blocksIn(body)).toThrow(),
);

test('as many as there may be are a document', () => {
  const digest = `sha512:${'0f'.repeat(64)}` as Digest;
  const long = { digest, reason: '€'.repeat(200), sinceMs: 1_764_444_000_000.5, by: '€'.repeat(blockByCharsMax) };
  const all = blocksDocument(Array.from({ length: blockedMax }, () => long));
  expect(Buffer.byteLength(JSON.stringify(all))).toBeLessThan(documentBytesMax);
  expect(blocksIn(all)).toHaveLength(blockedMax);
});

test('who asks is told why, as far as somebody said so', () => {
  expect(blockedError(block(1))).toMatchObject({ code: 'DENIED', status: 403, detail: { reason: 'CVE' } });
  expect(blockedError(block(1)).message).toContain('(CVE)');
  expect(blockedError({ digest: testDigest(1), sinceMs: 1 }).message).not.toContain('(');
});
