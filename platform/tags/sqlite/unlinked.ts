/**
 * Digests without a link, in SQLite: since when, and whether origins were told that they may remove the bytes.
 *
 * Rule 1: whether a digest is linked is asked of the links themselves; a row here says since when it was not.
 * Rule 2: a row with a generation stays until the digest is proved, whatever refers to it meanwhile.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { CondemnReply, UnlinkedReply } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type CondemnAt, condemnedMs } from '../store.ts';
import { SqliteDoomed } from './doomed.ts';

/** Rows that one question removes because nobody was told of them for long. */
const forgottenMax = 100;

const SQL = {
  linked: `SELECT 1 WHERE EXISTS (SELECT 1 FROM blobs WHERE digest = ?1) OR EXISTS (SELECT 1 FROM manifests WHERE digest = ?1)
    OR EXISTS (SELECT 1 FROM refs WHERE target = ?1) OR EXISTS (SELECT 1 FROM manifests WHERE subject = ?1)`,
  find: 'SELECT since, generation FROM unlinked WHERE digest = ?',
  add: 'INSERT INTO unlinked (digest, since) VALUES (?, ?) ON CONFLICT DO NOTHING',
  // A clock that was put back would keep it for ever.
  earlier: 'UPDATE unlinked SET since = ?2 WHERE digest = ?1 AND since > ?2',
  tell: 'UPDATE unlinked SET generation = ?2, told = ?3 WHERE digest = ?1',
  remove: 'DELETE FROM unlinked WHERE digest = ?',
  removeUntold: 'DELETE FROM unlinked WHERE digest = ? AND generation IS NULL',
  forget: `DELETE FROM unlinked WHERE digest IN (SELECT digest FROM unlinked WHERE told < ? LIMIT ${forgottenMax})`,
  identity: 'SELECT id FROM identity',
  nextGeneration: 'UPDATE identity SET generation = generation + 1 RETURNING id, generation',
} as const;

export class SqliteUnlinked {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #doomed: SqliteDoomed;
  readonly #nowMs: () => number;

  constructor(db: DatabaseSync, nowMs: () => number = Date.now) {
    this.#doomed = new SqliteDoomed(db);
    this.#nowMs = nowMs;
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
  }

  /** A link of these went: those that have none now are unlinked from now on. */
  lost(digests: Iterable<Digest>, nowMs: number): void {
    for (const digest of digests) {
      if (this.#linked(digest)) continue;
      this.#statements.add.run(digest, nowMs);
      this.#doomed.lost(digest, nowMs);
    }
  }

  /** The generation that has to be proved before `digest` is linked; undefined: it may be, and is from now on. */
  link(digest: Digest, proof: number | undefined): number | undefined {
    const refused = this.#doomed.refuses(digest, proof, this.#nowMs());
    if (refused !== undefined) return refused;
    const generation = this.#find(digest)?.generation ?? undefined;
    if (generation !== undefined && generation !== proof) return generation;
    this.#statements.remove.run(digest);
    this.#doomed.saved(digest);
    return undefined;
  }

  /** Something refers to these, whether or not their bytes are there. */
  referred(digests: Iterable<Digest>): void {
    for (const digest of digests) {
      this.#statements.removeUntold.run(digest);
      this.#doomed.saved(digest);
    }
  }

  /** Whether any of these may be about to go from backends, or just went: what was seen there is not there any more. */
  going(digests: Iterable<Digest>): boolean {
    return this.#doomed.going(digests);
  }

  among(digests: readonly Digest[]): UnlinkedReply {
    const { id } = this.#statements.identity.get() as { id: string };
    return { index: id, unlinked: digests.filter((digest) => !this.#linked(digest)) };
  }

  condemn(digests: readonly Digest[], { nowMs, unlinkedMs }: CondemnAt): CondemnReply {
    this.#statements.forget.run(nowMs - condemnedMs);
    const { id, generation } = this.#statements.nextGeneration.get() as { id: string; generation: number };
    const condemned: Digest[] = [];
    let waiting = 0;
    for (const digest of new Set(digests)) {
      if (this.#linked(digest)) continue;
      if (this.#due(digest, nowMs, unlinkedMs)) {
        this.#statements.tell.run(digest, generation, nowMs);
        this.#doomed.told(digest, nowMs);
        condemned.push(digest);
      } else waiting += 1;
    }
    return { index: id, condemned, waiting };
  }

  #due(digest: Digest, nowMs: number, unlinkedMs: number): boolean {
    this.#statements.add.run(digest, nowMs);
    this.#statements.earlier.run(digest, nowMs);
    const row = this.#find(digest) as Row;
    return row.generation !== null || nowMs - row.since >= unlinkedMs;
  }

  #find(digest: Digest): Row | undefined {
    return this.#statements.find.get(digest) as Row | undefined;
  }

  #linked(digest: Digest): boolean {
    return this.#statements.linked.get(digest) !== undefined;
  }
}

type Row = { readonly since: number; readonly generation: number | null };
