/** Records of manifests and what they refer to, in PostgreSQL. */

import type { Digest } from '../../../core/digest.ts';
import type { ManifestWrite } from '../store.ts';
import { type Querying, statements } from './server/statements.ts';

const SQL = statements('manifests', {
  lacking: `SELECT d AS digest FROM unnest($2::text[]) AS d
      WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.repo = $1 AND b.digest = d)
    UNION ALL SELECT d FROM unnest($3::text[]) AS d
      WHERE NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repo = $1 AND m.digest = d)`,
  has: 'SELECT 1 AS one FROM manifests WHERE repo = $1 AND digest = $2',
  targets: `SELECT target FROM refs WHERE repo = $1 AND manifest = $2
    UNION SELECT subject FROM manifests WHERE repo = $1 AND digest = $2 AND subject IS NOT NULL`,
  put: `INSERT INTO manifests (repo, digest, media_type, size, subject, artifact_type, annotations)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repo, digest) DO UPDATE SET media_type = excluded.media_type,
      size = excluded.size, subject = excluded.subject, artifact_type = excluded.artifact_type,
      annotations = excluded.annotations, untagged = NULL`,
  dropRefs: 'DELETE FROM refs WHERE repo = $1 AND manifest = $2',
  // One that is named as both counts as what it is named as last, as everywhere.
  putRefs: `INSERT INTO refs (repo, manifest, target, kind)
    SELECT $1::bigint, $2, d, 'blob' FROM unnest($3::text[]) AS d WHERE d <> ALL ($4::text[])
    UNION SELECT $1::bigint, $2, d, 'manifest' FROM unnest($4::text[]) AS d`,
  subject: 'SELECT 1 AS one FROM manifests WHERE repo = $1 AND digest = $2 AND subject IS NOT NULL',
  orphaned: `UPDATE manifests
    SET untagged = greatest(untagged, coalesce((SELECT untagged FROM manifests WHERE repo = $1 AND digest = $2), $3))
    WHERE repo = $1 AND untagged IS NOT NULL AND digest IN (
      SELECT target FROM refs WHERE repo = $1 AND manifest = $2 AND kind = 'manifest'
      UNION SELECT digest FROM manifests WHERE subject = $2 AND repo = $1)`,
  remove: 'DELETE FROM manifests WHERE repo = $1 AND digest = $2',
});

type Records = Pick<ManifestWrite, 'mediaType' | 'size' | 'subject' | 'artifactType' | 'annotations' | 'manifests'> & {
  readonly blobs: readonly Digest[];
};

/** Of these references the ones that the repository lacks. */
export async function lackingOf(
  asking: Querying,
  repo: number,
  { blobs, manifests, sparse }: Pick<ManifestWrite, 'blobs' | 'manifests' | 'sparse'>,
): Promise<Digest[]> {
  const all = sparse === true ? blobs : [...blobs, ...manifests];
  if (all.length === 0) return [];
  const rows = await asking.all<{ digest: Digest }>(SQL.lacking, repo, blobs, sparse === true ? [] : manifests);
  const found = new Set(rows.map(({ digest }) => digest));
  return [...new Set(all)].filter((digest) => found.has(digest));
}

export async function hasManifest(asking: Querying, repo: number, digest: Digest): Promise<boolean> {
  return (await asking.all(SQL.has, repo, digest)).length > 0;
}

/** Whether it is here, and has a subject. */
export async function hasSubject(asking: Querying, repo: number, digest: Digest): Promise<boolean> {
  return (await asking.all(SQL.subject, repo, digest)).length > 0;
}

/** What the manifest refers to, its subject included. */
export async function targetsOf(asking: Querying, repo: number, digest: Digest): Promise<Digest[]> {
  return (await asking.all<{ target: Digest }>(SQL.targets, repo, digest)).map(({ target }) => target);
}

export async function writeManifest(asking: Querying, repo: number, digest: Digest, record: Records): Promise<void> {
  const { mediaType, size, subject, artifactType, annotations, blobs, manifests } = record;
  const told = annotations === undefined ? null : JSON.stringify(annotations);
  await Promise.all([
    asking.run(SQL.put, repo, digest, mediaType, size, subject ?? null, artifactType ?? null, told),
    asking.run(SQL.dropRefs, repo, digest),
    asking.run(SQL.putRefs, repo, digest, blobs, manifests),
  ]);
}

/** It is about to go: since when what it had kept has no tag (untagged.ts). */
export async function orphaned(asking: Querying, repo: number, digest: Digest, nowMs: number): Promise<void> {
  await asking.run(SQL.orphaned, repo, digest, nowMs);
}

/** Whether it was there. */
export async function removeManifest(asking: Querying, repo: number, digest: Digest): Promise<boolean> {
  if ((await asking.run(SQL.remove, repo, digest)) === 0) return false;
  await asking.run(SQL.dropRefs, repo, digest);
  return true;
}
