/** Who a certificate says that somebody is. */

import { describe, expect, test } from 'vitest';
import { identityIn, identityUri, type Naming } from './identity.ts';

const named = (o: Partial<Naming>): Naming => ({ uris: [], units: [], commonName: undefined, ...o });

describe('a SPIFFE URI', () => {
  test('says cluster, role and name, whatever the subject says', () => {
    const identity = { cluster: 'prod.eu', role: 'agent', name: 'host-7.rack_2' } as const;
    const uris = ['https://example.org/', identityUri(identity)];
    expect(identityIn(named({ uris, units: ['origin'], commonName: 'x' }))).toEqual(identity);
  });

  test.each([
    ['spiffe://prod/root/a'],
    ['spiffe://prod/agent'],
    ['spiffe://prod/agent/a/b'],
    ['spiffe://prod/agent/'],
    ['spiffe:///agent/a'],
    ['spiffe://prod/Agent/a'],
    ['spiffe://prod/agent/a?role=origin'],
    ['spiffe://prod/agent/a#origin'],
    ['spiffe://prod/agent/a%2Fb'],
    ['spiffe://prod/agent/..'],
    ['spiffe://prod/agent/a\n'],
    [`spiffe://prod/agent/${'a'.repeat(65)}`],
    ['spiffe://cluster.local/ns/shoal/sa/origin'],
  ])('%j says nothing, and the subject does not help', (uri) => {
    expect(identityIn(named({ uris: [uri], units: ['origin'], commonName: 'a' }))).toContain('names no role');
  });

  test('two of them say nothing', () => {
    const uris = ['spiffe://c/agent/a', 'spiffe://c/origin/a'];
    expect(identityIn(named({ uris }))).toContain('2 SPIFFE URIs');
  });
});

describe('without one', () => {
  test('an OU that is a role, and the CN', () => {
    const found = identityIn(named({ units: ['shoal', 'tracker'], commonName: 'tracker-1' }));
    expect(found).toEqual({ cluster: undefined, role: 'tracker', name: 'tracker-1' });
  });

  test.each([
    ['no OU', { commonName: 'a' }, 'names no role'],
    ['an OU that is no role', { units: ['Origin', 'origins'], commonName: 'a' }, 'names no role'],
    ['two roles', { units: ['agent', 'origin'], commonName: 'a' }, '2 roles'],
    ['no CN', { units: ['agent'] }, 'no name'],
    ['a CN that is no name', { units: ['agent'], commonName: 'a/b' }, 'no name'],
  ])('%s: nobody', (_, naming, why) => {
    expect(identityIn(named(naming))).toContain(why);
  });
});
