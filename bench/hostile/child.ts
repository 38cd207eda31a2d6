/**
 * The hostile peers of `bench hostile`: every attack of platform/peer/testing/attacks.ts at the same time, each begun
 * anew, under another name, when it has cost its link. Told what to do over IPC.
 *
 *   parent: HostilePlan -> child: 'ready' -> parent: 'begin' -> … -> parent: 'halt' -> child: HostileReport
 */

import { openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, pieceBytes, pieceCount, pieceLengthFor } from '../../core/piece.ts';
import { TrackerSession } from '../../platform/clients/tracker.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { attacks } from '../../platform/peer/testing/attacks.ts';
import { type Attack, hostileFeeder, hostilePuller, type Prey } from '../../platform/peer/testing/hostile.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { blake3Hex } from '../../platform/workers/hash.ts';

/** `file`: an origin's, the blob's bytes and then its list of hashes. */
export type PreyPlan = { readonly digest: Digest; readonly file: string; readonly bytes: number };
export type HostilePlan = {
  readonly kind: 'plan';
  readonly tracker: string;
  readonly cluster: string;
  readonly victim: { readonly host: string; readonly port: number };
  /** Being pulled while it is attacked; feeders say that they have it. */
  readonly pulled: PreyPlan;
  /** What the agent has; pullers ask for it. */
  readonly cached: PreyPlan;
  readonly pauseMs: number;
};
export type HostileReport = { readonly kind: 'halted'; readonly links: Readonly<Record<string, number>> };

process.once('disconnect', () => process.exit(1));
const plan = await heard<HostilePlan>('plan');
const log = silentLog();
const pulled = preyOf(plan.pulled);
const cached = preyOf(plan.cached);
process.send?.({ kind: 'ready' });
for (;;) {
  await heard('begin');
  const halt = new AbortController();
  const links: Record<string, number> = {};
  const lanes = attacks.map((attack) => lane(attack, links, halt.signal));
  await heard('halt');
  halt.abort();
  await Promise.all(lanes);
  process.send?.({ kind: 'halted', links } satisfies HostileReport);
}

async function lane(attack: Attack, links: Record<string, number>, halt: AbortSignal): Promise<void> {
  const halted = new Promise<void>((resolve) => halt.addEventListener('abort', () => resolve(), { once: true }));
  while (!halt.aborted) {
    const connected = await (attack.side === 'feeder' ? feed(attack, halted) : pull(attack, halted));
    links[attack.name] = (links[attack.name] ?? 0) + connected;
    await Promise.race([sleep(plan.pauseMs), halted]);
  }
}

/** Waits at the tracker for somebody to dial, until that cost it its link. How often it was dialled. */
async function feed(attack: Attack, halted: Promise<void>): Promise<number> {
  await using peer = await hostileFeeder(attack, pulled);
  const tracking = new TrackerSession({ trackers: httpMembers(fixedList([plan.tracker])), log });
  tracking.join(peer.self, () => undefined);
  tracking.set(plan.pulled.digest, 'have');
  const dialled = async (): Promise<void> => {
    while (peer.wires.length === 0) await sleep(10);
    await peer.wires[0]?.closed;
  };
  await Promise.race([dialled(), halted]);
  await tracking.leave();
  return peer.wires.length;
}

async function pull(attack: Attack, halted: Promise<void>): Promise<number> {
  await using peer = hostilePuller(attack, cached, plan.victim);
  await Promise.race([peer.wires[0]?.closed, halted]);
  return 1;
}

function preyOf({ digest, file, bytes }: PreyPlan): Prey {
  const fd = openSync(file, 'r');
  const pieceLength = pieceLengthFor(bytes);
  const hashes = read(fd, bytes, pieceCount({ length: bytes, pieceLength }) * hashBytes);
  const meta = { length: bytes, pieceLength, root: blake3Hex(hashes) };
  const piece = (no: number) => read(fd, no * pieceLength, pieceBytes(meta, no));
  return { cluster: plan.cluster, digest, meta, hashes, bytes: piece };
}

function read(fd: number, at: number, bytes: number): Uint8Array {
  const buffer = new Uint8Array(bytes);
  if (readSync(fd, buffer, 0, bytes, at) !== bytes) throw new Error(`no ${bytes} bytes at ${at}`);
  return buffer;
}

function heard<T extends { readonly kind: string }>(kind: T['kind']): Promise<T> {
  return new Promise((resolve) => {
    const listen = (value: unknown): void => {
      if ((value as T).kind !== kind) return;
      process.off('message', listen);
      resolve(value as T);
    };
    process.on('message', listen);
  });
}
