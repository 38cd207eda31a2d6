/** Feeders in other zones give what no agent of the own one has; anything, where nothing comes. */

import { describe, expect, test } from 'vitest';
import { farLinksMax, farPatienceMs } from '../limits.ts';
import { testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const blob = testBlob(0, 40);
const near = { ...address(1), zone: 'a/1' };
const origin = { ...address(2, 'origin'), zone: 'b' };
const elsewhere = { ...address(3), zone: 'b' };

/** We are in `zone`; the one near us has `have`, the origin in another zone everything. */
function pulling(zone: string, have: readonly number[] | 'all') {
  const solo = new Solo({ zone });
  solo.pull(blob, [near, origin]);
  const links = [near, origin].map((peer) => solo.answer(peer)) as [number, number];
  const nearSwarm = solo.opened(links[0], blob, have);
  const farSwarm = solo.opened(links[1], blob, 'all');
  return { solo, near: { link: links[0], swarm: nearSwarm }, far: { link: links[1], swarm: farSwarm } };
}

type Feeder = { readonly link: number; readonly swarm: number };
function grants(solo: Solo, { link, swarm }: Feeder, grant: number, piece = -1): number | undefined {
  const before = solo.allSent(link, 'request').length;
  solo.say(link, { kind: 'grant', grant, swarm, piece });
  return solo.allSent(link, 'request')[before]?.piece;
}

describe('a feeder in another zone', () => {
  test('is asked for what the near one lacks, whatever it names', () => {
    const has = Array.from({ length: 38 }, (_, piece) => piece);
    const { solo, far } = pulling('a', has);
    expect(grants(solo, far, 1, 5)).toBeUndefined();
    expect(solo.sent(far.link, 'pass')?.reason).toBe('held');
    expect([grants(solo, far, 2), grants(solo, far, 3)].sort()).toEqual([38, 39]);
    expect(grants(solo, far, 4)).toBeUndefined();
  });

  test('is asked for nothing that the near one says to have since', () => {
    const { solo, near: feeder, far } = pulling('a', []);
    solo.say(feeder.link, { kind: 'haves', swarm: feeder.swarm, pieces: [7], all: false });
    expect(grants(solo, far, 1, 7)).toBeUndefined();
    expect(grants(solo, far, 2, 8)).toBe(8);
    solo.say(feeder.link, { kind: 'gone', swarm: feeder.swarm, pieces: [7] });
    expect(grants(solo, far, 3, 7)).toBe(7);
    solo.say(feeder.link, { kind: 'haves', swarm: feeder.swarm, pieces: [], all: true });
    expect(grants(solo, far, 4)).toBeUndefined();
  });

  test('is asked for anything once nothing has come for a while, whatever the near one says', () => {
    const { solo, far } = pulling('a', 'all');
    expect(grants(solo, far, 1)).toBeUndefined();
    const seeks = () => solo.out.filter(({ kind }) => kind === 'seek').length;
    const before = seeks();
    for (let ms = 0; ms <= farPatienceMs + 500; ms += 250) solo.pass(250);
    expect(grants(solo, far, 2)).toBeGreaterThanOrEqual(0);
    expect(seeks()).toBeGreaterThan(before);
  });

  test('is one like any other to who says no zone', () => {
    const { solo, far } = pulling('', 'all');
    expect(grants(solo, far, 1)).toBeGreaterThanOrEqual(0);
  });
});

describe('links into other zones', () => {
  const dialled = (solo: Solo) => solo.out.flatMap((out) => (out.kind === 'dial' ? [out.peer.node] : []));

  test('are a few, beside those of the zone', () => {
    const solo = new Solo({ zone: 'a' });
    const others = Array.from({ length: 10 }, (_, i) => ({ ...elsewhere, ...address(10 + i), zone: 'b' }));
    solo.pull(blob, [near, ...others]);
    expect(dialled(solo)).toContain(near.node);
    expect(dialled(solo)).toHaveLength(1 + farLinksMax);
  });

  test('are not made because one of the own zone names somebody', () => {
    const { solo, near: feeder } = pulling('a', [1]);
    const another = { ...address(4), zone: 'a/2' };
    solo.say(feeder.link, { kind: 'neighbours', swarm: feeder.swarm, peers: [elsewhere, another] });
    solo.pass(1_000);
    expect(dialled(solo)).toContain(another.node);
    expect(dialled(solo)).not.toContain(elsewhere.node);
  });
});
