/** How much a database of an index holds, for whoever copies it. */

import type { DatabaseSync } from 'node:sqlite';

export type HeldTags = {
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
};

export function heldIn(db: DatabaseSync): HeldTags {
  // Of every version of the schema.
  const row = db
    .prepare(
      `SELECT (SELECT count(*) FROM repos) AS repositories, (SELECT count(*) FROM tags) AS tags,
        (SELECT count(*) FROM manifests) AS manifests`,
    )
    .get();
  return { ...(row as HeldTags) };
}
