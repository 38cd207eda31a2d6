/** Digests without a link: which those are, and which of them origins may remove (gates.ts has the rules). */

import type { CondemnReply, UnlinkedReply } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type CondemnAt, condemnedMs } from '../store.ts';
import { type Cells, isDamaged } from './cells/cells.ts';
import type { DigestGate, Gates } from './gates.ts';
import { digestInKey, linksOf, repoIn, TOLD, toldAt } from './layout.ts';
import type { Links } from './links.ts';
import type { MarkTelling } from './outbox/telling.ts';
import { againMax } from './requests/again.ts';
import { several } from './requests/several.ts';

/** Those that one question forgets because nobody was told of them for long. */
const forgottenMax = 100;

type Verdict = 'linked' | 'waiting' | 'condemned';
type Parts = {
  readonly cells: Cells;
  readonly gates: Gates;
  readonly links: Links;
  readonly telling: MarkTelling;
  readonly database: string;
  /** The last one of the engine that this store was moved from: who was told in that one proves nothing here. */
  readonly generation: number;
};

export class BucketCondemned {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async among(digests: readonly Digest[]): Promise<UnlinkedReply> {
    const { links, database } = this.#parts;
    const linked = await several(digests, async (digest) => {
      const gate = await this.#gate(digest);
      return gate === undefined || (await links.among(gate));
    });
    return { index: database, unlinked: digests.filter((_, i) => !linked[i]) };
  }

  /** Those that no record is or refers to, since then; nothing changes by the question. */
  async useless(digests: readonly Digest[], beforeMs: number): Promise<Digest[]> {
    const found = await several(digests, async (digest) => {
      const gate = await this.#gate(digest);
      if (gate === undefined) return false;
      const old = gate.toldMs !== undefined || (gate.sinceMs !== undefined && gate.sinceMs <= beforeMs);
      return old && !(await this.#parts.links.recorded(gate));
    });
    return digests.filter((_, i) => found[i]);
  }

  async condemn(digests: readonly Digest[], at: CondemnAt): Promise<CondemnReply> {
    await this.#forget(at.nowMs - condemnedMs);
    const all = [...new Set(digests)];
    const verdicts = await several(all, (digest) => this.#judge(digest, at));
    return {
      index: this.#parts.database,
      condemned: all.filter((_, i) => verdicts[i] === 'condemned'),
      waiting: verdicts.filter((verdict) => verdict === 'waiting').length,
    };
  }

  async #judge(digest: Digest, at: CondemnAt): Promise<Verdict> {
    for (let again = 0; again < againMax; again++) {
      const gate = await this.#gate(digest);
      if (gate === undefined) return 'waiting';
      const verdict = await this.#step(gate, at);
      if (verdict !== undefined) return verdict;
    }
    // It is written all the time: somebody wants it.
    return 'waiting';
  }

  /** undefined: what is there is no gate. It keeps its bytes, and no other from being judged. */
  async #gate(digest: Digest): Promise<DigestGate | undefined> {
    try {
      return await this.#parts.gates.read(digest);
    } catch (error) {
      if (isDamaged(error)) return undefined;
      throw error;
    }
  }

  /** undefined: the gate was written. */
  async #step(gate: DigestGate, { nowMs, unlinkedMs, idle }: CondemnAt): Promise<Verdict | undefined> {
    const { gates, links, cells, generation } = this.#parts;
    const { digest, epoch, sinceMs, toldMs } = gate;
    // After the gate was read: Rule 3 of gates.ts.
    const linked = await links.linked(gate, idle?.keeps);
    if (linked === true || (linked === 'blobs' && idle === undefined)) {
      if (sinceMs !== undefined && !(linked === 'blobs' && gate.idle)) await gates.write(gate, { epoch, toldMs });
      return 'linked';
    }
    if (toldMs === undefined) {
      // A clock that was put back would keep it for ever.
      if (sinceMs === undefined || sinceMs > nowMs) {
        await gates.write(gate, { epoch, sinceMs: nowMs, idle: linked === 'blobs' });
        return undefined;
      }
      if (nowMs - sinceMs < unlinkedMs) return 'waiting';
    }
    if (linked === 'blobs') await this.#tellIdle(gate);
    await cells.mark(toldAt(nowMs, digest));
    return (await gates.write(gate, { epoch: Math.max(epoch, generation) + 1, toldMs: nowMs }))
      ? 'condemned'
      : undefined;
  }

  /** Links that end with their epoch are told as they are then. */
  async #tellIdle({ digest, epoch }: DigestGate): Promise<void> {
    const { cells, telling } = this.#parts;
    const blobs = `${linksOf(digest, epoch)}b/`;
    for await (const { key, live } of cells.keys(blobs)) {
      const repo = live ? repoIn(key) : undefined;
      if (repo !== undefined) await telling.anew(repo, { kind: 'blob', name: digest, digest: null });
    }
  }

  async #forget(beforeMs: number): Promise<void> {
    const { cells, gates } = this.#parts;
    let left = forgottenMax;
    for await (const { key } of cells.keys(TOLD, '', forgottenMax)) {
      const [ms = '', of = ''] = key.split('/');
      const digest = digestInKey(of);
      if (Number(ms) >= beforeMs || left-- === 0) return;
      const gate = digest && (await this.#gate(digest));
      if (gate?.toldMs !== undefined && gate.toldMs < beforeMs && !(await gates.write(gate, { epoch: gate.epoch })))
        continue;
      await cells.unmark(TOLD + key);
    }
  }
}
