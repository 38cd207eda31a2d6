import { expect, test } from 'vitest';
import { firstOf, type Prover, proofIn } from './prove.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

test.each([
  [undefined, undefined],
  [basic('alice:secret'), { kind: 'basic', name: 'alice', password: 'secret' }],
  [basic('alice:with:colon'), { kind: 'basic', name: 'alice', password: 'with:colon' }],
  [basic(':'), { kind: 'basic', name: '', password: '' }],
  [basic('ünïcode:pässword'), { kind: 'basic', name: 'ünïcode', password: 'pässword' }],
  ['bearer abc.def-_', { kind: 'bearer', token: 'abc.def-_' }],
  [basic('no colon'), 'malformed'],
  [basic(`alice:${'x'.repeat(12_289)}`), 'malformed'],
  [`Bearer ${'x'.repeat(17_000)}`, 'malformed'],
  ['Basic', 'malformed'],
  ['Digest abc', 'malformed'],
  ['Bearer a b', 'malformed'],
  ['', 'malformed'],
])('%j shows %j', (header, expected) => {
  expect(proofIn(header)).toEqual(expected);
});

test('the first prover that knows a proof says whom it is of', async () => {
  const asked: string[] = [];
  const one =
    (name: string, says: Awaited<ReturnType<Prover>>): Prover =>
    async () => {
      asked.push(name);
      return says;
    };
  const alice = { name: 'alice', groups: [] };
  const proof = { kind: 'bearer', token: 't' } as const;
  const prove = firstOf([one('a', undefined), one('b', alice), one('c', alice)]);
  expect(await prove(proof, { address: 'x' })).toBe(alice);
  expect(asked).toEqual(['a', 'b']);
  expect(await firstOf([one('d', undefined)])(proof, { address: 'x' })).toBeUndefined();
  expect(await firstOf([one('e', 'slow-down'), one('f', alice)])(proof, { address: 'x' })).toBe('slow-down');
});
