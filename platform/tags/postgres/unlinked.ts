/** Digests without a link, in PostgreSQL: as sqlite/unlinked.ts, many at a time. */

import type { CondemnReply } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type CondemnAt, condemnedMs } from '../store.ts';
import type { Tx } from './numbers.ts';
import { linkedSql, statements } from './server/statements.ts';

/** Rows that one question removes because nobody was told of them for long. */
const forgottenMax = 100;

const SQL = statements('unlinked', {
  among: `SELECT d AS digest FROM unnest($1::text[]) AS d WHERE NOT ${linkedSql('d')}`,
  lost: `INSERT INTO unlinked (digest, since) SELECT DISTINCT d, $2::bigint FROM unnest($1::text[]) AS d
    WHERE NOT ${linkedSql('d')} ON CONFLICT DO NOTHING`,
  find: 'SELECT generation FROM unlinked WHERE digest = $1 AND generation IS NOT NULL',
  remove: 'DELETE FROM unlinked WHERE digest = $1',
  removeUntold: 'DELETE FROM unlinked WHERE digest = ANY ($1::text[]) AND generation IS NULL',
  forget: `DELETE FROM unlinked WHERE digest IN (SELECT digest FROM unlinked WHERE told < $1 LIMIT ${forgottenMax})`,
  // A clock that was put back would keep it for ever.
  add: `INSERT INTO unlinked (digest, since) SELECT d, $2 FROM unnest($1::text[]) AS d
    ON CONFLICT (digest) DO UPDATE SET since = least(unlinked.since, excluded.since)`,
  tell: `UPDATE unlinked SET generation = $2, told = $3 WHERE digest = ANY ($1::text[])
    AND (generation IS NOT NULL OR $3 - since >= $4) RETURNING digest`,
});

/** Those of `digests` that have no link now. */
export async function unlinkedAmong({ asking }: Pick<Tx, 'asking'>, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await asking.all<{ digest: Digest }>(SQL.among, [...new Set(digests)]);
  const found = new Set(rows.map(({ digest }) => digest));
  return digests.filter((digest) => found.has(digest));
}

/** A link of these went: those that have none now are unlinked from now on. */
export async function noteLost({ asking }: Tx, digests: readonly Digest[], nowMs: number): Promise<void> {
  if (digests.length > 0) await asking.run(SQL.lost, digests, nowMs);
}

/** The generation that has to be proved before `digest` is linked; undefined: it may be. */
export async function unprovedIn(
  { asking }: Tx,
  digest: Digest,
  proof: number | undefined,
): Promise<number | undefined> {
  const [row] = await asking.all<{ generation: number }>(SQL.find, digest);
  return row !== undefined && row.generation !== proof ? row.generation : undefined;
}

/** It is linked from now on. */
export async function linked({ asking }: Tx, digest: Digest): Promise<void> {
  await asking.run(SQL.remove, digest);
}

/** Something refers to these, whether or not their bytes are there. */
export async function referred({ asking }: Tx, digests: readonly Digest[]): Promise<void> {
  if (digests.length > 0) await asking.run(SQL.removeUntold, digests);
}

export async function condemn(
  tx: Tx,
  digests: readonly Digest[],
  { nowMs, unlinkedMs }: CondemnAt,
): Promise<CondemnReply> {
  const { asking, numbers } = tx;
  await asking.run(SQL.forget, nowMs - condemnedMs);
  numbers.generation += 1;
  const without = await unlinkedAmong(tx, [...new Set(digests)]);
  if (without.length > 0) await asking.run(SQL.add, without, nowMs);
  const told = await asking.all<{ digest: Digest }>(SQL.tell, without, numbers.generation, nowMs, unlinkedMs);
  const now = new Set(told.map(({ digest }) => digest));
  const condemned = without.filter((digest) => now.has(digest));
  return { index: numbers.id, condemned, waiting: without.length - condemned.length };
}
