/** What is read of the tag store in PostgreSQL: one statement each, which sees all that was committed before it began. */

import type {
  BlobLink,
  CatalogPage,
  ManifestRecord,
  ReferrerList,
  ReferrerRecord,
  TagPage,
  TagRecord,
} from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { References, TagPlace } from '../outbox.ts';
import { fitting } from '../pages.ts';
import { type PageOf, type ReferrersOf, referrerAnnotationBytesMax } from '../store.ts';
import { tagVersion } from '../versions.ts';
import { type Querying, statements } from './server/statements.ts';

const manifest = 'm.digest, m.media_type AS "mediaType", m.size';
const SQL = statements('reads', {
  tag: `SELECT ${manifest}, t.version AS no, t.writer FROM repos r JOIN tags t ON t.repo = r.id
    JOIN manifests m ON m.repo = r.id AND m.digest = t.digest WHERE r.name = $1 AND t.tag = $2`,
  manifest: `SELECT ${manifest} FROM repos r JOIN manifests m ON m.repo = r.id WHERE r.name = $1 AND m.digest = $2`,
  tags: `SELECT ARRAY(SELECT t.tag FROM tags t WHERE t.repo = r.id ORDER BY lower(t.tag), t.tag LIMIT $2) AS tags
    FROM repos r WHERE r.name = $1`,
  tagsAfter: `SELECT ARRAY(SELECT t.tag FROM tags t WHERE t.repo = r.id
      AND (lower(t.tag), t.tag) > (lower($3::text COLLATE "C"), $3::text COLLATE "C")
    ORDER BY lower(t.tag), t.tag LIMIT $2) AS tags FROM repos r WHERE r.name = $1`,
  // Annotations come as far as they fit a page.
  referrers: `WITH page AS (
      SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations, octet_length(m.annotations) AS bytes
      FROM manifests m WHERE m.repo = (SELECT id FROM repos WHERE name = $1) AND m.subject = $2 AND m.digest > $3
        AND ($4::text IS NULL OR m.artifact_type = $4) ORDER BY m.digest LIMIT $5),
    summed AS (SELECT *, sum(bytes) OVER (ORDER BY digest) AS total, row_number() OVER (ORDER BY digest) AS at FROM page)
    SELECT digest, media_type AS "mediaType", size, artifact_type AS "artifactType", bytes,
      CASE WHEN at = 1 OR total <= ${referrerAnnotationBytesMax} THEN annotations END AS annotations
    FROM summed ORDER BY digest`,
  blob: 'SELECT b.digest, b.size FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = $1 AND b.digest = $2',
  catalog: `SELECT name FROM repos r WHERE name > $1 AND EXISTS (SELECT 1 FROM manifests m WHERE m.repo = r.id)
    ORDER BY name LIMIT $2`,
  holders: `SELECT name FROM repos WHERE name > $2 AND id IN (SELECT repo FROM blobs WHERE digest = $1
    UNION SELECT repo FROM manifests WHERE digest = $1) ORDER BY name LIMIT $3`,
  references: `SELECT f.target, f.kind FROM repos r JOIN refs f ON f.repo = r.id WHERE r.name = $1 AND f.manifest = $2
    AND (f.kind = 'blob' OR EXISTS (SELECT 1 FROM manifests m WHERE m.repo = r.id AND m.digest = f.target))
    ORDER BY f.target`,
  listed: `SELECT 1 AS one FROM refs f JOIN repos r ON r.id = f.repo
    WHERE r.name = $1 AND f.target = $2 AND f.kind = 'manifest' LIMIT 1`,
  state: `SELECT t.version AS no, t.writer, t.digest FROM repos r JOIN tags t ON t.repo = r.id
      WHERE r.name = $1 AND t.tag = $2
    UNION ALL SELECT t.version, t.writer, NULL FROM repos r JOIN tombstones t ON t.repo = r.id
      WHERE r.name = $1 AND t.tag = $2`,
});

type Versioned = { readonly no: number; readonly writer: string | null };
type ReferrerRow = ManifestRecord & {
  readonly artifactType: string | null;
  readonly bytes: number | null;
  readonly annotations: string | null;
};

export class PostgresReads {
  readonly #database: string;

  constructor(database: string) {
    this.#database = database;
  }

  async tag(asking: Querying, repo: string, tag: string): Promise<TagRecord | undefined> {
    const [row] = await asking.all<ManifestRecord & Versioned>(SQL.tag, repo, tag);
    if (row === undefined) return undefined;
    const { no, writer, ...record } = row;
    return { ...record, version: tagVersion(no, writer ?? this.#database) };
  }

  async tags(asking: Querying, repo: string, { n, last }: PageOf): Promise<TagPage | undefined> {
    const [row] = await (last === undefined
      ? asking.all<{ tags: string[] }>(SQL.tags, repo, n + 1)
      : asking.all<{ tags: string[] }>(SQL.tagsAfter, repo, n + 1, last));
    return row && { tags: row.tags.slice(0, n), more: row.tags.length > n };
  }

  async manifest(asking: Querying, repo: string, digest: Digest): Promise<ManifestRecord | undefined> {
    return (await asking.all<ManifestRecord>(SQL.manifest, repo, digest))[0];
  }

  async blob(asking: Querying, repo: string, digest: Digest): Promise<BlobLink | undefined> {
    return (await asking.all<BlobLink>(SQL.blob, repo, digest))[0];
  }

  async referrers(asking: Querying, repo: string, digest: Digest, of: ReferrersOf): Promise<ReferrerList> {
    const { n, last, artifactType } = of;
    const rows = await asking.all<ReferrerRow>(SQL.referrers, repo, digest, last ?? '', artifactType ?? null, n + 1);
    const page = fitting(rows.slice(0, n), ({ bytes }) => bytes ?? 0);
    return { manifests: page.map(referrerOf), more: page.length < rows.length };
  }

  async catalog(asking: Querying, { n, last }: PageOf): Promise<CatalogPage> {
    return pageOf(await asking.all<{ name: string }>(SQL.catalog, last ?? '', n + 1), n);
  }

  async holders(asking: Querying, digest: Digest, { n, last }: PageOf): Promise<CatalogPage> {
    return pageOf(await asking.all<{ name: string }>(SQL.holders, digest, last ?? '', n + 1), n);
  }

  async references(asking: Querying, repo: string, digest: Digest): Promise<References> {
    const all = await asking.all<{ target: Digest; kind: string }>(SQL.references, repo, digest);
    const of = (kind: string): Digest[] => all.filter((one) => one.kind === kind).map(({ target }) => target);
    return { blobs: of('blob'), manifests: of('manifest') };
  }

  listed(asking: Querying, repo: string, digest: Digest): Promise<boolean> {
    return isListed(asking, repo, digest);
  }

  async tagState(asking: Querying, repo: string, tag: string): Promise<TagPlace> {
    const [row] = await asking.all<Versioned & { digest: Digest | null }>(SQL.state, repo, tag);
    if (row === undefined) return { digest: undefined, version: null };
    return { digest: row.digest ?? undefined, version: tagVersion(row.no, row.writer ?? this.#database) };
  }
}

function pageOf(rows: readonly { readonly name: string }[], n: number): CatalogPage {
  return { repositories: rows.slice(0, n).map(({ name }) => name), more: rows.length > n };
}

function referrerOf({ digest, mediaType, size, artifactType, annotations }: ReferrerRow): ReferrerRecord {
  return {
    ...{ digest, mediaType, size },
    ...(artifactType === null ? {} : { artifactType }),
    ...(annotations === null ? {} : { annotations: JSON.parse(annotations) as Record<string, string> }),
  };
}

/** Whether an index of the repository has that manifest as one of its own. */
export async function isListed(asking: Querying, repo: string, digest: Digest): Promise<boolean> {
  return (await asking.all(SQL.listed, repo, digest)).length > 0;
}
