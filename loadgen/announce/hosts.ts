/**
 * Simulated hosts and blobs, and the bodies of their announces.
 *
 * Bodies are put together as text: the side that makes the load must cost less than the side that takes it.
 */

import { createHash } from 'node:crypto';
import type { AnnounceEntry } from '../../core/contracts/tracker.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import type { Prng } from '../../core/prng.ts';

/** So many hosts hold a blob, however many leases there are: an answer is as long at a thousand as at a million. */
const holdersPerBlob = 50;
/** Large enough that no tracker asks an origin for its bytes. */
const blobBytes = 64 * 1024 * 1024;
/** Leases of one host, announced in one batch; fewer where there are fewer blobs: it pulls some that it does not hold. */
const leasesPerHostMax = 1_000;
const heldShare = 1 / 5;

/** What no origin has. */
export const bogusPrefix = `sha256:${'b'.repeat(16)}`;
const bogusNo = 0xffffff;

export const blobMeta: Metainfo = { length: blobBytes, pieceLength: 256 * 1024, root: 'a'.repeat(64) };

export class Hosts {
  readonly digests: readonly Digest[];
  readonly count: number;
  readonly leasesPerHost: number;

  constructor(leases: number) {
    const blobs = Math.round(leases / holdersPerBlob);
    this.leasesPerHost = Math.min(leasesPerHostMax, Math.floor(blobs * heldShare));
    this.count = Math.round(leases / this.leasesPerHost);
    this.digests = Array.from({ length: blobs }, (_, i) => digestNo(i));
  }

  /** What host `no` announces when it starts: everything that it holds. */
  all(no: number): string {
    const entries: string[] = [];
    for (let i = 0; i < this.leasesPerHost; i++) entries.push(entry(this.#digest(this.#first(no) + i), 'have', 0));
    return body(no, entries);
  }

  /** Blobs `first` and on, which host `no` begins to pull. */
  wants(no: number, first: number, layers: number): string {
    return body(
      no,
      Array.from({ length: layers }, (_, i) => entry(this.#digest(first + i), 'want', 1)),
    );
  }

  /** The first layer of an image that the host does not hold; where that many layers are not to be had, it holds some. */
  image(no: number, layers: number, random: Prng): number {
    const spare = this.digests.length - this.leasesPerHost - layers;
    return this.#first(no) + this.leasesPerHost + random.below(Math.max(1, spare + 1));
  }

  /** The layers of an image from `first` on, which the host begins to pull, has pulled, or lets go of. */
  batch(no: number, first: number, o: { layers: number; seek: number; state: AnnounceEntry['state'] }): string {
    const entries: string[] = [];
    for (let i = 0; i < o.layers; i++)
      entries.push(entry(this.#digest(first + i), o.state, o.state === 'want' ? o.seek : 0));
    return body(no, entries);
  }

  /** What it holds lies together, from here on. */
  #first(no: number): number {
    return no * 617;
  }

  #digest(i: number): Digest {
    return this.digests[i % this.digests.length] as Digest;
  }
}

/** Of host `no`: it is a client of its own. */
export function addressOf(no: number): string {
  return `10.${(no >> 16) & 255}.${(no >> 8) & 255}.${no & 255}`;
}

/** Announces `count` blobs that nobody has, from number `from` on, and asks for them. */
export function bogusBatch(from: number, count: number): string {
  const entries = Array.from({ length: count }, (_, i) =>
    entry(`${bogusPrefix}${(from + i).toString(16).padStart(48, '0')}` as Digest, 'want', 1),
  );
  return body(bogusNo, entries);
}

function digestNo(i: number): Digest {
  return digestOf('sha256', createHash('sha256').update(`blob ${i}`).digest('hex'));
}

function entry(digest: Digest, state: string, seek: number): string {
  return `{"digest":"${digest}","state":"${state}","seek":${seek}}`;
}

function body(no: number, entries: readonly string[]): string {
  const node = no.toString(16).padStart(32, '0');
  return `{"self":{"node":"${node}","host":"${addressOf(no)}","port":16001,"role":"agent","zone":""},"entries":[${entries.join(',')}]}`;
}
