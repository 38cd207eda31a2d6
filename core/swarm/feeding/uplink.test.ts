/** The uplink scheduler, seen from outside: who is granted what, and when credit is free again. */

import { expect, test } from 'vitest';
import { type TestBlob, testBlob } from '../testing/cluster.ts';
import { address, Solo, type SoloOptions } from '../testing/solo.ts';
import type { PolicyConfig } from '../types.ts';

const unit = 256 * 1024;
const idle = { inPieces: 0, inBytes: 0 };

type Setup = { solo: Solo; links: number[] };

/** A seeder of `blobs`, and `count` neighbours that have opened all of them and want nothing yet. */
function seeder(count: number, options: SoloOptions = {}, blobs: TestBlob[] = [testBlob(0, 100)]): Setup {
  const solo = new Solo(options);
  for (const blob of blobs) solo.seed(blob);
  const links = Array.from({ length: count }, (_, i) => solo.accept(address(i + 1)));
  for (const link of links) {
    for (const [swarm, { digest }] of blobs.entries()) {
      solo.say(link, { kind: 'open', swarm, digest, token: 0, empty: false, needHashes: false });
    }
  }
  return { solo, links };
}

function want(solo: Solo, link: number, count: number, load = idle): void {
  solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count }], ...load });
}

function grants(solo: Solo, link: number): number {
  return solo.allSent(link, 'grant').length;
}

function request(solo: Solo, link: number, piece: number, count = 50): void {
  const { grant, swarm } = solo.sent(link, 'grant')!;
  solo.say(link, { kind: 'request', grant, swarm, piece, hedge: false, count, inPieces: 1, inBytes: unit });
}

/** All `links` want `count` pieces at the same time; how many grants each gets of that. */
function wantTogether(solo: Solo, links: readonly number[], count: number, load = idle): number[] {
  for (const link of links) want(solo, link, count, load);
  const answered = new Set<string>();
  // Each grant so far is passed: in the end all rest, and wake together.
  for (let more = true; more; ) {
    more = false;
    for (const link of links) {
      for (const { grant, swarm } of solo.allSent(link, 'grant')) {
        if (answered.has(`${link} ${grant}`)) continue;
        answered.add(`${link} ${grant}`);
        solo.say(link, { kind: 'pass', grant, swarm, reason: 'busy', count, ...load });
        more = true;
      }
    }
  }
  expect(solo.swarm.totals).toMatchObject({ outPieces: 0, outBytes: 0 });
  const before = links.map((link) => grants(solo, link));
  solo.pass(251);
  return links.map((link, i) => grants(solo, link) - before[i]!);
}

const policy = (p: Partial<PolicyConfig>): SoloOptions => ({ policy: p });

test('grants go to different neighbours until the load reaches the target', () => {
  const { solo, links } = seeder(8);
  // Nobody else sends to them: each grant weighs one.
  expect(wantTogether(solo, links, 50).sort()).toEqual([0, 0, 0, 1, 1, 1, 1, 1]);
});

test('a neighbour that others send to weighs less', () => {
  const { solo, links } = seeder(8);
  // A quarter each: twenty make the load, spread evenly.
  const granted = wantTogether(solo, links, 50, { inPieces: 3, inBytes: 3 * unit });
  expect(granted.reduce((sum, count) => sum + count, 0)).toBe(20);
  expect(Math.max(...granted)).toBe(3);
});

test('a single neighbour may have all of the target; two halve it', () => {
  const one = seeder(1);
  want(one.solo, one.links[0]!, 50);
  expect(grants(one.solo, one.links[0]!)).toBe(5);
  const two = seeder(2);
  expect(wantTogether(two.solo, two.links, 50).sort()).toEqual([2, 3]);
});

test('never more grants than the neighbour wants pieces', () => {
  const { solo, links } = seeder(1);
  want(solo, links[0]!, 2);
  expect(grants(solo, links[0]!)).toBe(2);
});

test('the least busy downlink first', () => {
  const { solo, links } = seeder(4, policy({ uplinkTarget: 1 }));
  const busy = { inPieces: 0, inBytes: 9 * unit };
  want(solo, links[0]!, 50, busy);
  for (const link of links.slice(1)) want(solo, link, 50, { inPieces: 0, inBytes: (link + 1) * unit });
  expect(grants(solo, links[0]!)).toBe(1);
  request(solo, links[0]!, 3);
  solo.say(links[0]!, { kind: 'receipt', swarm: 0, piece: 3, count: 50, ...busy });
  expect(links.map((link) => grants(solo, link))).toEqual([1, 1, 0, 0]);
});

test('outstanding bytes are capped by what the uplink carries in 800 ms', () => {
  const { solo, links } = seeder(8, { ...policy({ uplinkTarget: 100 }), uplinkBytesPerS: 30 * unit });
  for (const link of links) want(solo, link, 50);
  expect(solo.swarm.totals.outPieces).toBe(24);
});

test('blobs take turns', () => {
  const blobs = [testBlob(0, 100), testBlob(1, 100), testBlob(2, 100)];
  const { solo, links } = seeder(2, policy({ uplinkTarget: 6 }), blobs);
  for (const link of links) {
    const swarms = [0, 1, 2].map((swarm) => ({ swarm, count: 50 }));
    solo.say(link, { kind: 'wants', swarms, ...idle });
  }
  const by = [0, 0, 0];
  for (const link of links) for (const { swarm } of solo.allSent(link, 'grant')) by[swarm]! += 1;
  expect(by).toEqual([2, 2, 2]);
});

test('credit is free on receipt, not before; after a pass for want of room the neighbour rests 250 ms or until there is some', () => {
  const { solo, links } = seeder(1, policy({ uplinkTarget: 1 }));
  const link = links[0]!;
  want(solo, link, 50);
  request(solo, link, 7);
  expect(solo.out.at(-1)).toMatchObject({ kind: 'feed', piece: 7, length: unit });
  solo.pass(500);
  expect(grants(solo, link)).toBe(1);
  solo.say(link, { kind: 'receipt', swarm: 0, piece: 7, count: 49, ...idle });
  expect(grants(solo, link)).toBe(2);
  const pass = (): void => {
    solo.say(link, {
      kind: 'pass',
      grant: solo.sent(link, 'grant')!.grant,
      swarm: 0,
      reason: 'busy',
      count: 49,
      ...full,
    });
  };
  const full = { inPieces: 0, inBytes: 4 * unit };
  pass();
  expect(grants(solo, link)).toBe(2);
  solo.pass(249);
  expect(grants(solo, link)).toBe(2);
  solo.pass(2);
  expect(grants(solo, link)).toBe(3);
  pass();
  want(solo, link, 48, { inPieces: 0, inBytes: 3 * unit });
  expect(grants(solo, link)).toBe(4);
});

test('a grant that is not answered expires; a late request is served all the same; one used twice is a fault', () => {
  const { solo, links } = seeder(2, policy({ uplinkTarget: 1 }));
  want(solo, links[0]!, 50);
  expect(grants(solo, links[0]!)).toBe(1);
  want(solo, links[1]!, 50);
  solo.pass(1_600);
  expect(grants(solo, links[0]!)).toBe(1);
  expect(grants(solo, links[1]!)).toBe(1);
  request(solo, links[0]!, 5);
  expect(solo.out.some((o) => o.kind === 'feed' && o.link === links[0] && o.piece === 5)).toBe(true);
  request(solo, links[0]!, 6);
  expect(solo.faultOf(links[0]!)).toMatch(/used twice/);
});

test('a neighbour that never answers is closed, and its credit is not lost', () => {
  const { solo, links } = seeder(1);
  want(solo, links[0]!, 50);
  solo.pass(10_000);
  expect(solo.out.some((o) => o.kind === 'close' && o.link === links[0] && o.whose === 'slow')).toBe(true);
  expect(solo.swarm.totals).toMatchObject({ links: 0, outPieces: 0, outBytes: 0 });
});

test('a neighbour that talks but answers no grant is closed as slow', () => {
  const { solo, links } = seeder(1);
  for (let turn = 0; turn < 20; turn += 1) {
    want(solo, links[0]!, 50);
    solo.pass(1_600);
  }
  expect(solo.out.filter((o) => o.kind === 'close')).toMatchObject([{ why: 'grants are not answered', whose: 'slow' }]);
  // Five at a time; eight times in a row are enough.
  expect(grants(solo, links[0]!)).toBeLessThanOrEqual(8 * 5);
  expect(solo.swarm.totals).toMatchObject({ outPieces: 0, outBytes: 0, links: 0 });
});

test('a neighbour that asks and talks but receipts nothing is closed as slow', () => {
  const { solo, links } = seeder(1, policy({ uplinkTarget: 1 }));
  want(solo, links[0]!, 50);
  request(solo, links[0]!, 3);
  for (let ms = 0; ms < 7_000; ms += 500) {
    solo.pass(500);
    want(solo, links[0]!, 50, { inPieces: 1, inBytes: unit });
  }
  expect(solo.out.filter((o) => o.kind === 'close')).toMatchObject([{ why: 'no receipt', whose: 'slow' }]);
  expect(solo.swarm.totals).toMatchObject({ outPieces: 0, outBytes: 0, links: 0 });
});

test('closing a swarm frees its credit and takes back what is not sent', () => {
  const { solo, links } = seeder(2, policy({ uplinkTarget: 1 }));
  want(solo, links[0]!, 50);
  request(solo, links[0]!, 5);
  want(solo, links[1]!, 50);
  const outputs = solo.say(links[0]!, { kind: 'close', swarm: 0 });
  expect(outputs.find((o) => o.kind === 'unfeed')).toMatchObject({ link: links[0], grant: 1, piece: 5 });
  expect(grants(solo, links[1]!)).toBe(1);
});

test('near the end the target is the lower one', () => {
  const { solo, links } = seeder(8);
  for (const link of links) want(solo, link, 4);
  expect(solo.swarm.totals.outPieces).toBe(3);
});

test('an origin names each piece once, from the lowest; then it leaves the choice', () => {
  const { solo, links } = seeder(4, { role: 'origin' }, [testBlob(0, 30)]);
  const named: number[] = [];
  for (let i = 0; i < 40; i += 1) {
    const link = links[i % 4]!;
    const before = solo.allSent(link, 'grant').length;
    want(solo, link, 1);
    const all = solo.allSent(link, 'grant');
    if (all.length === before) continue;
    const { piece } = all.at(-1)!;
    if (piece >= 0) named.push(piece);
    const taken = piece >= 0 ? piece : 3;
    request(solo, link, taken, 0);
    solo.say(link, { kind: 'receipt', swarm: 0, piece: taken, count: 0, ...idle });
  }
  expect(named.slice().sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  expect(named.every((piece, i) => piece < i + 16)).toBe(true);
  expect(solo.sent(links[0]!, 'grant')!.piece).toBe(-1);
});

test('a named piece that is passed returns to the unsent, one that is held elsewhere does not', () => {
  const { solo, links } = seeder(1, { role: 'origin', ...policy({ uplinkTarget: 1 }) }, [testBlob(0, 1)]);
  const link = links[0]!;
  const answer = (reason: 'busy' | 'held'): void => {
    const { grant } = solo.sent(link, 'grant')!;
    solo.say(link, { kind: 'pass', grant, swarm: 0, reason, count: 1, ...idle });
    solo.pass(251);
  };
  want(solo, link, 1);
  expect(solo.sent(link, 'grant')!.piece).toBe(0);
  answer('busy');
  expect(solo.sent(link, 'grant')!.piece).toBe(0);
  answer('held');
  expect(solo.sent(link, 'grant')!.piece).toBe(-1);
});

test('the named piece must be the one requested', () => {
  const { solo, links } = seeder(1, { role: 'origin' });
  want(solo, links[0]!, 1);
  const { grant, piece } = solo.sent(links[0]!, 'grant')!;
  solo.say(links[0]!, { kind: 'request', grant, swarm: 0, piece: (piece + 1) % 100, hedge: false, count: 1, ...idle });
  expect(solo.faultOf(links[0]!)).toMatch(/named/);
});

test('a piece that was lost here is answered by missing', () => {
  const { solo, links } = seeder(1);
  want(solo, links[0]!, 50);
  solo.input({ kind: 'lost', blob: 0, piece: 9 });
  request(solo, links[0]!, 9);
  expect(solo.sent(links[0]!, 'missing')).toMatchObject({ piece: 9 });
  expect(solo.out.some((o) => o.kind === 'feed')).toBe(false);
});

test('a long round trip is filled with more grants', () => {
  const outstandingAfter = (answerMs: number): number => {
    const { solo, links } = seeder(8, { ...policy({ uplinkTarget: 1 }), uplinkBytesPerS: 40 * unit });
    for (const link of links) want(solo, link, 50);
    const answered = new Set<string>();
    for (let round = 0; round < 12; round += 1) {
      solo.pass(answerMs);
      for (const link of links) {
        for (const { grant, swarm, piece: named } of solo.allSent(link, 'grant')) {
          if (answered.has(`${link} ${grant}`)) continue;
          answered.add(`${link} ${grant}`);
          const piece = named < 0 ? answered.size % 40 : named;
          solo.say(link, { kind: 'request', grant, swarm, piece, hedge: false, count: 50, inPieces: 1, inBytes: unit });
          solo.say(link, { kind: 'receipt', swarm, piece, count: 50, ...idle });
        }
      }
    }
    return solo.swarm.totals.outPieces;
  };
  expect(outstandingAfter(1)).toBeLessThanOrEqual(2);
  expect(outstandingAfter(80)).toBeGreaterThan(3);
});
