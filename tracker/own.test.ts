/** What a tracker takes of what hosts with certificates say. */

import { expect, test } from 'vitest';
import type { VerifiedCaller } from '../core/access/identity.ts';
import { testDigest, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type NotOwn, ownLeave, ownWords } from './own.ts';

const signal = new AbortController().signal;
const from = (role: 'agent' | 'origin'): CallContext => {
  const who: VerifiedCaller = { cluster: 'c', role, name: 'x', sans: [], untilMs: 0, address: '10.0.0.1' };
  return CallContext.received({}, { signal, believed: true, from: who });
};
const nobody = CallContext.received({}, { signal, believed: true });
const right: NotOwn = () => undefined;
const wrong: NotOwn = () => 'somebody else';

const request = (role: 'agent' | 'origin') => ({
  self: testPeer(1, role),
  entries: [{ digest: testDigest(1), state: 'have' as const, seek: 0, meta: testMeta(1) }],
  held: 1,
});

test('only origins tell what a blob is made of', () => {
  expect(ownWords(request('agent'), from('agent'), right).entries).toMatchObject([{ state: 'have', meta: undefined }]);
  expect(ownWords(request('origin'), from('origin'), right)).toEqual(request('origin'));
});

test('nobody speaks for another', () => {
  expect(() => ownWords(request('agent'), from('agent'), wrong)).toThrow('somebody else');
  expect(() => ownLeave(testPeer(1).node, from('agent'), wrong)).toThrow('somebody else');
  expect(() => ownLeave(testPeer(1).node, from('agent'), right)).not.toThrow();
});

test('without certificates everybody is believed, as before', () => {
  expect(ownWords(request('agent'), nobody, undefined)).toEqual(request('agent'));
  expect(() => ownLeave(testPeer(1).node, nobody, undefined)).not.toThrow();
});
