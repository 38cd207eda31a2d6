/** Manifests without a tag, in PostgreSQL (platform/tags/untagged.ts): as sqlite/retention/untagged.ts, many at a time. */

import type { Digest } from '../../../../core/digest.ts';
import type { TagWrites } from '../../store.ts';
import { hasTagSql, isFreeSql, type UntaggedRow, type UntaggedStore, untaggedPage } from '../../untagged.ts';
import type { Tx } from '../numbers.ts';
import { type Querying, statements } from '../server/statements.ts';

/** The step of the schema that adds its column. */
export const POSTGRES_UNTAGGED = `
-- Since when a manifest is known to have no tag (untagged.ts). NULL: it has one, or nobody has looked.
ALTER TABLE manifests ADD COLUMN untagged bigint;
CREATE INDEX manifests_by_untagged ON manifests (untagged) WHERE untagged IS NOT NULL;
`;

const REPO = '(SELECT id FROM repos WHERE name = $1)';

const SQL = statements('untagged', {
  look: `SELECT m.digest, m.untagged AS since, ${hasTagSql} AS tagged, NOT ${hasTagSql} AND ${isFreeSql} AS free
    FROM (SELECT repo, digest, subject, untagged FROM manifests WHERE repo = ${REPO} AND digest > $2
      ORDER BY digest LIMIT $3) m ORDER BY m.digest`,
  note: `UPDATE manifests m SET untagged = $3
    WHERE repo = ${REPO} AND digest = ANY ($2::text[]) AND untagged IS NULL AND NOT ${hasTagSql}`,
  unnote: `UPDATE manifests m SET untagged = NULL WHERE repo = ${REPO} AND digest = ANY ($2::text[]) AND ${hasTagSql}`,
  asked: `UPDATE manifests SET untagged = $3 WHERE repo = ${REPO} AND digest = $2 AND untagged IS NOT NULL`,
  has: `SELECT 1 AS one FROM manifests WHERE repo = ${REPO} AND digest = $2`,
  due: `SELECT 1 AS one FROM manifests m
    WHERE repo = ${REPO} AND digest = $2 AND untagged <= $3 AND NOT ${hasTagSql} AND ${isFreeSql}`,
  forget: `UPDATE manifests SET untagged = NULL
    WHERE (repo, digest) IN (SELECT repo, digest FROM manifests WHERE untagged IS NOT NULL LIMIT $1)`,
});

type Parts = {
  readonly read: <T>(act: (asking: Querying) => Promise<T>) => Promise<T>;
  readonly write: <T>(act: (tx: Tx) => Promise<T>) => Promise<T>;
  readonly deleteManifest: (tx: Tx, ...of: Parameters<TagWrites['deleteManifest']>) => Promise<unknown>;
};

export function postgresUntagged({ read, write, deleteManifest }: Parts): UntaggedStore {
  return {
    lookUntagged: async (of) =>
      untaggedPage(await read((asking) => asking.all<UntaggedRow>(SQL.look, of.repo, of.last ?? '', of.n)), of),
    noteUntagged: (repo, noted, nowMs) =>
      write(async ({ asking }) => {
        await Promise.all([
          asking.run(SQL.note, repo, [...noted.fresh], nowMs),
          asking.run(SQL.unnote, repo, [...noted.tagged]),
        ]);
      }),
    askedFor: (repo, digest, nowMs) =>
      write(async ({ asking }) => {
        const [, has] = await Promise.all([
          asking.run(SQL.asked, repo, digest, nowMs),
          asking.all(SQL.has, repo, digest),
        ]);
        return has.length > 0;
      }),
    retire: (repo, digests, { beforeMs, nowMs }) =>
      write(async (tx) => {
        const gone: Digest[] = [];
        for (const digest of digests) {
          if ((await tx.asking.all(SQL.due, repo, digest, beforeMs)).length === 0) continue;
          if ((await deleteManifest(tx, repo, digest, nowMs)) === true) gone.push(digest);
        }
        return gone;
      }),
    forgetUntagged: (n) => write(async ({ asking }) => (await asking.run(SQL.forget, n)) === n),
  };
}
