/** Readers out of the blue: what they wait for comes first, at no cost to others, and beside peers that know no wishes. */

import { expect, test } from 'vitest';
import { FEATURES } from '../../wire/frames.ts';
import { wishHopsMax } from '../../wire/limits.ts';
import {
  namedSpanMin,
  wishAheadMax,
  wishesAtOnceMax,
  wishPatienceMsMax,
  wishTwiceBytesMax,
  wishTwiceShare,
} from '../limits.ts';
import { Cluster, type ClusterOptions, type TestBlob, type TestNode, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const idle = { inPieces: 0, inBytes: 0 } as const;
const unit = 256 * 1024;
const uplinkBytesPerS = 25e6;
/** Whole swarms take a while where other work shares the cores. */
const slowMs = 120_000;
const pieceMs = (unit / uplinkBytesPerS) * 1000;

type Herd = {
  readonly cluster: Cluster;
  readonly blob: TestBlob;
  readonly origin: TestNode;
  readonly agents: TestNode[];
};

function herd(options: ClusterOptions, agents: number, pieces: number): Herd {
  const cluster = new Cluster({ uplinkBytesPerS, ...options });
  const blob = testBlob(0, pieces);
  const origin = cluster.addNode('origin');
  cluster.seed(origin, blob);
  const nodes = Array.from({ length: agents }, () => cluster.addNode('agent'));
  for (const node of nodes) cluster.pull(node, blob);
  return { cluster, blob, origin, agents: nodes };
}

/** How long after their readers came to `piece` all of `nodes` held it, at most. */
function waitMs({ cluster }: Herd, nodes: readonly TestNode[], piece: number): number {
  const sinceMs = cluster.nowMs;
  for (const node of nodes) cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: piece, end: piece + 1 });
  expect(cluster.run(60_000, () => nodes.every((node) => node.heldMs[piece] !== undefined))).toBe(true);
  for (const node of nodes) cluster.input(node, { kind: 'readerGone', blob: 0, reader: 1 });
  return Math.max(...nodes.map((node) => node.heldMs[piece] as number)) - sinceMs;
}

/** Agents to which no origin sends anything by itself. */
function apart({ cluster, agents, origin }: Herd): TestNode[] {
  const near = new Set(cluster.links().flatMap(([from, to]) => (to === origin ? [from] : [])));
  return agents.filter((agent) => !near.has(agent));
}

test('a reader out of the blue on a cold blob waits for its piece, not for all before it', () => {
  const swarm = herd({ seed: 1 }, 1, 1000);
  swarm.cluster.run(100);
  // Nine seconds, before there were wishes. What is on its way already comes first.
  for (const piece of [900, 100, 555, 777, 42]) {
    expect(waitMs(swarm, swarm.agents, piece)).toBeLessThan(100 + pieceMs);
  }
});

test('a reader that goes on from there finds its next pieces under way', () => {
  const { cluster, agents } = herd({ seed: 2 }, 1, 1000);
  const reader = agents[0] as TestNode;
  cluster.run(100);
  const sinceMs = cluster.nowMs;
  for (let at = 600; at < 660; at++) {
    cluster.input(reader, { kind: 'reader', blob: 0, reader: 1, at, end: 700 });
    while (reader.heldMs[at] === undefined && cluster.nowMs < 10_000) cluster.run(1);
  }
  // Line rate and a start.
  expect(cluster.nowMs - sinceMs).toBeLessThan(60 * pieceMs * 1.1 + 100);
});

test('a wish finds its way to an origin that is no neighbour, and to who has got the piece from it', {
  timeout: slowMs,
}, () => {
  for (const [seed, readers] of [
    [3, 1],
    [4, 15],
  ] as const) {
    const swarm = herd({ seed }, 50, 1200);
    swarm.cluster.run(300);
    const far = apart(swarm).slice(0, readers);
    expect(far).toHaveLength(readers);
    expect(waitMs(swarm, far, 1100)).toBeLessThan(500);
    // One copy serves all of them.
    expect(swarm.origin.sent[1100] ?? 0).toBeLessThan(3);
  }
});

test('hosts that go on from the same far offset read on together', { timeout: slowMs }, () => {
  const { cluster, agents } = herd({ seed: 7 }, 24, 600);
  const at = new Map(agents.map((agent) => [agent, 300]));
  const doneMs: number[] = [];
  for (const [node, piece] of at) cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: piece, end: 600 });
  while (doneMs.length < agents.length && cluster.nowMs < 20_000) {
    cluster.run(2);
    for (const [node, from] of at) {
      let to = from;
      while (to < 400 && node.heldMs[to] !== undefined) to++;
      if (to > from) cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: to, end: 600 });
      at.set(node, to);
      if (to < 400) continue;
      doneMs.push(cluster.nowMs);
      at.delete(node);
    }
  }
  // A hundred pieces each, in little more than the 300 before them take; 4.3 s where what comes next is not named.
  expect(doneMs).toHaveLength(agents.length);
  expect(doneMs.at(-1)).toBeLessThan(350 * pieceMs);
});

test('all hosts at the same far offset: an origin gives its pieces about once all the same', {
  timeout: slowMs,
}, () => {
  const swarm = herd({ seed: 5 }, 40, 300);
  const { cluster, agents, origin } = swarm;
  for (const node of agents) cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: 200, end: 300 });
  expect(cluster.run(60_000, () => agents.every((node) => node.completeMs.has(0)))).toBe(true);
  const sent = origin.sent.reduce((sum, count) => sum + count, 0);
  expect(sent).toBeLessThan(1.35 * 300);
  for (let piece = 200; piece < 204; piece++) expect(origin.sent[piece]).toBeLessThan(4);
});

test('peers that know no wishes are told of none, and pull and feed as ever', { timeout: slowMs }, () => {
  const cluster = new Cluster({ seed: 6, uplinkBytesPerS });
  const blob = testBlob(0, 300);
  const nodes = [
    ...[true, false].map((wishes) => cluster.addNode('origin', { wishes })),
    ...Array.from({ length: 20 }, (_, i) => cluster.addNode('agent', { wishes: i % 2 === 0 })),
  ];
  const knows = (node: TestNode): boolean => nodes.indexOf(node) % 2 === 0;
  let told = 0;
  cluster.onMessage = (from, to, message) => {
    if (message.kind !== 'wishes') return;
    told += 1;
    expect(knows(from) && knows(to)).toBe(true);
  };
  for (const origin of nodes.slice(0, 2)) cluster.seed(origin, blob);
  for (const node of nodes.slice(2)) {
    cluster.pull(node, blob);
    cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: 200, end: 300 });
  }
  expect(cluster.run(60_000, () => nodes.slice(2).every((node) => node.completeMs.has(0)))).toBe(true);
  expect(told).toBeGreaterThan(0);
  expect(nodes.flatMap((node) => node.faults)).toEqual([]);
});

test('one that wishes without end for pieces all over costs a herd in order next to nothing', {
  timeout: slowMs,
}, () => {
  const lastMs = (seed: number, wishes: boolean): number => {
    const { cluster, agents } = herd({ seed }, 20, 256);
    const [liar, ...others] = agents as [TestNode, ...TestNode[]];
    for (const node of others) cluster.input(node, { kind: 'reader', blob: 0, reader: 1, at: 0, end: 256 });
    const lie = (): void => {
      for (const [link] of liar.far) {
        const pieces = Array.from({ length: 8 }, () => cluster.prng.below(256));
        if ((link & 1) === 0)
          cluster.forge(liar, link, { kind: 'wishes', swarm: 0, wishes: pieces.map((piece) => ({ piece, hops: 2 })) });
      }
    };
    if (wishes) for (let ms = 100; ms < 5_000; ms += 10) cluster.at(ms, lie);
    expect(cluster.run(120_000, () => others.every((node) => node.completeMs.has(0)))).toBe(true);
    expect(others.flatMap((node) => node.faults)).toEqual([]);
    return Math.max(...others.map((node) => node.completeMs.get(0) as number));
  };
  const sum = (wishes: boolean): number => [1, 2, 3].reduce((ms, seed) => ms + lastMs(seed, wishes), 0);
  expect(sum(true) / sum(false)).toBeLessThan(1.05);
});

// ---- the puller ----------------------------------------------------------------------------------

const blob = testBlob(0, 400);

test('what is wished for: the next pieces of readers that began elsewhere or jumped, while nobody sends them', () => {
  const solo = new Solo();
  const from = address(1, 'origin');
  solo.pull(blob, [from]);
  const link = solo.answer(from, FEATURES.wishes);
  solo.opened(link, blob, 'all');
  const read = (at: number, reader = 1): void => void solo.input({ kind: 'reader', blob: 0, reader, at, end: 400 });
  const wishes = (): number[] | undefined => solo.sent(link, 'wishes')?.wishes.map(({ piece }) => piece);
  const send = (piece: number): void => {
    const grant = solo.allSent(link, 'request').length;
    solo.say(link, { kind: 'grant', grant, swarm: 0, piece });
    solo.input({ kind: 'arrived', link, swarm: 0, piece, slot: 1 });
    solo.input({ kind: 'verified', blob: 0, piece, link, verdict: 'held' });
  };
  read(0);
  send(0);
  read(1);
  // In order.
  expect(wishes()).toBeUndefined();
  read(300);
  expect(wishes()).toEqual([300, 301, 302, 303]);
  expect(solo.sent(link, 'wishes')?.wishes[0]?.hops).toBe(wishHopsMax);
  solo.say(link, { kind: 'grant', grant: 1, swarm: 0, piece: 300 });
  // It is on its way: the next one is wished for.
  expect(wishes()).toEqual([301, 302, 303, 304]);
  read(50, 2);
  expect(wishes()).toEqual([301, 50, 302, 51, 303, 52, 304, 53]);
  solo.input({ kind: 'readerGone', blob: 0, reader: 1 });
  solo.input({ kind: 'readerGone', blob: 0, reader: 2 });
  expect(wishes()).toEqual([]);
  expect(wishAheadMax).toBe(4);
});

test('a piece that a neighbour holds is asked of it, not of an origin, and first', () => {
  const solo = new Solo({ seed: 3 });
  const peers = [address(1, 'origin'), address(2), address(3)];
  solo.pull(blob, peers);
  const [origin, holder, other] = peers.map((peer) => solo.answer(peer, FEATURES.wishes)) as [number, number, number];
  solo.opened(origin, blob, 'all');
  solo.opened(holder, blob, [5, 6, 7, 200]);
  solo.opened(other, blob, [5, 6, 7]);
  solo.input({ kind: 'reader', blob: 0, reader: 1, at: 199, end: 201 });
  solo.pass(30);
  const pieces = (link: number): number[] | undefined => solo.sent(link, 'wishes')?.wishes.map(({ piece }) => piece);
  expect(pieces(origin)).toEqual([199]);
  expect(pieces(holder)).toEqual([199, 200]);
  expect(pieces(other)).toEqual([199]);
  solo.say(holder, { kind: 'grant', grant: 0, swarm: 0, piece: -1 });
  expect(solo.sent(holder, 'request')?.piece).toBe(200);
});

test("a neighbour's wish is passed on with a hop less, to an origin where there is one, and asked for first", () => {
  const solo = new Solo();
  const peers = [address(1, 'origin'), address(2)];
  solo.pull(blob, peers);
  const [origin, holder] = peers.map((peer) => solo.answer(peer, FEATURES.wishes)) as [number, number];
  solo.opened(origin, blob, 'all');
  solo.opened(holder, blob, [5, 6, 250]);
  const link = solo.accept(address(9), FEATURES.wishes);
  solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
  const wishes = [
    { piece: 300, hops: 2 },
    { piece: 301, hops: 0 },
    { piece: 250, hops: 1 },
  ];
  solo.say(link, { kind: 'wishes', swarm: 0, wishes });
  solo.pass(30);
  expect(solo.sent(origin, 'wishes')?.wishes).toEqual([{ piece: 300, hops: 1 }]);
  expect(solo.sent(holder, 'wishes')?.wishes).toEqual([{ piece: 250, hops: 0 }]);
  solo.say(holder, { kind: 'grant', grant: 0, swarm: 0, piece: -1 });
  expect(solo.sent(holder, 'request')?.piece).toBe(250);
  solo.input({ kind: 'arrived', link: holder, swarm: 0, piece: 250, slot: 1 });
  solo.input({ kind: 'verified', blob: 0, piece: 250, link: holder, verdict: 'held' });
  // At once, though others hear of it with the next batch.
  expect([...(solo.sent(link, 'haves')?.pieces ?? [])]).toEqual([250]);
});

// ---- the feeder ----------------------------------------------------------------------------------

type Setup = { readonly solo: Solo; readonly links: number[] };

/** An origin and pullers that want all of it; the load allows `target` grants. */
function origin(pullers: number, target = 1): Setup {
  const solo = new Solo({ role: 'origin', policy: { uplinkTarget: target, uplinkTargetEnd: target } });
  solo.seed(blob);
  const links = Array.from({ length: pullers }, (_, i) => solo.accept(address(i + 1), FEATURES.wishes));
  for (const link of links) {
    solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 400 }], ...idle });
  }
  return { solo, links };
}

function wish(solo: Solo, link: number, ...pieces: number[]): void {
  solo.say(link, { kind: 'wishes', swarm: 0, wishes: pieces.map((piece) => ({ piece, hops: 0 })) });
}

/** Whoever has a grant takes it, whole; what it was given. */
function takeAny({ solo, links }: Setup, answered: Set<string>): { link: number; piece: number } | undefined {
  for (const link of links) {
    for (const { grant, piece } of solo.allSent(link, 'grant')) {
      if (answered.has(`${link} ${grant}`)) continue;
      answered.add(`${link} ${grant}`);
      const asked = Math.max(0, piece);
      const load = { inPieces: 1, inBytes: unit };
      solo.say(link, { kind: 'request', grant, swarm: 0, piece: asked, hedge: false, count: 400, ...load });
      solo.say(link, { kind: 'receipt', swarm: 0, piece: asked, count: 400, ...idle });
      return { link, piece };
    }
  }
  return undefined;
}

test('a wish is named next, to who wished; all else stays in order', () => {
  const setup = origin(4);
  const [, wisher] = setup.links as [number, number];
  const answered = new Set<string>();
  wish(setup.solo, wisher, 333, 222);
  const given = Array.from({ length: 12 }, () => takeAny(setup, answered));
  expect(given.findIndex((one) => one?.piece === 333)).toBeLessThan(3);
  expect(given.find((one) => one?.piece === 333)?.link).toBe(wisher);
  expect(given.find((one) => one?.piece === 222)?.link).toBe(wisher);
  for (const one of given) {
    if (one?.piece !== 333 && one?.piece !== 222) expect(one?.piece).toBeLessThan(12 + namedSpanMin);
  }
});

test('what was given is named again only to who waited in vain', () => {
  const setup = origin(8);
  const { solo, links } = setup;
  const answered = new Set<string>();
  for (const link of links) wish(solo, link, 300);
  const copies = (): number =>
    links.flatMap((link) => solo.allSent(link, 'grant')).filter((g) => g.piece === 300).length;
  for (let i = 0; i < 40; i++) takeAny(setup, answered);
  expect(copies()).toBe(1);
  // Longer while others have not been given yet.
  for (let ms = 0; ms <= wishPatienceMsMax; ms += 10) {
    if (ms < wishPatienceMsMax - 20) expect(copies()).toBe(1);
    solo.pass(10);
    takeAny(setup, answered);
  }
  for (let i = 0; i < 40; i++) takeAny(setup, answered);
  expect(copies()).toBeGreaterThan(2);
});

test('wishes without end have no more given twice than a share of the uplink', () => {
  const setup = origin(8);
  const { solo, links } = setup;
  const answered = new Set<string>();
  for (let ms = 0; ms < 2_000; ms += 10) {
    for (const link of links) wish(solo, link, 300, 301, 302, 303);
    solo.pass(10);
    for (let i = 0; i < 5; i++) takeAny(setup, answered);
  }
  const named = links.flatMap((link) => solo.allSent(link, 'grant')).filter(({ piece }) => piece >= 0);
  expect(named.length).toBeGreaterThan(400);
  const twice = named.length - new Set(named.map(({ piece }) => piece)).size;
  expect(twice * unit).toBeLessThan(wishTwiceBytesMax + (2.2 * 100e6) / wishTwiceShare + unit);
  expect(solo.faultOf(links[0] as number)).toBeUndefined();
});

test('wishes that make no sense cost the link', () => {
  const open = (features: number): Setup => {
    const solo = new Solo({ role: 'origin' });
    solo.seed(blob);
    const link = solo.accept(address(1), features);
    solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    return { solo, links: [link] };
  };
  const old = open(0);
  wish(old.solo, 1, 3);
  expect(old.solo.faultOf(1)).toMatch(/without their feature/);
  const beyond = open(FEATURES.wishes);
  wish(beyond.solo, 1, 400);
  expect(beyond.solo.faultOf(1)).toMatch(/beyond the blob/);
  const many = open(FEATURES.wishes);
  for (let i = 0; i < wishesAtOnceMax; i++) wish(many.solo, 1, i % 400);
  expect(many.solo.faultOf(1)).toBeUndefined();
  wish(many.solo, 1, 0);
  expect(many.solo.faultOf(1)).toMatch(/more often/);
});
