/** What has arrived where: times of completion, of the first piece and of half of the image in order. */

import type { Download, Scenario } from './scenario.ts';

type Watch = {
  readonly download: Download;
  readonly bytes: number;
  left: number;
  prefixBytes: number;
  firstMs: number;
  halfMs: number;
  doneMs: number;
};

/** Per agent and blob: which pieces are there, and how far from the start without a gap. */
type Holding = { readonly blob: number; readonly have: Uint8Array; prefix: number; readonly watches: Watch[] };

export class Progress {
  readonly watches: Watch[] = [];
  readonly #scenario: Scenario;
  /** By agent; an agent wants a few blobs. */
  readonly #holdings: Holding[][] = [];
  #hashA = 0x811c9dc5;
  #hashB = 0x9dc5811c;
  left: number;
  /** Pieces that arrived, of all that shall. */
  pieces = 0;
  piecesTotal = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    for (const download of scenario.downloads) this.#watch(download);
    this.left = this.watches.length;
  }

  get soFar(): { share: number; done: number; downloads: number } {
    const downloads = this.watches.length;
    return { share: this.pieces / Math.max(1, this.piecesTotal), done: downloads - this.left, downloads };
  }

  /** Notes a verified piece; the new prefix where it grew, else -1. */
  piece(agent: number, blob: number, piece: number, nowMs: number): number {
    const holding = this.#find(agent, blob);
    if (holding === undefined || holding.have[piece] === 1) return -1;
    holding.have[piece] = 1;
    this.pieces++;
    this.mix(agent, blob * 1_000_003 + piece, nowMs);
    const from = holding.prefix;
    while (holding.prefix < holding.have.length && holding.have[holding.prefix] === 1) holding.prefix++;
    const grown = this.#bytes(blob, from, holding.prefix);
    for (const watch of holding.watches) this.#note(watch, grown, nowMs);
    return holding.prefix > from ? holding.prefix : -1;
  }

  has(agent: number, blob: number, piece: number): boolean {
    return this.#find(agent, blob)?.have[piece] === 1;
  }

  mix(a: number, b: number, ms: number): void {
    const us = Math.round(ms * 1000) | 0;
    this.#mix(a | 0);
    this.#mix(b | 0);
    this.#mix(us);
  }

  #mix(value: number): void {
    this.#hashA = Math.imul(this.#hashA ^ value, 0x01000193) ^ (this.#hashA >>> 15);
    this.#hashB = Math.imul(this.#hashB ^ value, 0x85ebca6b) ^ (this.#hashB >>> 13);
  }

  /** Sixteen hex digits over every arrival and its microsecond. */
  get traceHash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#hashA) + hex(this.#hashB);
  }

  #watch(download: Download): void {
    let left = 0;
    let bytes = 0;
    for (const no of download.blobs) {
      left += this.#scenario.blobs[no]?.pieces ?? 0;
      bytes += this.#scenario.blobs[no]?.length ?? 0;
    }
    const watch: Watch = {
      download,
      bytes,
      left,
      prefixBytes: 0,
      firstMs: Number.NaN,
      halfMs: Number.NaN,
      doneMs: Number.NaN,
    };
    this.watches.push(watch);
    for (const no of download.blobs) {
      const pieces = this.#scenario.blobs[no]?.pieces ?? 0;
      const holding = this.#find(download.agent, no);
      if (holding !== undefined) holding.watches.push(watch);
      else {
        this.#holdings[download.agent] ??= [];
        this.#holdings[download.agent]?.push({ blob: no, have: new Uint8Array(pieces), prefix: 0, watches: [watch] });
        this.piecesTotal += pieces;
      }
    }
  }

  #note(watch: Watch, grownBytes: number, nowMs: number): void {
    const sinceMs = nowMs - watch.download.atMs;
    watch.left--;
    watch.prefixBytes += grownBytes;
    if (grownBytes > 0 && Number.isNaN(watch.firstMs)) watch.firstMs = sinceMs;
    if (watch.prefixBytes * 2 >= watch.bytes && Number.isNaN(watch.halfMs)) watch.halfMs = sinceMs;
    if (watch.left > 0) return;
    watch.doneMs = sinceMs;
    this.left--;
  }

  #bytes(blob: number, from: number, to: number): number {
    const { length, pieceLength } = this.#scenario.blobs[blob] as { length: number; pieceLength: number };
    return Math.min(length, to * pieceLength) - Math.min(length, from * pieceLength);
  }

  #find(agent: number, blob: number): Holding | undefined {
    const holdings = this.#holdings[agent];
    if (holdings === undefined) return undefined;
    for (let i = 0; i < holdings.length; i++) if (holdings[i]?.blob === blob) return holdings[i];
    return undefined;
  }
}
