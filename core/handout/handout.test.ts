import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AnnounceAnswer, AnnounceEntry, AnnounceReply } from '../contracts/tracker.ts';
import { prng } from '../prng.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { testDigest, testMeta, testPeer } from './fixtures.ts';
import { Handout } from './handout.ts';
import { handoutLimits, originReach } from './limits.ts';
import type { Cold, HandoutConfig } from './types.ts';

const blob = testDigest(1);
const origin = testPeer(1, 'origin');

function make(config: Partial<HandoutConfig> = {}): Handout {
  return new Handout({ prng: prng(1), leaseMs: 30_000, intervalMs: 10_000, limits: handoutLimits, ...config });
}

function announce(
  handout: Handout,
  self: PeerAddress,
  entries: readonly AnnounceEntry[],
  more: { nowMs?: number; held?: number; reset?: boolean } = {},
): { reply: AnnounceReply; cold: readonly Cold[] } {
  const { nowMs = 0, ...rest } = more;
  handout.handle({ kind: 'announce', request: { self, entries, ...rest } }, nowMs);
  const [out] = handout.drain();
  if (out?.kind !== 'reply') throw new Error('no reply');
  return out;
}

const want = (seek = 0, digest = blob): AnnounceEntry => ({ digest, state: 'want', seek });
const have = (digest = blob): AnnounceEntry => ({ digest, state: 'have', seek: 0 });

function ask(handout: Handout, self: PeerAddress, seek: number, nowMs = 0): AnnounceAnswer {
  handout.handle({ kind: 'ask', digest: blob, node: self.node, seek }, nowMs);
  const [out] = handout.drain();
  if (out?.kind !== 'answer') throw new Error('no answer');
  return out.answer;
}

describe('handout: what an announce does', () => {
  test('a blob of which nothing is known is cold; once located it is answered', () => {
    const handout = make();
    const { reply, cold } = announce(handout, testPeer(1), [want(8)]);
    expect(reply.answers).toEqual([]);
    expect(cold).toEqual([{ digest: blob, seek: 8 }]);
    handout.handle({ kind: 'located', digest: blob, meta: testMeta(5), origins: [origin] }, 1);
    expect(ask(handout, testPeer(1), 8, 1)).toEqual({ digest: blob, peers: [origin], meta: testMeta(5) });
    expect(announce(handout, testPeer(2), [want(8)], { nowMs: 1 }).reply.answers[0]!.peers).toHaveLength(2);
  });

  test('only entries that ask are answered', () => {
    const handout = make();
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    const { reply, cold } = announce(handout, testPeer(1), [want(0), have(testDigest(2)), want(4, testDigest(3))]);
    expect(reply.answers).toEqual([]);
    expect(cold).toEqual([{ digest: testDigest(3), seek: 4 }]);
  });

  test('metainfo is believed of origins only', () => {
    const handout = make();
    announce(handout, testPeer(1), [{ ...have(), meta: testMeta(6) }]);
    expect(handout.metaOf(blob)).toBeUndefined();
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    expect(handout.metaOf(blob)).toEqual(testMeta(5));
  });

  test('gone ends one lease, leave ends all, and the swarm ends with the last', () => {
    const handout = make();
    announce(handout, testPeer(1), [want(), want(0, testDigest(2))]);
    announce(handout, testPeer(2), [have()]);
    announce(handout, testPeer(1), [{ digest: blob, state: 'gone', seek: 0 }]);
    expect(handout.stats).toMatchObject({ leases: 2, swarms: 2, nodes: 2 });
    handout.handle({ kind: 'leave', node: testPeer(2).node }, 0);
    expect(handout.stats).toMatchObject({ leases: 1, swarms: 1, nodes: 1 });
    handout.handle({ kind: 'leave', node: 'unheard of' }, 0);
    announce(handout, testPeer(1), [], { reset: true });
    expect(handout.stats).toMatchObject({ leases: 0, swarms: 0, nodes: 1 });
  });

  test('an empty announce renews every lease of the node; silence ends them', () => {
    const handout = make();
    announce(handout, testPeer(1), [want(), want(0, testDigest(2))]);
    announce(handout, testPeer(2), [want()]);
    expect(handout.deadlineMs).toBe(30_000);
    announce(handout, testPeer(1), [], { nowMs: 20_000 });
    handout.handle({ kind: 'tick' }, 30_000);
    expect(handout.stats).toMatchObject({ leases: 2, nodes: 1 });
    expect(handout.deadlineMs).toBe(50_000);
    handout.handle({ kind: 'tick' }, 50_000);
    expect(handout.stats).toMatchObject({ leases: 0, nodes: 0, swarms: 0 });
    expect(handout.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('a mass expiry is spread over steps, and ends', () => {
    const handout = make();
    for (let node = 0; node < 30; node++)
      announce(
        handout,
        testPeer(node),
        Array.from({ length: 1000 }, (_, i) => have(testDigest(i))),
      );
    let steps = 0;
    while (handout.stats.leases > 0) {
      const before = handout.stats.leases;
      handout.handle({ kind: 'tick' }, 30_000);
      expect(before - handout.stats.leases).toBeLessThanOrEqual(5000);
      steps++;
    }
    expect(steps).toBeGreaterThan(3);
    expect(handout.stats).toMatchObject({ nodes: 0, swarms: 0 });
  });

  test('a tracker that lost leases says so', () => {
    const handout = make();
    expect(announce(handout, testPeer(1), [want()], { held: 1 }).reply.resync).toBeUndefined();
    expect(announce(handout, testPeer(1), [], { held: 1 }).reply.resync).toBeUndefined();
    const restarted = make();
    expect(announce(restarted, testPeer(1), [], { held: 1 }).reply.resync).toBe(true);
    expect(announce(restarted, testPeer(1), [want()], { held: 1, reset: true }).reply.resync).toBeUndefined();
  });
});

describe('handout: limits', () => {
  test('beyond the limits there are answers, but no leases, and no resync', () => {
    const handout = make({ limits: { ...handoutLimits, leases: 3, swarms: 2, nodes: 3 } });
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    announce(handout, testPeer(1), [want(), want(0, testDigest(2))]);
    const full = announce(handout, testPeer(2), [want(4), want(0, testDigest(3))], { held: 2 });
    expect(full.reply.answers[0]!.peers).toHaveLength(2);
    expect(full.reply.resync).toBeUndefined();
    expect(handout.stats).toMatchObject({ leases: 3, swarms: 2, nodes: 3, refused: 2 });
    const stranger = announce(handout, testPeer(9), [want(4)], { held: 1 });
    expect(stranger.reply.answers[0]!.peers).toHaveLength(2);
    expect(handout.stats.nodes).toBe(3);
  });
});

describe('handout: limits of one client', () => {
  /** 80 leases in all, 30 of a client, 2 nodes of a client. */
  const limits = { leases: 80, swarms: 80, nodes: 100, client: { leases: 30, nodes: 2 } };
  const many = (from: number, count: number): AnnounceEntry[] =>
    Array.from({ length: count }, (_, i) => have(testDigest(from + i)));
  const limited = (more: Partial<HandoutConfig['limits']> = {}) => {
    const handout = make({ limits: { ...limits, ...more } });
    const of = (client: string, self: PeerAddress, entries: AnnounceEntry[], held?: number) => {
      handout.handle({ kind: 'announce', request: { self, entries, held }, client }, 0);
      const [out] = handout.drain();
      if (out?.kind !== 'reply') throw new Error('no reply');
      return out;
    };
    return { handout, of };
  };

  test('one client has so many leases and nodes, by however many names; others have theirs', () => {
    const { handout, of } = limited();
    expect(of('bogus', testPeer(1), many(0, 20)).refused).toBeUndefined();
    const more = of('bogus', testPeer(2), many(100, 1_000), 1_000);
    expect(more.refused).toEqual({ limit: 'client.leases', leases: 990 });
    // It would announce the same again, for nothing.
    expect(more.reply.resync).toBeUndefined();
    expect(of('bogus', testPeer(3), many(0, 5)).refused).toEqual({ limit: 'client.nodes', leases: 5 });
    expect(handout.stats).toMatchObject({ leases: 30, nodes: 2, clients: 1 });
    expect(of('honest', testPeer(4), many(0, 30)).refused).toBeUndefined();
    // What is given up makes room for more.
    of('bogus', testPeer(1), [{ digest: testDigest(0), state: 'gone', seek: 0 }]);
    expect(of('bogus', testPeer(1), many(500, 2)).refused).toEqual({ limit: 'client.leases', leases: 1 });
  });

  test('many clients that have much leave the last eighth to those that have little', () => {
    const { handout, of } = limited({ leases: 8_000, swarms: 8_000, client: { leases: 3_000, nodes: 2 } });
    for (let no = 0; no < 3; no++) of(`bogus ${no}`, testPeer(no), many(no * 10_000, 3_000));
    expect(handout.stats.leases).toBe(7_000);
    for (let no = 10; no < 30; no++)
      expect(of(`honest ${no}`, testPeer(no), many(90_000 + no, 7)).refused).toBeUndefined();
    expect(of('honest 9', testPeer(9), many(80_000, 12)).refused).toEqual({ limit: 'leases', leases: 4 });
  });

  test("whoever takes another's name has its leases counted as its own until that one speaks again", () => {
    const { handout, of } = limited();
    of('honest', testPeer(1), many(0, 10));
    expect(of('bogus', testPeer(1), many(100, 100)).refused).toMatchObject({ leases: 80 });
    expect(of('bogus', testPeer(2), many(0, 1)).refused).toMatchObject({ limit: 'client.leases' });
    // More is there than it knows of: it begins anew, and has room.
    expect(of('honest', testPeer(1), many(10, 5), 15)).toMatchObject({
      reply: { resync: true },
      refused: { limit: 'client.leases' },
    });
    handout.handle(
      {
        kind: 'announce',
        request: { self: testPeer(1), entries: many(0, 15), held: 15, reset: true },
        client: 'honest',
      },
      0,
    );
    expect(handout.drain()).toMatchObject([{ reply: { leaseMs: 30_000 }, refused: undefined }]);
    expect(handout.stats).toMatchObject({ leases: 15, clients: 2 });
    for (let steps = 0; steps < 3; steps++) handout.handle({ kind: 'tick' }, 30_000);
    expect(handout.stats).toMatchObject({ leases: 0, nodes: 0, clients: 0 });
  });
});

describe('handout: whom it hands out', () => {
  test('agrees with a plain model, whatever comes', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = prng(seed);
        const handout = make({ prng: random });
        const model = new Map<string, { expiresMs: number; blobs: Map<number, string> }>();
        let nowMs = 0;
        const inSwarm = (no: number, self: string): string[] =>
          [...model].filter(([id, node]) => id !== self && node.blobs.has(no)).map(([id]) => id);
        for (let step = 0; step < 300; step++) {
          nowMs += random.below(3000);
          for (const [id, node] of model) if (node.expiresMs <= nowMs) model.delete(id);
          const self = random.below(5) === 0 ? testPeer(random.below(2), 'origin') : testPeer(random.below(30));
          if (random.below(20) === 0) {
            handout.handle({ kind: 'leave', node: self.node }, nowMs);
            model.delete(self.node);
            continue;
          }
          const node = model.get(self.node) ?? { expiresMs: 0, blobs: new Map<number, string>() };
          node.expiresMs = nowMs + 30_000;
          model.set(self.node, node);
          const no = random.below(4);
          const state = (['want', 'have', 'gone'] as const)[random.below(3)]!;
          const seek = random.below(12);
          if (state === 'gone') node.blobs.delete(no);
          else node.blobs.set(no, state);
          const entry: AnnounceEntry = { digest: testDigest(no), state, seek };
          const { reply, cold } = announce(
            handout,
            self,
            [self.role === 'origin' ? { ...entry, meta: testMeta(no + 1) } : entry],
            { nowMs, held: node.blobs.size },
          );
          expect(reply.resync).toBeUndefined();
          expect(handout.stats.leases).toBe([...model.values()].reduce((sum, { blobs }) => sum + blobs.size, 0));
          expect(reply.answers.length + cold.length).toBe(seek > 0 && state !== 'gone' ? 1 : 0);
          for (const { peers } of reply.answers) {
            const others = inSwarm(no, self.node);
            expect(peers).toHaveLength(Math.min(seek, others.length));
            expect(new Set(peers.map((peer) => peer.node)).size).toBe(peers.length);
            for (const peer of peers) expect(others).toContain(peer.node);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a herd: an origin is rationed, everyone is handed out about equally, and the graph is whole', () => {
    const handout = make();
    const hosts = 3000;
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    const edges = new Map<string, string[]>([[origin.node, []]]);
    for (let i = 0; i < hosts; i++) {
      const self = testPeer(i);
      const { peers } = announce(handout, self, [want(16)]).reply.answers[0]!;
      for (const peer of peers) {
        edges.set(peer.node, [...(edges.get(peer.node) ?? []), self.node]);
        edges.set(self.node, [...(edges.get(self.node) ?? []), peer.node]);
      }
    }
    const atOrigin = edges.get(origin.node)!.length;
    expect(atOrigin).toBeGreaterThanOrEqual(originReach);
    expect(atOrigin).toBeLessThan(originReach * (2 + Math.log(hosts / originReach)));
    const degrees = [...edges].filter(([node]) => node !== origin.node).map(([, list]) => list.length);
    // Who came first is there for all rounds: 16 asked for and 16 * ln(hosts / 16) handed out to others; random choice alone gives far more.
    expect(Math.max(...degrees)).toBeLessThan(1.2 * 16 * (1 + Math.log(hosts / 16)));
    const reached = new Set<string>([origin.node]);
    for (const node of reached) for (const other of edges.get(node)!) reached.add(other);
    expect(reached.size).toBe(hosts + 1);
  });

  test('one complete peer in a herd is not handed to everyone, but who asks again soon gets it', () => {
    const handout = make();
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    const seeder = testPeer(5000);
    announce(handout, seeder, [have()]);
    for (let i = 0; i < 1000; i++) announce(handout, testPeer(i), [want()]);
    let given = 0;
    for (let i = 0; i < 1000; i++)
      if (ask(handout, testPeer(i), 16).peers.some((peer) => peer.node === seeder.node)) given++;
    expect(given).toBeGreaterThan(20);
    expect(given).toBeLessThan(150);
    let asked = 0;
    let met = { origin: false, seeder: false };
    while (!(met.origin && met.seeder) && asked < 20) {
      const { peers } = ask(handout, testPeer(7), 16);
      met = {
        origin: met.origin || peers.some((peer) => peer.node === origin.node),
        seeder: met.seeder || peers.some((peer) => peer.node === seeder.node),
      };
      asked++;
    }
    expect(asked).toBeLessThan(12);
  });

  test('many complete peers: most of a handout is complete, some still pull', () => {
    const handout = make();
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    for (let i = 0; i < 100; i++) announce(handout, testPeer(i), [i < 50 ? have() : want()]);
    const { peers } = ask(handout, testPeer(99), 16);
    const complete = peers.filter((peer) => Number.parseInt(peer.node, 16) < 50).length;
    expect(complete).toBeGreaterThanOrEqual(8);
    expect(complete).toBeLessThanOrEqual(12);
    expect(peers).toHaveLength(16);
  });

  test('an origin that was located and also announced is handed out once, and never to itself', () => {
    const handout = make();
    announce(handout, origin, [{ ...have(), meta: testMeta(5) }]);
    announce(handout, testPeer(1), [want()]);
    const located = [origin, testPeer(2, 'origin')];
    handout.handle({ kind: 'located', digest: blob, meta: testMeta(5), origins: located }, 0);
    expect(
      ask(handout, testPeer(1), 16)
        .peers.map((peer) => peer.node)
        .sort(),
    ).toEqual(located.map((peer) => peer.node).sort());
    expect(
      ask(handout, origin, 16)
        .peers.map((peer) => peer.node)
        .sort(),
    ).toEqual([testPeer(1).node, located[1]!.node].sort());
    announce(handout, testPeer(2, 'origin'), [want()]);
    expect(ask(handout, testPeer(2, 'origin'), 16).peers.map((peer) => peer.node)).not.toContain(
      testPeer(2, 'origin').node,
    );
  });
});

describe('handout: who holds a blob whole', () => {
  test('a node beside the one that asks, agent or origin, that has it and did not leave', () => {
    const handout = make();
    expect(handout.heldBeside(blob, testPeer(1).node)).toBe(false);
    announce(handout, testPeer(1), [want(8)]);
    expect(handout.heldBeside(blob, testPeer(1).node)).toBe(false);
    announce(handout, testPeer(1), [have()]);
    expect([1, 2].map((no) => handout.heldBeside(blob, testPeer(no).node))).toEqual([false, true]);
    announce(handout, origin, [have()]);
    expect(handout.heldBeside(blob, testPeer(1).node)).toBe(true);
    handout.handle({ kind: 'leave', node: origin.node }, 1);
    expect(handout.heldBeside(blob, testPeer(1).node)).toBe(false);
  });
});
