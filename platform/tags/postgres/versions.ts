/** The tags themselves in PostgreSQL, each with the version of its last write, and the tombstones of deleted ones. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { forgetEvery, leadOf, numberOf, type TagState, tombstonesMax, writerOf } from '../versions.ts';
import type { Numbers, Tx } from './numbers.ts';
import { statements } from './server/statements.ts';

const SQL = statements('versions', {
  // A tag is in one of the two, or in neither.
  at: `SELECT tag, version AS no, writer, digest FROM tags WHERE repo = $1 AND tag = ANY ($2::text[])
    UNION ALL SELECT tag, version, writer, NULL FROM tombstones WHERE repo = $1 AND tag = ANY ($2::text[])`,
  on: 'SELECT tag FROM tags WHERE repo = $1 AND digest = $2',
  put: `INSERT INTO tags (repo, tag, digest, version, writer) SELECT $1, tag, $3, $4, $5 FROM unnest($2::text[]) AS tag
    ON CONFLICT (repo, tag) DO UPDATE SET digest = excluded.digest, version = excluded.version, writer = excluded.writer`,
  revive: 'DELETE FROM tombstones WHERE repo = $1 AND tag = ANY ($2::text[])',
  tagged: 'UPDATE manifests SET untagged = NULL WHERE repo = $1 AND digest = $2 AND untagged IS NOT NULL',
  remove: 'DELETE FROM tags WHERE repo = $1 AND tag = ANY ($2::text[])',
  bury: `INSERT INTO tombstones (repo, tag, version, writer) SELECT $1, tag, $3, $4 FROM unnest($2::text[]) AS tag
    ON CONFLICT (repo, tag) DO UPDATE SET version = excluded.version, writer = excluded.writer`,
  oldest: `SELECT version AS no FROM tombstones ORDER BY version DESC LIMIT 1 OFFSET ${tombstonesMax}`,
  forget: 'DELETE FROM tombstones WHERE version <= $1',
});

type Row = {
  readonly tag: string;
  readonly no: number;
  readonly writer: string | null;
  readonly digest: Digest | null;
};
type Setting = {
  readonly tags: readonly string[];
  readonly digest: Digest;
  readonly as?: TagVersion | undefined;
};
export type TagHere = TagState & { readonly digest: Digest | undefined };

const nowhere: TagHere = { there: false, version: null, digest: undefined };

export class PostgresVersions {
  readonly #nowMs: (() => number) | undefined;
  /** Writes since it was looked what is too old. */
  #unlooked = 0;

  /** `nowMs`: what numbers are not below, if anything. */
  constructor(nowMs: (() => number) | undefined) {
    this.#nowMs = nowMs;
  }

  async states({ asking, numbers }: Tx, repo: number, tags: readonly string[]): Promise<TagHere[]> {
    const rows = await asking.all<Row>(SQL.at, repo, tags);
    const byTag = new Map(rows.map((row) => [row.tag, row]));
    return tags.map((tag) => {
      const row = byTag.get(tag);
      if (row === undefined) return nowhere;
      const { no, writer, digest } = row;
      return { there: digest !== null, version: numbers.versionOf(no, writer), digest: digest ?? undefined };
    });
  }

  async state(tx: Tx, repo: number, tag: string): Promise<TagHere> {
    return (await this.states(tx, repo, [tag]))[0] ?? nowhere;
  }

  /** Sets them in one write; with the version that it has, if it was made elsewhere. */
  async put(tx: Tx, repo: number, { tags, digest, as }: Setting): Promise<TagVersion> {
    const version = await this.#at(tx, as);
    await this.#put(tx, repo, { tags, digest, version });
    return version;
  }

  /** Removes them in one write, as well. */
  async remove(tx: Tx, repo: number, tags: readonly string[], as?: TagVersion): Promise<TagVersion> {
    const version = await this.#at(tx, as);
    await this.#bury(tx, repo, { tags, version });
    return version;
  }

  async #at(tx: Tx, as: TagVersion | undefined): Promise<TagVersion> {
    if (as === undefined) return await this.next(tx);
    this.seen(tx.numbers, as);
    return as;
  }

  /** Another database has written so. */
  seen(numbers: Numbers, version: TagVersion): void {
    const lead = leadOf(version);
    if (lead !== undefined) numbers.seen(lead);
  }

  /** The same as another database has written it. */
  async adopt(tx: Tx, repo: number, tag: string, to: { digest: Digest | null; version: TagVersion }): Promise<void> {
    const { digest, version } = to;
    if (digest === null) await this.remove(tx, repo, [tag], version);
    else await this.put(tx, repo, { tags: [tag], digest, as: version });
  }

  /** The tags on a manifest. */
  async on({ asking }: Tx, repo: number, digest: Digest): Promise<string[]> {
    return (await asking.all<{ tag: string }>(SQL.on, repo, digest)).map(({ tag }) => tag);
  }

  /** That of the next write. */
  async next(tx: Tx): Promise<TagVersion> {
    const no = tx.numbers.next(this.#nowMs?.() ?? 0);
    if (no % forgetEvery === 0 || ++this.#unlooked >= forgetEvery) await this.#forget(tx);
    return tx.numbers.versionOf(no);
  }

  async #put(
    { asking, numbers }: Tx,
    repo: number,
    { tags, digest, version }: { tags: readonly string[]; digest: Digest; version: TagVersion },
  ): Promise<void> {
    await Promise.all([
      asking.run(SQL.put, repo, tags, digest, numberOf(version), foreign(numbers, version)),
      asking.run(SQL.revive, repo, tags),
      // It is not known to have none any more (untagged.ts).
      asking.run(SQL.tagged, repo, digest),
    ]);
  }

  async #bury(
    { asking, numbers }: Tx,
    repo: number,
    { tags, version }: { tags: readonly string[]; version: TagVersion },
  ): Promise<void> {
    await Promise.all([
      asking.run(SQL.remove, repo, tags),
      asking.run(SQL.bury, repo, tags, numberOf(version), foreign(numbers, version)),
    ]);
  }

  async #forget({ asking, numbers }: Tx): Promise<void> {
    this.#unlooked = 0;
    const [oldest] = await asking.all<{ no: number }>(SQL.oldest);
    if (oldest === undefined) return;
    await asking.run(SQL.forget, oldest.no);
    numbers.forgotten = oldest.no;
  }
}

function foreign({ id }: Numbers, version: TagVersion): string | null {
  const writer = writerOf(version);
  return writer === id ? null : writer;
}
