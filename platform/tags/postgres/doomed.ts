/** What may be deleted from backends, in PostgreSQL (platform/tags/doomed.ts): as sqlite/doomed.ts, many at a time. */

import type { Digest } from '../../../core/digest.ts';
import {
  type Doomed,
  type DoomedAt,
  type DoomedClaims,
  type DoomedCounts,
  type DoomedStore,
  doomedPasses,
  lateMs,
} from '../doomed.ts';
import { condemnedMs } from '../store.ts';
import type { Tx } from './numbers.ts';
import { linkedSql, type Querying, statements } from './server/statements.ts';

/** The step of the schema that makes its tables. */
export const POSTGRES_DOOMED = `
-- Digests that were linked, and are not since then (doomed.ts). generation: that of a deletion that is not settled, claimed
-- until then; passes: deletions so far.
CREATE TABLE doomed (
  digest text COLLATE "C" PRIMARY KEY, since bigint NOT NULL, passes integer NOT NULL DEFAULT 0,
  generation bigint, until bigint
);
CREATE INDEX doomed_by_since ON doomed (since);
CREATE INDEX doomed_by_until ON doomed (until) WHERE until IS NOT NULL;
-- Backends from which what nobody needs is deleted; those that others filled.
CREATE TABLE backends_of_gc (name text COLLATE "C" PRIMARY KEY, deletes boolean NOT NULL, brought boolean NOT NULL);
`;

const linked = linkedSql('d.digest');
const SQL = statements('doomed', {
  noDeletes: 'UPDATE backends_of_gc SET deletes = false WHERE name <> ALL ($1::text[])',
  deletes: `INSERT INTO backends_of_gc SELECT name, true, false FROM unnest($1::text[]) AS name
    ON CONFLICT (name) DO UPDATE SET deletes = true`,
  brought: 'INSERT INTO backends_of_gc VALUES ($1, false, true) ON CONFLICT (name) DO UPDATE SET brought = true',
  broughtAll: 'SELECT name FROM backends_of_gc WHERE brought ORDER BY name',
  going: `SELECT 1 AS one FROM doomed WHERE digest = ANY ($1::text[]) AND (generation IS NOT NULL OR passes > 0) LIMIT 1`,
  over: `SELECT digest, ${linked} AS linked FROM doomed d
    WHERE until <= $1 AND (since <= $2 OR ${linked}) ORDER BY until LIMIT $3`,
  forget: `DELETE FROM doomed WHERE digest IN (SELECT digest FROM doomed
    WHERE since <= $1 AND passes >= ${doomedPasses} AND generation IS NULL LIMIT $2)`,
  due: `SELECT digest, ${linked} AS linked FROM doomed d
    WHERE since <= $1 AND passes < ${doomedPasses} AND generation IS NULL ORDER BY since LIMIT $2`,
  saved: 'DELETE FROM doomed WHERE digest = ANY ($1::text[]) AND generation IS NULL',
  condemn: `INSERT INTO unlinked (digest, since, told, generation)
    SELECT d, $2::bigint, $2::bigint, $3::bigint FROM unnest($1::text[]) AS d
    ON CONFLICT (digest) DO UPDATE SET told = excluded.told, generation = excluded.generation`,
  claim: 'UPDATE doomed SET generation = $2, until = $3 WHERE digest = ANY ($1::text[])',
  linked: `SELECT digest FROM unnest($1::text[]) AS d (digest) WHERE ${linked}`,
  renew: 'UPDATE unlinked SET generation = $2 WHERE digest = ANY ($1::text[])',
  settle: `UPDATE doomed d SET generation = NULL, until = NULL, passes = passes + $3::int,
      since = CASE WHEN $3::int > 0 THEN $4::bigint ELSE since END
    FROM unnest($1::text[], $2::bigint[]) AS k (digest, generation)
    WHERE d.digest = k.digest AND d.generation = k.generation`,
  late: `DELETE FROM doomed d WHERE digest = ANY ($1::text[]) AND until <= $2 AND ${linked}`,
  counts: `SELECT count(*) FILTER (WHERE passes < ${doomedPasses}) AS doomed,
    count(*) FILTER (WHERE passes < ${doomedPasses} AND since <= $1) AS due,
    count(*) FILTER (WHERE generation IS NOT NULL) AS claimed FROM doomed`,
});

type Found = { readonly digest: Digest; readonly linked: boolean };

/** Whether any of these may be about to go from backends, or just went. */
export async function goingAmong({ asking }: Tx, digests: readonly Digest[]): Promise<boolean> {
  return digests.length > 0 && (await asking.all(SQL.going, [...digests])).length > 0;
}

/** Of a claim that is over, of which it was proved: what was proved before it may have gone after it. */
export async function renewed({ asking, numbers }: Tx, digest: Digest): Promise<number> {
  numbers.generation += 1;
  await asking.run(SQL.renew, [digest], numbers.generation);
  return numbers.generation;
}

export type DoomedParts = {
  readonly read: <T>(act: (asking: Querying) => Promise<T>) => Promise<T>;
  readonly write: <T>(act: (tx: Tx) => Promise<T>) => Promise<T>;
};

export function postgresDoomed({ read, write }: DoomedParts): DoomedStore {
  return {
    deletesFrom: (backends) =>
      write(async ({ asking }) => {
        await asking.run(SQL.noDeletes, [...backends]);
        await asking.run(SQL.deletes, [...backends]);
      }),
    broughtFrom: (backend) => write(async ({ asking }) => void (await asking.run(SQL.brought, backend))),
    broughtBackends: async () =>
      (await read((asking) => asking.all<{ name: string }>(SQL.broughtAll))).map(({ name }) => name),
    claimDoomed: (at) => write((tx) => claim(tx, at)),
    settleDoomed: (claims, gone, nowMs) => write((tx) => settle(tx, claims, { gone, nowMs })),
    savedDoomed: (digests, nowMs) =>
      write(async ({ asking }) => void (await asking.run(SQL.late, [...digests], nowMs - lateMs))),
    doomedCounts: async (beforeMs) => {
      const [counts] = await read((asking) => asking.all<DoomedCounts>(SQL.counts, beforeMs));
      return counts ?? { doomed: 0, due: 0, claimed: 0 };
    },
  };
}

async function claim(tx: Tx, { nowMs, beforeMs, untilMs, n }: DoomedAt): Promise<DoomedClaims> {
  const { asking, numbers } = tx;
  const [, over, due] = await Promise.all([
    asking.run(SQL.forget, beforeMs - condemnedMs, n),
    asking.all<Found>(SQL.over, nowMs, beforeMs, n),
    asking.all<Found>(SQL.due, beforeMs, n),
  ]);
  const digestsOf = (all: readonly Found[], are: boolean): Digest[] =>
    all.filter((one) => one.linked === are).map(({ digest }) => digest);
  const saved = digestsOf(due, true);
  if (saved.length > 0) await asking.run(SQL.saved, saved);
  const unneeded = digestsOf([...over, ...due], false);
  if (unneeded.length > 0) {
    numbers.generation += 1;
    await asking.run(SQL.condemn, unneeded, nowMs, numbers.generation);
    await asking.run(SQL.claim, unneeded, numbers.generation, untilMs);
  }
  const { generation } = numbers;
  const claims = unneeded.map((digest): Doomed => ({ digest, generation }));
  return { claims, again: digestsOf(over, true), more: due.length === n };
}

async function settle(
  { asking, numbers }: Tx,
  claims: readonly Doomed[],
  { gone, nowMs }: { readonly gone: boolean; readonly nowMs: number },
): Promise<Digest[]> {
  if (claims.length === 0) return [];
  const all = claims.map(({ digest }) => digest);
  const linkedNow = (await asking.all<{ digest: Digest }>(SQL.linked, all)).map(({ digest }) => digest);
  const over = claims.filter(({ digest }) => !linkedNow.includes(digest));
  const digests = over.map(({ digest }) => digest);
  const generations = over.map(({ generation }) => generation);
  numbers.generation += 1;
  await asking.run(SQL.renew, digests, numbers.generation);
  await asking.run(SQL.settle, digests, generations, gone ? 1 : 0, nowMs);
  return linkedNow;
}
