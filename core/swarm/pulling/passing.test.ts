/** A herd whose caches have no room for what it reads: hosts side by side feed each other, and the origin sends it once. */

import { expect, test } from 'vitest';
import { Cluster, type TestNode, testBlob } from '../testing/cluster.ts';

const pieces = 200;
/** Of these, a quarter is what the reader has passed. */
const places = 96;

/** One host: its reader takes each piece as soon as it is there, and wants the next ones. */
class Passer {
  readonly node: TestNode;
  readonly #cluster: Cluster;
  readonly #places = new Set<number>();
  readonly #held = new Set<number>();
  #at = 0;
  doneMs = Infinity;

  constructor(cluster: Cluster, node: TestNode) {
    this.#cluster = cluster;
    this.node = node;
  }

  arrived(piece: number): 'held' | 'unwanted' {
    if (!this.#places.has(piece)) return 'unwanted';
    this.#held.add(piece);
    this.#cluster.at(this.#cluster.nowMs + 0.01, () => this.decide());
    return 'held';
  }

  decide(): void {
    while (this.#held.has(this.#at)) this.#at += 1;
    if (this.#at === pieces) this.doneMs = Math.min(this.doneMs, this.#cluster.nowMs);
    this.#cluster.input(this.node, { kind: 'reader', blob: 0, reader: 1, at: this.#at, end: pieces });
    const until = Math.min(pieces, this.#at + places * 0.75);
    const add: number[] = [];
    const drop: number[] = [];
    for (let piece = this.#at; piece < until; piece += 1) {
      if (this.#places.has(piece)) continue;
      const passed = [...this.#places].find((other) => other < this.#at);
      if (this.#places.size >= places) {
        if (passed === undefined) break;
        this.#places.delete(passed);
        this.#held.delete(passed);
        drop.push(passed);
      }
      this.#places.add(piece);
      add.push(piece);
    }
    this.#cluster.input(this.node, { kind: 'scope', blob: 0, add, drop });
  }
}

type Result = { readonly lastMs: number; readonly copies: number; readonly missing: number };

/** `hosts` at once, the first `passing` of them without room. */
function herd(seed: number, hosts: number, passing: number): Result {
  const cluster = new Cluster({ seed });
  const blob = testBlob(0, pieces);
  const origin = cluster.addNode('origin');
  cluster.seed(origin, blob);
  const nodes = Array.from({ length: hosts }, () => cluster.addNode('agent'));
  const passers = new Map(nodes.slice(0, passing).map((node) => [node, new Passer(cluster, node)]));
  cluster.verdict = (node, piece) => passers.get(node)?.arrived(piece) ?? 'held';
  for (const node of nodes) cluster.pull(node, blob);
  for (const passer of passers.values()) {
    const begin = (): void => {
      if (passer.node.learned.has(0)) passer.decide();
      else cluster.at(cluster.nowMs + 0.5, begin);
    };
    cluster.at(0.5, begin);
  }
  const doneMs = (node: TestNode): number => passers.get(node)?.doneMs ?? node.completeMs.get(0) ?? Infinity;
  expect(cluster.run(60_000, () => nodes.every((node) => doneMs(node) < Infinity))).toBe(true);
  expect(cluster.nodes.flatMap((node) => node.faults)).toEqual([]);
  const copies = origin.sent.reduce((sum, count) => sum + (count ?? 0), 0) / pieces;
  return { lastMs: Math.max(...nodes.map(doneMs)), copies, missing: cluster.messages.get('missing') ?? 0 };
}

test.each([1, 2, 3])('twelve hosts, none, half or all of them without room, seed %i', (seed) => {
  const { lastMs } = herd(seed, 12, 0);
  for (const passing of [6, 12]) {
    const got = herd(seed, 12, passing);
    expect(got.copies).toBeLessThan(1.1);
    expect(got.lastMs).toBeLessThan(1.1 * lastMs);
    expect(got.missing).toBeLessThan(pieces / 10);
  }
});

test('one alone gets each piece once', () => {
  expect(herd(4, 1, 1).copies).toBe(1);
});
