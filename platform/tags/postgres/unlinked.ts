/** Digests without a link, in PostgreSQL: as sqlite/unlinked.ts, many at a time. */

import type { CondemnReply } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { doomedPasses } from '../doomed.ts';
import { type CondemnAt, condemnedMs } from '../store.ts';
import { renewed } from './doomed.ts';
import type { Tx } from './numbers.ts';
import { linkedSql, statements } from './server/statements.ts';

/** Rows that one question removes because nobody was told of them for long. */
const forgottenMax = 100;

const SQL = statements('unlinked', {
  among: `SELECT d AS digest FROM unnest($1::text[]) AS d WHERE NOT ${linkedSql('d')}`,
  // And doomed (doomed.ts), where a backend has such deleted.
  lost: `WITH gone AS (SELECT DISTINCT d FROM unnest($1::text[]) AS d WHERE NOT ${linkedSql('d')}),
    doom AS (INSERT INTO doomed (digest, since) SELECT d, $2::bigint FROM gone
      WHERE EXISTS (SELECT 1 FROM backends_of_gc WHERE deletes)
      ON CONFLICT (digest) DO UPDATE SET since = excluded.since, passes = 0)
    INSERT INTO unlinked (digest, since) SELECT d, $2::bigint FROM gone ON CONFLICT DO NOTHING`,
  find: `SELECT u.generation, d.generation AS claimed, d.until FROM (SELECT $1::text AS digest) k
    LEFT JOIN unlinked u ON u.digest = k.digest LEFT JOIN doomed d ON d.digest = k.digest`,
  remove: `WITH saved AS (DELETE FROM doomed WHERE digest = $1 AND generation IS NULL)
    DELETE FROM unlinked WHERE digest = $1`,
  removeUntold: `WITH saved AS (DELETE FROM doomed WHERE digest = ANY ($1::text[]) AND generation IS NULL)
    DELETE FROM unlinked WHERE digest = ANY ($1::text[]) AND generation IS NULL`,
  forget: `DELETE FROM unlinked WHERE digest IN (SELECT digest FROM unlinked WHERE told < $1 LIMIT ${forgottenMax})`,
  // A clock that was put back would keep it for ever.
  add: `INSERT INTO unlinked (digest, since) SELECT d, $2 FROM unnest($1::text[]) AS d
    ON CONFLICT (digest) DO UPDATE SET since = least(unlinked.since, excluded.since)`,
  // What an origin still holds it may have written to a backend since: that goes once more.
  tell: `WITH told AS (UPDATE unlinked SET generation = $2, told = $3 WHERE digest = ANY ($1::text[])
      AND (generation IS NOT NULL OR $3 - since >= $4) RETURNING digest),
    again AS (UPDATE doomed d SET passes = ${doomedPasses - 1}, since = $3 FROM told
      WHERE d.digest = told.digest AND d.passes >= ${doomedPasses} AND d.generation IS NULL)
    SELECT digest FROM told`,
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
  tx: Tx,
  digest: Digest,
  proof: number | undefined,
  nowMs: number,
): Promise<number | undefined> {
  const [row] = await tx.asking.all<Unproved>(SQL.find, digest);
  const { generation = null, claimed = null, until = null } = row ?? {};
  // A deletion that is not settled (doomed.ts).
  if (claimed !== null && (until ?? 0) > nowMs) return claimed;
  if (claimed !== null && claimed === proof) return await renewed(tx, digest);
  return generation !== null && generation !== proof ? generation : undefined;
}

type Unproved = { readonly generation: number | null; readonly claimed: number | null; readonly until: number | null };

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
