/**
 * Who has a digest: the blobs of repositories, and the marks of records that are, or refer to, it.
 *
 * Rule 1: a mark holds if the record of its manifest is there and was written by the write that the mark names. What it
 *   says is otherwise the trace of a write that failed, or is on its way: `linked` tells it apart by writing the record
 *   anew, as it is, so that such a write cannot be made any more; then the mark goes.
 * Rule 2: what only reads takes a mark for a link: too many links keep bytes, too few lose them.
 */

import type { BlobLink } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { IdleAt } from '../idle.ts';
import type { WriteName } from '../named.ts';
import { type Cell, type Cells, isDamaged } from './cells/cells.ts';
import { type BlobSaid, blobSaid, recordSaid } from './cells/values.ts';
import type { DigestGate, Gates, LinkProof } from './gates.ts';
import { blobAt, type LinkTarget, linksOf, markAt, markOf, type RecordMark, recordAt, repoOf } from './layout.ts';
import { knownIn, toldIn } from './named.ts';
import { type Begun, type MarkTelling, nothingBegun } from './outbox/telling.ts';
import type { HeldManifest } from './record.ts';
import { againMax, busy } from './requests/again.ts';

/** Marks of writes that failed that one question removes; the rest counts as links until the next one. */
const strayMax = 16;
/** Keys that are looked at first: most digests have a link among these. */
const pageKeys = 50;

type Parts = { readonly cells: Cells; readonly gates: Gates; readonly telling: MarkTelling };

export class Links {
  readonly #cells: Cells;
  readonly #gates: Gates;
  readonly #telling: MarkTelling;

  constructor({ cells, gates, telling }: Parts) {
    this.#cells = cells;
    this.#gates = gates;
    this.#telling = telling;
  }

  /** What was read under an epoch counts if it is the gate's after that. */
  async blob(repo: string, digest: Digest): Promise<BlobLink | undefined> {
    const found = await this.blobIn(repo, digest);
    return found && { digest, size: found.size };
  }

  /** The same, and under which epoch. */
  async blobIn(repo: string, digest: Digest): Promise<{ readonly size: number; readonly epoch: number } | undefined> {
    const { cell, epoch } = await this.cell(repo, digest);
    return cell.live && cell.value !== undefined ? { size: cell.value.size, epoch } : undefined;
  }

  /** Of a link, under the epoch that counts. */
  async cell(repo: string, digest: Digest): Promise<{ readonly cell: Cell<BlobSaid>; readonly epoch: number }> {
    for (let [again, epoch] = [0, 0]; again < againMax; again++) {
      const cell = await this.#cells.read(blobAt(digest, epoch, repo), blobSaid);
      const now = (await this.#gates.read(digest)).epoch;
      if (now === epoch) return { cell, epoch };
      epoch = now;
    }
    throw busy(digest);
  }

  /** The generation that has to be proved first; undefined: done. */
  async linkBlob(repo: string, link: BlobLink, proof: LinkProof, quiet = false): Promise<number | undefined> {
    const { digest } = link;
    const make = (epoch: number) => this.#setBlob(repo, link, epoch, quiet);
    // Under an epoch that is over it counts no more.
    return await this.#gates.link(digest, proof, { make, leave: async () => undefined });
  }

  async unlinkBlob(repo: string, digest: Digest, of?: WriteName): Promise<boolean> {
    for (let again = 0; again < againMax; again++) {
      const { epoch } = await this.#gates.read(digest);
      const cell = await this.#cells.read(blobAt(digest, epoch, repo), blobSaid);
      const known = knownIn<boolean>(cell, of);
      if (known !== undefined) return known.outcome;
      const there = cell.live && cell.value !== undefined;
      if (!there && (await this.#gates.read(digest)).epoch !== epoch) continue;
      const told = toldIn(of, there);
      if (!there && told === undefined) return false;
      const { by, begun } = await this.#begin(repo, { digest, to: null, cell, quiet: !there });
      const value = cell.value ?? { size: 0 };
      if (await this.#cells.write(cell, { live: false, value, by, told })) {
        this.#telling.done(begun);
        return there;
      }
      await this.#telling.undo(begun);
    }
    throw busy(digest);
  }

  /** A record is `target`. */
  async mark({ digest, kind }: LinkTarget, mark: RecordMark, proof: LinkProof): Promise<number | undefined> {
    const at = (epoch: number): string => markAt(digest, epoch, kind, mark);
    return await this.#gates.link(digest, proof, {
      make: (epoch) => this.#cells.mark(at(epoch)),
      leave: (epoch) => this.#cells.unmark(at(epoch)),
    });
  }

  /** A record refers to it. Under which epoch: if that is another one than it was seen under, it was condemned since. */
  async refer(target: LinkTarget, mark: RecordMark): Promise<number> {
    const { digest, kind } = target;
    let under = 0;
    await this.#gates.link(digest, 'none', {
      make: (epoch) => {
        under = epoch;
        return this.#cells.mark(markAt(digest, epoch, kind, mark));
      },
      leave: (epoch) => this.#cells.unmark(markAt(digest, epoch, kind, mark)),
    });
    return under;
  }

  /** No record says so any more, nor ever will. */
  async unmark({ digest, kind }: LinkTarget, mark: RecordMark): Promise<void> {
    const { epoch } = await this.#gates.read(digest);
    await this.#cells.unmark(markAt(digest, epoch, kind, mark));
  }

  /** A link of it went: where it was the last one, it is unlinked from now on. */
  async lost(digest: Digest, nowMs: number): Promise<void> {
    for (let again = 0; again < againMax; again++) {
      const gate = await this.#gates.read(digest);
      if (gate.toldMs !== undefined) return;
      const idle = await this.among(gate);
      if (idle && gate.sinceMs === undefined) return;
      if (await this.#gates.write(gate, { epoch: gate.epoch, sinceMs: nowMs, idle })) return;
    }
    throw busy(digest);
  }

  /** Whether a record is it, or refers to it, as far as it seems. */
  async recorded({ digest, epoch }: DigestGate): Promise<boolean> {
    for await (const { key } of this.#cells.keys(linksOf(digest, epoch), '', pageKeys))
      if (!key.startsWith('b')) return true;
    return false;
  }

  /** Whether it seems to have a link: Rule 2. */
  async among({ digest, epoch }: DigestGate): Promise<boolean> {
    const of = linksOf(digest, epoch);
    for await (const { key, live } of this.#cells.keys(of, '', pageKeys)) if (!key.startsWith('b') || live) return true;
    return false;
  }

  /** Whether it has one; what only looks like it is removed. `blobs`: repositories have it, none that `keeps` it, and no record refers to it. */
  async linked({ digest, epoch }: DigestGate, keeps?: IdleAt['keeps']): Promise<boolean | 'blobs'> {
    const of = linksOf(digest, epoch);
    let [stray, blobs] = [0, false];
    for await (const { key, live } of this.#cells.keys(of, '', pageKeys)) {
      if (key.startsWith('b')) {
        blobs ||= live;
        if (live && keeps?.(repoOf(key.slice('b/'.length)))) return true;
        continue;
      }
      const mark = markOf(key, digest);
      if (mark === undefined || ++stray > strayMax || (await this.#holds(mark))) return true;
      await this.#cells.unmark(of + key);
    }
    return blobs && 'blobs';
  }

  async #holds({ repo, manifest, by }: RecordMark): Promise<boolean> {
    const cell = await this.#record(repo, manifest);
    // Nobody knows: Rule 2.
    if (cell === undefined) return true;
    if (cell.live && cell.value?.made === by) return true;
    const { live, value } = cell;
    // Whoever is about to write it has read it before: now that write fails.
    return (await this.#cells.write<HeldManifest | null>(cell, { live, value: value ?? null })) === undefined;
  }

  /** undefined: what is there is no record. */
  async #record(repo: string, manifest: Digest): Promise<Cell<HeldManifest | null> | undefined> {
    try {
      return await this.#cells.read(recordAt(repo, manifest), recordSaid);
    } catch (error) {
      if (isDamaged(error)) return undefined;
      throw error;
    }
  }

  async #setBlob(repo: string, { digest, size }: BlobLink, epoch: number, quiet: boolean): Promise<void> {
    const key = blobAt(digest, epoch, repo);
    for (let again = 0; again < againMax; again++) {
      const cell = await this.#cells.read(key, blobSaid);
      if (cell.live && cell.value?.size === size) return;
      const { by, begun } = await this.#begin(repo, { digest, to: digest, cell, quiet });
      if (await this.#cells.write<BlobSaid>(cell, { live: true, value: { size }, by }))
        return this.#telling.done(begun);
      await this.#telling.undo(begun);
    }
    throw busy(key);
  }

  /** Before a link is written. */
  async #begin(
    repo: string,
    { digest, to, cell, quiet }: { digest: Digest; to: Digest | null; cell: Cell<BlobSaid>; quiet: boolean },
  ): Promise<{ readonly by: string; readonly begun: Begun }> {
    const change = { kind: 'blob', name: digest, digest: to } as const;
    const by = this.#telling.name(repo, quiet ? [] : [change]);
    return { by, begun: quiet ? nothingBegun : await this.#telling.begin(repo, [{ ...change, cell, by }]) };
  }
}
