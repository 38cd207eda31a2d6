/**
 * What a node keeps, says of others and holds in its tables is judged against what blobs really contain: nothing wrong
 * may be kept as held, or called corrupt when it is right; no table may outgrow its limit; no connection may be waited for
 * for ever; and no honest node may call another one faulty. What it sends is judged on the wire (wiretap.ts).
 */

import { pino } from 'pino';
import type { DigestAlgorithm } from '../../../core/digest.ts';
import { degreeSlack, greetingMs } from '../../../core/swarm/limits.ts';
import type { SimulatedHost } from '../../../platform/net/simulated.ts';
import type { EndWait } from '../../../platform/net/simulated-connection.ts';
import { closingMs, connectMs, stalledMs, sweepMs } from '../../../platform/peer/limits.ts';
import type { PeerNode } from '../../../platform/peer/node.ts';
import type { Logger } from '../../../platform/telemetry/log.ts';
import type { Arena, Slot } from '../../../platform/workers/arena.ts';
import type { HashStream, IoFailure, PieceIo, PieceJob } from '../../../platform/workers/piece-io.ts';
import { pieceOf, slotHolds } from '../content.ts';
import { type Cluster, hostOf } from './net.ts';

/** Every piece that there is, by its hash. */
export class Truth {
  readonly #cluster: Cluster;
  readonly #pieces = new Map<string, Uint8Array>();
  #known = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  pieceWith(hash: Uint8Array): Uint8Array | undefined {
    const { contents } = this.#cluster;
    if (contents.size !== this.#known) {
      this.#known = contents.size;
      for (const content of contents.values()) {
        for (let piece = 0; piece < content.pieces; piece++)
          this.#pieces.set(hexOf(content.hashes.subarray(32 * piece, 32 * piece + 32)), pieceOf(content, piece));
      }
    }
    return this.#pieces.get(hexOf(hash));
  }

  /** Whether it may be what a backend gave in place of the right bytes, of which nobody knows yet. */
  lie(slot: Slot): boolean {
    return this.#cluster.lies.givenIn(slot);
  }
}

function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}

/** A store's PieceIo, its verdicts judged. */
export class JudgedPieceIo implements PieceIo {
  readonly arena: Arena;
  readonly #io: PieceIo;
  readonly #truth: Truth;
  readonly #violate: (kind: string, what: string) => void;

  constructor(io: PieceIo, truth: Truth, violate: (kind: string, what: string) => void) {
    this.arena = io.arena;
    this.#io = io;
    this.#truth = truth;
    this.#violate = violate;
  }

  async verifyWrite(job: PieceJob): Promise<'held' | 'corrupt' | IoFailure> {
    const truth = this.#truth.pieceWith(job.expected);
    const right = truth !== undefined && slotHolds(job.slot, truth);
    const verdict = await this.#io.verifyWrite(job);
    if (verdict === 'held' && !right && !this.#truth.lie(job.slot))
      this.#violate('unverified', 'keeps a wrong piece as held');
    if (verdict === 'corrupt' && right) this.#violate('verdict', 'calls a piece corrupt that is right');
    return verdict;
  }

  async readVerify(job: PieceJob): Promise<'ok' | 'corrupt' | IoFailure> {
    const verdict = await this.#io.readVerify(job);
    // What is believed is judged where it is sent.
    if (verdict !== 'ok' || job.believed === true) return verdict;
    const truth = this.#truth.pieceWith(job.expected);
    if (truth === undefined ? !this.#truth.lie(job.slot) : !slotHolds(job.slot, truth))
      this.#violate('unverified', 'takes a piece that it read for right, which is wrong');
    return verdict;
  }

  hashStream(algorithm: DigestAlgorithm): HashStream {
    return this.#io.hashStream(algorithm);
  }
}

/** Is told of what platform/peer/node.ts logs of others. */
export function judgingLog(cluster: Cluster, host: number): Logger {
  const formatters = { level: (level: string) => ({ level }) };
  return pino({ level: 'warn', formatters }, { write: (line) => judgeLine(cluster, host, line) });
}

function judgeLine({ world, hostile, decayed, lies }: Cluster, host: number, line: string): void {
  const said: { level: string; msg?: string; remote?: string; reason?: string } = JSON.parse(line);
  if (said.level === 'error') return world.violate('error', `h${host} logs ${line.slice(0, 300)}`);
  if (said.msg?.startsWith('a peer broke the protocol') !== true) return;
  const { remote = '', reason } = said;
  world.note(`h${host} blames ${remote}: ${reason}`);
  const other = hostOf(remote.slice(0, remote.lastIndexOf(':')));
  if (other === undefined || hostile.has(other) || world.isTainted(host, other)) return;
  if (decayed.has(other) && reason?.startsWith('sent a corrupt piece') === true) return;
  if (reason?.startsWith('sent a corrupt piece') === true && lies.namedIn(reason)) return;
  // Of bytes that the backend gave wrong once there are two lists, each with hosts that believe it.
  if (lies.any && reason === 'hash list does not match its root') return;
  if (lies.sized && reason === 'metainfo differs from the tracker') return;
  world.violate('fault', `h${host} calls honest h${other} faulty: ${reason}`);
}

/** Its tables, now and then. */
export function judgeTables({ world, policy, contents }: Cluster, host: number, node: PeerNode): void {
  const violate = (what: string): void => world.violate('limits', `h${host} ${what}`);
  const { links } = node.stats();
  // Either way, and those about to be told no (core/swarm), each with one that still says goodbye.
  const linksMax = 2 * (2 * (2 * policy.neighboursMax + 64) + 1);
  if (links.dialled + links.accepted > linksMax)
    violate(`has ${links.dialled + links.accepted} links, ${linksMax} allowed`);
  const most = policy.neighboursPerBlobMax + 2 * degreeSlack;
  for (const digest of contents.keys()) {
    const stats = node.statsOf(digest);
    if (stats === undefined) continue;
    if (stats.neighbours > most) violate(`has ${stats.neighbours} neighbours of ${digest}, ${most} allowed`);
    if (stats.held > stats.pieces) violate(`holds ${stats.held} of ${stats.pieces} pieces`);
  }
}

/** As links have it (platform/peer/limits.ts); what is being closed is waited for last. */
const patienceMs: Readonly<Record<EndWait['what'], number>> = {
  connection: connectMs,
  firstByte: greetingMs,
  reader: stalledMs,
  end: closingMs,
};
/** A sweep finds it, by a clock that drifts. */
const lateMs = 2 * sweepMs;

/** Its connections: none waits for longer than a link does. */
export function judgeWaits({ world }: Cluster, host: number, place: SimulatedHost): void {
  for (const { waiting, remote } of place.ends) {
    if (waiting === undefined) continue;
    const ms = world.nowMs - waiting.sinceMs;
    if (ms > patienceMs[waiting.what] + lateMs)
      world.violate('waits', `h${host} has waited ${Math.round(ms)} ms for ${remote.host} (${waiting.what})`);
  }
}
