/** Idle links in PostgreSQL (platform/tags/idle.ts): as sqlite/idle.ts, many at a time. */

import type { Digest } from '../../../core/digest.ts';
import type { Expired, IdleAt, IdleCounts } from '../idle.ts';
import type { Tx } from './numbers.ts';
import { type Querying, statements } from './server/statements.ts';
import { noteLost } from './unlinked.ts';

const referred = 'EXISTS (SELECT 1 FROM refs f WHERE f.target = b.digest AND f.repo = b.repo)';
const SQL = statements('idle', {
  begin: `UPDATE blobs b SET idle = $3 WHERE repo = $1 AND digest = ANY ($2::text[]) AND NOT ${referred}`,
  end: 'UPDATE blobs SET idle = NULL WHERE repo = $1 AND digest = ANY ($2::text[]) AND idle IS NOT NULL',
  anew: `UPDATE blobs b SET idle = $3 WHERE digest = ANY ($2::text[])
    AND (idle IS NOT NULL OR (repo = $1 AND NOT ${referred}))`,
  has: 'SELECT 1 AS one FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = $1 AND b.digest = $2',
  since: 'SELECT b.idle FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = $1 AND b.digest = $2',
  due: `SELECT b.repo, r.name, b.digest, b.size, b.idle, ${referred} AS wanted
    FROM blobs b JOIN repos r ON r.id = b.repo WHERE b.idle <= $1 ORDER BY b.idle LIMIT $2`,
  remove: `DELETE FROM blobs b USING unnest($1::bigint[], $2::text[]) AS k (repo, digest)
    WHERE b.repo = k.repo AND b.digest = k.digest`,
  useless: `SELECT d AS digest FROM unnest($1::text[]) AS d
    WHERE NOT EXISTS (SELECT 1 FROM blobs x WHERE x.digest = d AND (x.idle IS NULL OR x.idle > $2))
      AND NOT EXISTS (SELECT 1 FROM manifests x WHERE x.digest = d)
      AND NOT EXISTS (SELECT 1 FROM refs x WHERE x.target = d)
      AND NOT EXISTS (SELECT 1 FROM manifests x WHERE x.subject = d)
      AND (EXISTS (SELECT 1 FROM unlinked u WHERE u.digest = d AND (u.since <= $2 OR u.generation IS NOT NULL))
        OR EXISTS (SELECT 1 FROM blobs x WHERE x.digest = d))`,
  counts: `SELECT count(*)::bigint AS idle, count(*) FILTER (WHERE idle <= $1)::bigint AS due,
    coalesce(sum(size) FILTER (WHERE idle <= $1), 0)::bigint AS "dueBytes" FROM blobs WHERE idle IS NOT NULL`,
});

/** No repository's. */
const none = -1;
type Due = { repo: number; name: string; digest: Digest; size: number; idle: number; wanted: boolean };

/** The repository has linked these. */
export async function idleLinked({ asking }: Tx, repo: number, digests: readonly Digest[], nowMs: number) {
  await asking.run(SQL.begin, repo, digests, nowMs);
}

/** A manifest of the repository refers to these now. */
export async function idleReferred({ asking }: Tx, repo: number, digests: readonly Digest[]): Promise<void> {
  if (digests.length > 0) await asking.run(SQL.end, repo, digests);
}

/** A manifest of the repository, or its link, has gone; `repo` undefined: somebody relies on them. */
export async function idleAnew({ asking }: Tx, repo = none, digests: readonly Digest[], nowMs: number): Promise<void> {
  if (digests.length > 0) await asking.run(SQL.anew, repo, digests, nowMs);
}

export async function use(tx: Tx, ...[repo, digest, nowMs]: [string, Digest, number]): Promise<boolean> {
  if ((await tx.asking.all(SQL.has, repo, digest)).length === 0) return false;
  await idleAnew(tx, undefined, [digest], nowMs);
  return true;
}

export async function idleSince(asking: Querying, repo: string, digest: Digest): Promise<number | undefined> {
  return (await asking.all<{ idle: number | null }>(SQL.since, repo, digest))[0]?.idle ?? undefined;
}

export async function uselessSince(asking: Querying, digests: readonly Digest[], beforeMs: number): Promise<Digest[]> {
  const rows = await asking.all<{ digest: Digest }>(SQL.useless, digests, beforeMs);
  return rows.map(({ digest }) => digest);
}

export async function idleCounts(asking: Querying, beforeMs: number): Promise<IdleCounts> {
  const [row] = await asking.all<IdleCounts>(SQL.counts, beforeMs);
  return row ?? { idle: 0, due: 0, dueBytes: 0 };
}

/** `gone`: that repository's link has. */
export async function expire(
  tx: Tx,
  { beforeMs, n, keeps, nowMs }: IdleAt & { readonly nowMs: number },
  gone: (id: number, repo: string, digest: Digest) => Promise<void>,
): Promise<Expired> {
  const due = await tx.asking.all<Due>(SQL.due, beforeMs, n);
  for (const { repo, digest, wanted } of due) if (wanted) await idleReferred(tx, repo, [digest]);
  const kept = due.filter(({ name }) => keeps?.(name) === true);
  for (const { repo, digest } of kept) await idleLinked(tx, repo, [digest], nowMs);
  const over = due.filter((one) => !one.wanted && !kept.includes(one));
  if (over.length > 0)
    await tx.asking.run(
      SQL.remove,
      over.map(({ repo }) => repo),
      over.map(({ digest }) => digest),
    );
  for (const { repo, name, digest, idle } of over) {
    await noteLost(tx, [digest], idle);
    await gone(repo, name, digest);
  }
  return { links: over.length, bytes: over.reduce((sum, { size }) => sum + size, 0), more: due.length === n };
}
