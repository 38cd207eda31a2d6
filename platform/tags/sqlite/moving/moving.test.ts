/** That a move forgets nothing: what the tables are made of is written down here, beside what is carried of it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import type { Digest } from '../../../../core/digest.ts';
import { postgresSteps } from '../../postgres/schema/schema.ts';
import { openSqliteTags } from '../sqlite.ts';
import { SqliteUsed } from '../used.ts';
import { SqliteMoveWrites } from './write.ts';

const dir = mkdtempSync(join(tmpdir(), 'shoal-moving-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** All of it is in platform/tags/move/entries.ts, but for what says so. */
const CARRIED: Readonly<Record<string, string>> = {
  // Not carried: what a move has forgotten may only stay in a backend (doomed.ts); the configuration says from which it goes.
  backends_of_gc: 'name deletes brought',
  blobs: 'repo digest size idle',
  documents: 'name version body',
  doomed: 'digest since passes generation until',
  filled: 'repo target',
  identity: 'id generation tag_version forgotten_version',
  // `untagged` is not carried: it counts from the first look after the move (untagged.ts).
  manifests: 'repo digest media_type size subject artifact_type annotations untagged',
  // Not carried: what was asked for is asked for again within seconds, and writes are refused for longer.
  named: 'no name told',
  outbox: 'target repo slot kind name state version writer digest since due attempts cause',
  refs: 'repo manifest target kind',
  // `id` is a number of the engine's own.
  repos: 'id name',
  // The database's own version.
  schema: 'version',
  succession: 'id trusted',
  tags: 'repo tag digest version writer',
  tombstones: 'repo tag version writer',
  unlinked: 'digest since told generation',
  // Counted anew by the triggers, as the rest comes.
  used: 'repo bytes tags manifests',
};

test('every column is carried: whoever adds one adds it to move/entries.ts and to moving/ of each engine, then here', async () => {
  const file = join(dir, 'tags.db');
  await openSqliteTags({ file, onBroken: (error) => Promise.reject(error) })[Symbol.asyncDispose]();
  using db = new DatabaseSync(file);
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  const columns = db.prepare('SELECT name FROM pragma_table_info(?)');
  const all = tables.map(({ name }) => [
    name,
    columns
      .all(name as string)
      .map((column) => column['name'])
      .join(' '),
  ]);
  expect(Object.fromEntries(all)).toEqual(CARRIED);
  // Of PostgreSQL: what each step adds is carried by postgres/moving/.
  expect(postgresSteps).toHaveLength(9);
});

test('what a later round brings in place of what is there counts once', () => {
  using db = new DatabaseSync(join(dir, 'tags.db'));
  const writes = new SqliteMoveWrites(db, '0'.repeat(32));
  const digest = `sha256:${'1'.repeat(64)}` as Digest;
  const record = { mediaType: 'm/x', subject: null, artifactType: null, annotations: null, blobs: [], manifests: [] };
  const version = `1-${'0'.repeat(32)}` as TagVersion;
  writes.apply({ kind: 'repo', how: 'replace', entry: { repo: 'a' } });
  for (const size of [5, 7]) {
    writes.apply({ kind: 'blob', how: 'replace', entry: { repo: 'a', digest, size } });
    writes.apply({ kind: 'manifest', how: 'replace', entry: { repo: 'a', digest, size, ...record } });
    writes.apply({
      kind: 'tag',
      how: 'replace',
      entry: { repo: 'a', tag: 't', version, on: { digest, mediaType: 'm/x', size } },
    });
  }
  expect(new SqliteUsed(db).of('a')).toEqual({ bytes: 14, tags: 1, manifests: 1 });
});
