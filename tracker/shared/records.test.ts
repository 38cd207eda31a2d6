/** What trackers keep and tell in Redis: read as it was written, and junk is nobody's. */

import { expect, test } from 'vitest';
import { testDigest, testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { readNode, readTold, selfField, selfText } from './records.ts';

const self = testPeer(1);
const client = '10.0.0.1';

test('a message is read as it was told, without what nobody may tell', () => {
  const entries = [{ digest: testDigest(1), state: 'have', seek: 0 }] as const;
  const said = { from: 'one', news: [{ self, client, held: 3, reset: true, entries }], left: [testPeer(2).node] };
  expect(readTold(JSON.stringify(said))).toEqual(said);
  // No metainfo: an origin's word is taken of origins.
  const lies = { ...said, news: [{ ...said.news[0], entries: [{ ...entries[0], meta: testMeta(5), seek: 32 }] }] };
  expect(readTold(JSON.stringify(lies))).toEqual(said);
});

test.each([
  '',
  'x',
  'null',
  '[]',
  '{"from":1}',
  '{"from":"x","news":[1]}',
  '{"from":"x","left":["short"]}',
  JSON.stringify({ from: 'x', news: [{ self, client, held: -1, entries: [] }] }),
  JSON.stringify({ from: 'x', news: [{ self: { ...self, port: 0 }, client, held: 1, entries: [] }] }),
  JSON.stringify({ from: 'x', news: [{ self, client, held: 1, entries: [{ digest: 'sha256:1', state: 'have' }] }] }),
])('a message that is none: %s', (text) => {
  expect(readTold(text)).toBeUndefined();
});

test('a node is read from its hash; what is not whole, or is of another, is none', () => {
  const hash = { [selfField]: selfText({ self, client }), [testDigest(1)]: 'want', [testDigest(2)]: 'have' };
  expect(readNode(self.node, hash)).toMatchObject({ self, client, held: 2, reset: true });
  expect(readNode(testPeer(2).node, hash)).toBeUndefined();
  expect(readNode(self.node, { ...hash, junk: 'have' })).toBeUndefined();
  expect(readNode(self.node, { ...hash, [testDigest(3)]: 'gone' })).toBeUndefined();
  expect(readNode(self.node, { ...hash, [selfField]: '{' })).toBeUndefined();
  expect(readNode(self.node, {})).toBeUndefined();
});
