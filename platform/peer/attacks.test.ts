/**
 * A hostile peer against a live agent, each attack of testing/attacks.ts: it costs that peer its link, counted and
 * logged by its reason, and nothing else. The agent's pull from honest peers completes with the right bytes.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { BlobEntry } from '../store/store.ts';
import { MemoryTracker, readBlob, seedBlob, slotsLeft, startNode, type TestBlob, type TestNode } from './fixtures.ts';
import { attacks } from './testing/attacks.ts';
import { type Attack, type HostilePeer, hostileFeeder, hostilePuller, type Prey } from './testing/hostile.ts';

/** Its last byte of bit set is not full. */
const blobBytes = 8 * 2 ** 20 - 300_000;
/** So that nobody waits for seconds; far above what this machine needs to answer. */
const patience = { greetingMs: 600, stalledMs: 600 };
const policy = { ...defaultPolicy, stallMs: 600, grantExpiryMs: 100 };
const safetyMs = 60_000;

const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Line = { readonly level: number; readonly reason?: string; readonly node?: string };
type Scene = {
  readonly tracker: MemoryTracker;
  readonly origin: TestNode;
  readonly agent: TestNode;
  readonly lines: readonly Line[];
};

function use<T extends AsyncDisposable>(one: T): T {
  running.push(one);
  return one;
}

async function scene(): Promise<Scene> {
  const tracker = new MemoryTracker();
  const origin = use(await startNode(tracker, { role: 'origin' }));
  const lines: Line[] = [];
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line) as Line) });
  const agent = use(await startNode(tracker, { patience, policy, log }));
  return { tracker, origin, agent, lines };
}

function preyOf({ origin }: Scene, { digest, bytes }: TestBlob): Prey {
  const { meta, hashes } = origin.store.get(digest) as BlobEntry;
  const slice = (piece: number) => bytes.subarray(piece * meta.pieceLength, (piece + 1) * meta.pieceLength);
  return { cluster: 'test', digest, meta, hashes, bytes: slice };
}

function handOut({ tracker }: Scene, peer: HostilePeer, { digest }: TestBlob): void {
  tracker.swarm(digest).members.set(peer.self.node, { peer: peer.self, state: 'have', answer: () => undefined });
}

async function completes({ agent }: Scene, { digest, bytes }: TestBlob): Promise<void> {
  await agent.node.pull(digest).complete;
  expect(Buffer.compare(await readBlob(agent, digest), bytes)).toBe(0);
}

async function until(ok: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ok())) await sleep(5);
}

async function counted({ agent }: Scene, attack: Attack): Promise<number> {
  const name = `shoal_peer_${attack.counted === 'fault' ? 'faults' : 'slow'}_total{`;
  let count = 0;
  for (const line of (await agent.metrics.text()).split('\n')) {
    const reason = /reason="(.*)"\}/.exec(line)?.[1] ?? '';
    if (line.startsWith(name) && attack.reason.test(reason)) count += Number(line.slice(line.lastIndexOf(' ')));
  }
  return count;
}

/** Its link is gone, counted, logged with its name where it gave one, and every slot is back. */
async function costsTheLink(scened: Scene, attack: Attack, peer: HostilePeer): Promise<void> {
  const { agent, lines } = scened;
  await peer.wires[0]?.closed;
  await until(async () => (await counted(scened, attack)) > 0);
  const said = lines.find((line) => line.reason !== undefined && attack.reason.test(line.reason));
  expect(said?.level).toBe(attack.counted === 'fault' ? pino.levels.values['warn'] : pino.levels.values['info']);
  if (said?.node !== undefined) expect(said.node).toBe(peer.self.node);
  await until(() => slotsLeft(agent) === 0);
}

const feeders = attacks.filter(({ side }) => side === 'feeder');
const pullers = attacks.filter(({ side }) => side === 'puller');

test.each(feeders)('a feeder, $name: costs it the link; the pull completes', { timeout: safetyMs }, async (attack) => {
  const scened = await scene();
  const blob = await seedBlob(scened.origin, blobBytes);
  const peer = use(await hostileFeeder(attack, preyOf(scened, blob)));
  handOut(scened, peer, blob);
  // The origin comes when the hostile peer has had its turn: nobody else can have been the one to blame.
  const { members } = scened.tracker.swarm(blob.digest);
  const honest = members.get(scened.origin.node.self.node);
  members.delete(scened.origin.node.self.node);
  scened.agent.node.pull(blob.digest);
  await until(() => peer.wires.length > 0);
  await costsTheLink(scened, attack, peer);
  members.delete(peer.self.node);
  if (honest !== undefined) members.set(honest.peer.node, honest);
  await completes(scened, blob);
});

test.each(pullers)('a puller, $name: costs it the link; the pull completes', { timeout: safetyMs }, async (attack) => {
  const scened = await scene();
  const cached = await seedBlob(scened.origin, blobBytes);
  await completes(scened, cached);
  const blob = await seedBlob(scened.origin, blobBytes);
  const peer = use(hostilePuller(attack, preyOf(scened, cached), scened.agent.node.self));
  await completes(scened, blob);
  await costsTheLink(scened, attack, peer);
});

test('all of them at once, again and again, and the pull completes', { timeout: safetyMs }, async () => {
  const scened = await scene();
  const cached = await seedBlob(scened.origin, blobBytes);
  await completes(scened, cached);
  const blob = await seedBlob(scened.origin, 4 * blobBytes);
  for (const attack of feeders) handOut(scened, use(await hostileFeeder(attack, preyOf(scened, blob))), blob);
  const ends = new AbortController();
  const lanes = pullers.map(async (attack) => {
    while (!ends.signal.aborted) {
      const peer = hostilePuller(attack, preyOf(scened, cached), scened.agent.node.self);
      await Promise.race([peer.wires[0]?.closed, aborted(ends.signal)]);
      await peer[Symbol.asyncDispose]();
      // Whoever is banned is turned away at once.
      await sleep(5);
    }
  });
  await completes(scened, blob);
  ends.abort();
  await Promise.all(lanes);
  await until(() => slotsLeft(scened.agent) === 0);
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
