/** Whom zones are given: the near first, some far ones for a few, and never nobody while somebody is there. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isFar, zoneOf } from '../place.ts';
import { prng } from '../prng.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { testDigest, testMeta, testPeer } from './fixtures.ts';
import { Handout } from './handout.ts';
import { crossingMs, crossingsMax, crossLinks, crossLinksAlone, handoutLimits } from './limits.ts';

const blob = testDigest(1);

function make(seed = 1): Handout {
  return new Handout({ prng: prng(seed), leaseMs: 600_000, intervalMs: 10_000, limits: handoutLimits });
}

function at(no: number, zone: string, role: PeerAddress['role'] = 'agent'): PeerAddress {
  return { ...testPeer(no, role), zone };
}

type Asked = { readonly seek?: number; readonly nowMs?: number; readonly state?: 'want' | 'have' };

function asks(handout: Handout, self: PeerAddress, { seek = 16, nowMs = 0, state = 'want' }: Asked = {}) {
  handout.handle({ kind: 'announce', request: { self, entries: [{ digest: blob, state, seek }] } }, nowMs);
  const [out] = handout.drain();
  if (out?.kind !== 'reply') throw new Error('no reply');
  return out.reply.answers[0]?.peers ?? [];
}

/** An origin in `zone`, which everybody may be given. */
function withOrigin(zone: string, seed = 1): Handout {
  const handout = make(seed);
  const entries = [{ digest: blob, state: 'have', seek: 0, meta: testMeta(5) }] as const;
  handout.handle({ kind: 'announce', request: { self: at(60_000, zone, 'origin'), entries } }, 0);
  handout.drain();
  return handout;
}

const far = (self: PeerAddress, peers: readonly PeerAddress[]) => peers.filter((peer) => isFar(self.zone, peer.zone));

describe('handout: zones', () => {
  test('a few of each zone are given others, the rest their own, and a few more later, should those hang', () => {
    const handout = withOrigin('a');
    const zones = ['a', 'b', 'c'];
    const crossed = new Map<string, number>();
    for (let no = 0; no < 150; no++) {
      const self = at(no, zones[no % 3] as string);
      const some = far(self, asks(handout, self));
      if (some.length > 0) crossed.set(self.zone, (crossed.get(self.zone) ?? 0) + 1);
      expect(some.length).toBeLessThanOrEqual(no < 6 ? crossLinksAlone : crossLinks);
    }
    for (const zone of zones) {
      expect(crossed.get(zone)).toBeGreaterThanOrEqual(1);
      expect(crossed.get(zone)).toBeLessThanOrEqual(crossingsMax + 1);
    }
    const late = Array.from({ length: 50 }, (_, i) => at(3 * i + 1, 'b'));
    const again = late.filter((self) => far(self, asks(handout, self, { nowMs: crossingMs })).length > 0);
    expect(again).toHaveLength(1);
  });

  test('who crosses is given those of its zone who crossed before it', () => {
    const handout = withOrigin('a');
    for (let no = 0; no < 40; no++) asks(handout, at(no, 'b'), { seek: 0 });
    const [first, second] = [at(0, 'b'), at(1, 'b')];
    expect(far(first, asks(handout, first))).not.toHaveLength(0);
    expect(asks(handout, second, { seek: 8 }).map(({ node }) => node)).toContain(first.node);
  });

  test('the own rack comes first, and has half of the places at most while there are others', () => {
    const handout = withOrigin('a');
    for (let no = 0; no < 400; no++) asks(handout, at(no, `b/r${no % 4}`), { seek: 0 });
    let same = 0;
    for (let no = 0; no < 100; no++) {
      const self = at(no, `b/r${no % 4}`);
      const near = asks(handout, self, { nowMs: no }).filter((peer) => zoneOf(peer.zone) === 'b');
      const racked = near.filter((peer) => peer.zone === self.zone).length;
      expect(racked).toBeLessThanOrEqual((near.length + 2) >> 1);
      same += racked / near.length / 100;
    }
    // A quarter of the zone is in the rack.
    expect(same).toBeGreaterThan(0.35);
  });

  test.each([
    ['one that is alone in its zone', 'z', ['a', 'b']],
    ['one that says no zone', '', ['a', 'b']],
    ['one with a zone among those that say none', 'z', ['']],
  ])('%s is given others', (_, zone, zones) => {
    const handout = withOrigin(zones[0] as string);
    for (let no = 0; no < 60; no++) asks(handout, at(no, zones[no % zones.length] as string), { seek: 0 });
    const peers = asks(handout, at(1_000, zone));
    expect(peers.length).toBeGreaterThanOrEqual(crossLinksAlone);
  });

  test('a host that says another zone than before is counted where it is', () => {
    const handout = withOrigin('a');
    for (let no = 0; no < 20; no++) asks(handout, at(no, 'b'), { seek: 0 });
    asks(handout, at(0, 'a'), { seek: 0 });
    for (let no = 100; no < 110; no++) asks(handout, at(no, 'b'));
    const late = asks(handout, at(200, 'b'));
    expect(late.filter(({ zone }) => zone === 'a')).toEqual([]);
    handout.handle({ kind: 'leave', node: at(0, 'a').node }, 0);
    expect(handout.stats.nodes).toBe(31);
  });
});

const places = ['', 'a', 'a/1', 'a/2', 'b', 'b/1', 'c'];
const step = fc.record({
  no: fc.nat(30),
  place: fc.constantFrom(...places),
  seek: fc.constantFrom(0, 1, 4, 16),
  state: fc.constantFrom('want' as const, 'have' as const),
  afterMs: fc.constantFrom(0, 10, 1_500),
});

test('whatever comes: nobody gets itself, or one twice, or more than asked for; and somebody while anybody else can be dialled', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.nat(1000), (steps, seed) => {
      const handout = withOrigin('a', seed);
      let nowMs = 0;
      for (const { no, place, seek, state, afterMs } of steps) {
        nowMs += afterMs;
        const self = at(no, place);
        const nodes = asks(handout, self, { seek, nowMs, state }).map(({ node }) => node);
        expect(nodes).not.toContain(self.node);
        expect(new Set(nodes).size).toBe(nodes.length);
        expect(nodes.length).toBeLessThanOrEqual(seek);
      }
      // Within a while every zone has somebody who is given others, or an origin.
      const zones = new Set(steps.map(({ place }) => zoneOf(place)));
      for (const zone of zones) {
        const self = [0, 1, 2, 3].map((i) => at(2_000 + i, zone));
        nowMs += 4 * crossingMs;
        const given = self.flatMap((one) => [0, 1, 2].flatMap(() => asks(handout, one, { seek: 8, nowMs })));
        expect(given.some(({ role, zone: theirs }) => role === 'origin' || zoneOf(theirs) !== zone)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
