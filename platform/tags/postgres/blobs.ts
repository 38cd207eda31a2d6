/** Blobs' links in PostgreSQL. */

import type { BlobLink } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Querying, statements } from './server/statements.ts';

const SQL = statements('blobs', {
  size: 'SELECT b.size FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = $1 AND b.digest = $2',
  // Idle (idle.ts), unless a manifest refers to it already.
  put: `INSERT INTO blobs (repo, digest, size, idle) SELECT $1::bigint, $2::text, $3::bigint,
      CASE WHEN NOT EXISTS (SELECT 1 FROM refs f WHERE f.target = $2::text AND f.repo = $1::bigint) THEN $4::bigint END
    ON CONFLICT (repo, digest) DO UPDATE SET size = excluded.size, idle = excluded.idle`,
  // What is linked here has the size that its pusher said; what waits to be written is not replaced.
  adopt: `INSERT INTO blobs (repo, digest, size) SELECT DISTINCT ON (k.digest) $1::bigint, k.digest, k.size
    FROM unnest($2::text[], $3::bigint[]) AS k (digest, size) WHERE NOT EXISTS
      (SELECT 1 FROM outbox o WHERE o.target = $4 AND o.repo = $1 AND o.slot = 0 AND o.kind = 'blob' AND o.name = k.digest)
    ON CONFLICT DO NOTHING`,
  remove: 'DELETE FROM blobs WHERE repo = $1 AND digest = $2',
});

export async function sizeOf(asking: Querying, repo: string, digest: Digest): Promise<number | undefined> {
  return (await asking.all<{ size: number }>(SQL.size, repo, digest))[0]?.size;
}

export async function putBlob(
  asking: Querying,
  repo: number,
  { digest, size }: BlobLink,
  nowMs: number,
): Promise<void> {
  await asking.run(SQL.put, repo, digest, size, nowMs);
}

/** From a backend. How many came. */
export async function adoptBlobs(
  asking: Querying,
  { id, backend }: { readonly id: number; readonly backend: string | undefined },
  blobs: readonly { readonly digest: Digest; readonly size: number }[],
): Promise<number> {
  if (blobs.length === 0) return 0;
  const [digests, sizes] = [blobs.map(({ digest }) => digest), blobs.map(({ size }) => size)];
  return await asking.run(SQL.adopt, id, digests, sizes, backend ?? '');
}

/** Whether it was there. */
export async function dropBlobLink(asking: Querying, repo: number, digest: Digest): Promise<boolean> {
  return (await asking.run(SQL.remove, repo, digest)) > 0;
}
