/** The tables of the tag store in SQLite: every method a few prepared statements. sqlite.ts has the transactions. */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type {
  BlobLink,
  BlobLinkPut,
  CatalogPage,
  CondemnReply,
  ManifestRecord,
  ReferrerList,
  ReferrerRecord,
  TagPage,
  TagPut,
  TagRecord,
  TagVersion,
} from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { Adopted, OutboxOptions, References, TagPlace } from '../outbox.ts';
import { fitting } from '../pages.ts';
import type { CondemnAt, DeleteOn, ManifestOutcome, ManifestWrite, PageOf, ReferrersOf, TagTables } from '../store.ts';
import { changedTags, type OutboxChange } from '../targets.ts';
import { follows, keptFor, newerAmong, type TagOutcome } from '../versions.ts';
import { SqliteAdopt } from './adopt.ts';
import { SqliteFilled } from './filled.ts';
import { SqliteIdle } from './idle.ts';
import { SqliteNamed } from './named.ts';
import { SqliteOutbox } from './outbox.ts';
import { SqliteSuccession } from './succession.ts';
import { SqliteUnlinked } from './unlinked.ts';
import { SqliteVersions } from './versions.ts';

const SQL = {
  repo: 'SELECT id FROM repos WHERE name = ?',
  addRepo: 'INSERT INTO repos (name) VALUES (?) ON CONFLICT DO NOTHING',
  tag: `SELECT m.digest, m.media_type AS mediaType, m.size, t.version AS no, t.writer FROM repos r JOIN tags t ON t.repo = r.id
    JOIN manifests m ON m.repo = r.id AND m.digest = t.digest WHERE r.name = ? AND t.tag = ?`,
  manifest: `SELECT m.digest, m.media_type AS mediaType, m.size FROM repos r JOIN manifests m ON m.repo = r.id
    WHERE r.name = ? AND m.digest = ?`,
  tags: 'SELECT tag FROM tags WHERE repo = ? ORDER BY tag COLLATE NOCASE, tag LIMIT ?',
  // The first bound is what the index is searched by; the second leaves out what sorts up to `last` itself.
  tagsAfter: `SELECT tag FROM tags WHERE repo = ?1 AND tag COLLATE NOCASE >= ?2 AND (tag COLLATE NOCASE > ?2 OR tag > ?2)
    ORDER BY tag COLLATE NOCASE, tag LIMIT ?3`,
  // The length of annotations is known without reading them.
  referrers: `SELECT digest, media_type AS mediaType, size, artifact_type AS artifactType,
    octet_length(annotations) AS bytes FROM manifests
    WHERE repo = ?1 AND subject = ?2 AND digest > ?3 AND (?4 IS NULL OR artifact_type = ?4) ORDER BY digest LIMIT ?5`,
  annotations: 'SELECT annotations FROM manifests WHERE repo = ? AND digest = ?',
  blob: 'SELECT b.digest, b.size FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = ? AND b.digest = ?',
  catalog: `SELECT name FROM repos r WHERE name > ? AND EXISTS (SELECT 1 FROM manifests m WHERE m.repo = r.id)
    ORDER BY name LIMIT ?`,
  holders: `SELECT name FROM repos WHERE name > ?2 AND id IN (
    SELECT repo FROM blobs WHERE digest = ?1 UNION SELECT repo FROM manifests WHERE digest = ?1) ORDER BY name LIMIT ?3`,
  hasBlob: 'SELECT 1 FROM blobs WHERE repo = ? AND digest = ?',
  hasManifest: 'SELECT 1 FROM manifests WHERE repo = ? AND digest = ?',
  putManifest: `INSERT INTO manifests (repo, digest, media_type, size, subject, artifact_type, annotations)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET media_type = excluded.media_type, size = excluded.size,
      subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations, untagged = NULL`,
  putRef: 'INSERT OR REPLACE INTO refs (repo, manifest, target, kind) VALUES (?, ?, ?, ?)',
  references: 'SELECT target, kind FROM refs WHERE repo = ? AND manifest = ?',
  listed: "SELECT 1 FROM refs WHERE target = ?2 AND repo = ?1 AND kind = 'manifest' LIMIT 1",
  targets: `SELECT target FROM refs WHERE repo = ?1 AND manifest = ?2
    UNION SELECT subject FROM manifests WHERE repo = ?1 AND digest = ?2 AND subject IS NOT NULL`,
  subject: 'SELECT subject FROM manifests WHERE repo = ? AND digest = ?',
  dropRefs: 'DELETE FROM refs WHERE repo = ? AND manifest = ?',
  deleteManifest: 'DELETE FROM manifests WHERE repo = ? AND digest = ?',
  putBlob: 'INSERT INTO blobs (repo, digest, size) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size',
  deleteBlob: 'DELETE FROM blobs WHERE repo = ? AND digest = ?',
} as const;

/** No row: an id that no repository has. */
const noRepo = -1;

export class SqliteTables implements TagTables {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #unlinked: SqliteUnlinked;
  readonly #idle: SqliteIdle;
  readonly #versions: SqliteVersions;
  readonly #named: SqliteNamed;
  readonly #outbox: SqliteOutbox;
  readonly #filled: SqliteFilled;
  readonly #adopt: SqliteAdopt;
  readonly #succession: SqliteSuccession;

  constructor(db: DatabaseSync, options?: OutboxOptions) {
    this.#unlinked = new SqliteUnlinked(db, options?.nowMs);
    this.#versions = new SqliteVersions(db, options?.nowMs);
    this.#named = new SqliteNamed(db);
    this.#filled = new SqliteFilled(db, options);
    const [versions, unlinked, filled] = [this.#versions, this.#unlinked, this.#filled];
    this.#outbox = new SqliteOutbox(db, options, {
      version: (no, writer) => versions.version(no, writer),
      foreign: (version) => versions.foreign(version),
    });
    this.#idle = new SqliteIdle(db, {
      unlinked,
      nowMs: options?.nowMs ?? Date.now,
      gone: (id, repo, digest) => this.#tell({ id, repo }, [{ kind: 'blob', name: digest, digest: null }]),
    });
    this.#adopt = new SqliteAdopt(db, { outbox: this.#outbox, filled, versions, unlinked, idle: this.#idle });
    this.#succession = new SqliteSuccession(db);
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
  }

  tag(repo: string, tag: string): TagRecord | undefined {
    const row = this.#one<ManifestRecord & { no: number; writer: string | null }>('tag', repo, tag);
    if (row === undefined) return undefined;
    const { no, writer, ...record } = row;
    return { ...record, version: this.#versions.version(no, writer) };
  }

  manifest(repo: string, digest: Digest): ManifestRecord | undefined {
    return this.#one<ManifestRecord>('manifest', repo, digest);
  }

  blob(repo: string, digest: Digest): BlobLink | undefined {
    return this.#one<BlobLink>('blob', repo, digest);
  }

  tags(repo: string, page: PageOf): TagPage | undefined {
    const id = this.#repo(repo);
    if (id === noRepo) return undefined;
    const { n, last } = page;
    const all = last === undefined ? this.#all('tags', id, n + 1) : this.#all('tagsAfter', id, last, n + 1);
    const rows = all as { tag: string }[];
    return { tags: rows.slice(0, n).map(({ tag }) => tag), more: rows.length > n };
  }

  catalog(page: PageOf): CatalogPage {
    const rows = this.#all<{ name: string }>('catalog', page.last ?? '', page.n + 1);
    return { repositories: rows.slice(0, page.n).map(({ name }) => name), more: rows.length > page.n };
  }

  holders(digest: Digest, page: PageOf): CatalogPage {
    const rows = this.#all<{ name: string }>('holders', digest, page.last ?? '', page.n + 1);
    return { repositories: rows.slice(0, page.n).map(({ name }) => name), more: rows.length > page.n };
  }

  referrers(repo: string, digest: Digest, { n, last, artifactType }: ReferrersOf): ReferrerList {
    const id = this.#repo(repo);
    const rows = this.#all<ReferrerRow>('referrers', id, digest, last ?? '', artifactType ?? null, n + 1);
    const page = fitting(rows.slice(0, n), ({ bytes }) => bytes ?? 0);
    const manifests = page.map((row) =>
      referrerOf(
        row,
        row.bytes === null ? undefined : this.#one<{ annotations: string }>('annotations', id, row.digest)?.annotations,
      ),
    );
    return { manifests, more: page.length < rows.length };
  }

  putManifest(repo: string, digest: Digest, put: ManifestWrite, nowMs: number): ManifestOutcome {
    const known = this.#repo(repo);
    const here = put.as === undefined ? [] : put.tags.map((tag) => this.#versions.state(known, tag));
    const { kept, newer: tags } = newerAmong(put.tags, here, { digest, as: put.as });
    if (kept !== undefined) return { missing: [], kept };
    const missing = [
      ...put.blobs.filter((blob) => !this.#has('hasBlob', known, blob)),
      ...(put.sparse ? [] : put.manifests).filter((manifest) => !this.#has('hasManifest', known, manifest)),
    ];
    if (missing.length > 0) return { missing: [...new Set(missing)] };
    const changed = this.#changed(known, put);
    if (changed !== undefined) return { missing, changed };
    const unproved = this.#unlinked.link(digest, put.proof);
    if (unproved !== undefined) return { missing, unproved };
    const before = this.#targets(known, digest);
    const version = this.#writeManifest(repo, digest, { ...put, tags });
    const subject = put.subject === undefined ? [] : [put.subject];
    this.#unlinked.referred([...put.manifests, ...subject]);
    const now = new Set([...put.blobs, ...put.manifests, ...subject]);
    const gone = before.filter((target) => !now.has(target));
    this.#idle.anew(known, gone, nowMs);
    this.#unlinked.lost(gone, nowMs);
    return version === undefined ? { missing } : { missing, version };
  }

  /** The first of its tags that is not where the put was to find it. */
  #changed(repo: number, { tags, after }: ManifestWrite): ManifestOutcome['changed'] {
    for (const tag of tags) {
      const state = this.#versions.state(repo, tag);
      if (!follows(state, after)) return { tag, version: state.version };
    }
    return undefined;
  }

  #writeManifest(repo: string, digest: Digest, put: ManifestWrite): TagVersion | undefined {
    const id = this.#open(repo);
    const again = this.#has('hasManifest', id, digest);
    const annotations = put.annotations === undefined ? null : JSON.stringify(put.annotations);
    const about = [put.mediaType, put.size, put.subject ?? null, put.artifactType ?? null, annotations];
    this.#run('putManifest', id, digest, ...about);
    this.#run('dropRefs', id, digest);
    for (const blob of put.blobs) this.#run('putRef', id, digest, blob, 'blob');
    for (const manifest of put.manifests) this.#run('putRef', id, digest, manifest, 'manifest');
    this.#idle.referred(id, put.blobs);
    const version = put.tags.length === 0 ? undefined : this.#versions.put(id, put.tags, digest, put.as);
    const own = { kind: 'manifest', name: digest, digest, referrer: put.subject !== undefined, again } as const;
    const whole = put.as === undefined || !again;
    this.#tell({ id, repo }, [...(whole ? [own] : []), ...changedTags(put.tags, digest)], version);
    return version;
  }

  /** The repository's targets are to be told, if it has any. */
  #tell(
    place: { readonly id: number; readonly repo: string },
    all: readonly OutboxChange[],
    version?: TagVersion,
  ): void {
    this.#outbox.tell(place, all, { version, next: () => this.#versions.next() });
  }

  putTag(repo: string, tag: string, { digest, after, as }: TagPut): TagOutcome | undefined {
    const id = this.#repo(repo);
    if (!this.#has('hasManifest', id, digest)) return undefined;
    const state = this.#versions.state(id, tag);
    if (!follows(state, after)) return { changed: state.version };
    const kept = keptFor({ digest, as }, state);
    if (kept !== undefined) return { kept };
    const version = this.#versions.put(id, [tag], digest, as);
    this.#tell({ id, repo }, changedTags([tag], digest), version);
    return { version };
  }

  deleteTag(repo: string, tag: string, on?: DeleteOn): TagOutcome | undefined {
    const as = typeof on === 'object' ? on.as : undefined;
    const id = as === undefined ? this.#repo(repo) : this.#open(repo);
    const state = this.#versions.state(id, tag);
    const kept = keptFor({ digest: null, as }, state);
    if (kept !== undefined) return { kept };
    if (as === undefined && !state.there) return undefined;
    if (typeof on === 'string' && !follows(state, on)) return { changed: state.version };
    const version = this.#versions.remove(id, [tag], as);
    this.#tell({ id, repo }, changedTags([tag], null), version);
    return { version };
  }

  deleteManifest: TagTables['deleteManifest'] = (repo, digest, nowMs, as) => {
    const id = this.#repo(repo);
    const tags = this.#versions.on(id, digest);
    if (as !== undefined && (tags.length > 0 || this.listed(repo, digest))) return { tags };
    const { subject = null } = this.#one<{ subject: Digest | null }>('subject', id, digest) ?? {};
    if (!this.#dropManifest(id, digest, nowMs)) return false;
    const version = tags.length > 0 ? this.#versions.remove(id, tags) : as;
    const gone = { kind: 'manifest', name: digest, digest: null, referrer: subject !== null } as const;
    this.#tell({ id, repo }, [gone, ...changedTags(tags, null)], version);
    return true;
  };

  #dropManifest(id: number, digest: Digest, nowMs: number): boolean {
    const targets = this.#targets(id, digest);
    this.#versions.orphaned(id, digest, nowMs);
    if (this.#run('deleteManifest', id, digest) === 0) return false;
    this.#run('dropRefs', id, digest);
    this.#idle.anew(id, [digest, ...targets], nowMs);
    this.#unlinked.lost([digest, ...targets], nowMs);
    return true;
  }

  linkBlob(repo: string, digest: Digest, { size, proof }: BlobLinkPut): number | undefined {
    const unproved = this.#unlinked.link(digest, proof);
    if (unproved === undefined) this.#link(repo, digest, size);
    return unproved;
  }

  unlinkBlob(repo: string, digest: Digest, nowMs: number): boolean {
    const id = this.#repo(repo);
    if (this.#run('deleteBlob', id, digest) === 0) return false;
    this.#idle.anew(id, [digest], nowMs);
    this.#unlinked.lost([digest], nowMs);
    this.#tell({ id, repo }, [{ kind: 'blob', name: digest, digest: null }]);
    return true;
  }

  mount(repo: string, digest: Digest, from: string): BlobLink | undefined {
    const link = this.blob(from, digest);
    if (link !== undefined) this.#link(repo, digest, link.size);
    if (link !== undefined) this.#idle.anew(noRepo, [digest]);
    return link;
  }

  #link(repo: string, digest: Digest, size: number): void {
    const id = this.#open(repo);
    this.#run('putBlob', id, digest, size);
    this.#idle.linked(id, digest);
    this.#tell({ id, repo }, [{ kind: 'blob', name: digest, digest }]);
  }

  remembered: TagTables['remembered'] = (name) => this.#named.remembered(name);
  remember: TagTables['remember'] = (...args) => this.#named.remember(...args);
  succession: TagTables['succession'] = () => this.#succession.of();
  trust: TagTables['trust'] = () => this.#succession.trust();
  unlinked: TagTables['unlinked'] = (digests) => this.#unlinked.among(digests);

  condemn(digests: readonly Digest[], at: CondemnAt): CondemnReply {
    return this.#unlinked.condemn(digests, at);
  }

  idleSince: TagTables['idleSince'] = (repo, digest) => this.#idle.since(repo, digest);
  uselessSince: TagTables['uselessSince'] = (digests, beforeMs) => this.#idle.useless(digests, beforeMs);
  idleCounts: TagTables['idleCounts'] = (beforeMs) => this.#idle.counts(beforeMs);
  expire: TagTables['expire'] = (at) => this.#idle.expire(at);

  use(repo: string, digest: Digest, nowMs: number): boolean {
    if (!this.#has('hasBlob', this.#repo(repo), digest)) return false;
    this.#idle.anew(noRepo, [digest], nowMs);
    return true;
  }

  claim: TagTables['claim'] = (target, at) => this.#outbox.leases.claim(target, at);
  hold: TagTables['hold'] = (keys, untilMs) => this.#outbox.leases.hold(keys, untilMs);
  due: TagTables['due'] = (...args) => this.#outbox.due(...args);
  nextDueMs: TagTables['nextDueMs'] = (target) => this.#outbox.nextDueMs(target);
  pending: TagTables['pending'] = (key) => this.#outbox.pending(key);
  waiting: TagTables['waiting'] = (...args) => this.#outbox.waiting(...args);
  retry: TagTables['retry'] = (of) => this.#outbox.retry(of);
  drop: TagTables['drop'] = (of) => this.#outbox.drop(of);
  outbox: TagTables['outbox'] = () => this.#outbox.outbox();
  written: TagTables['written'] = (row) => this.#outbox.written(row);
  failed: TagTables['failed'] = (row, why) => this.#outbox.failed(row, why);
  reroute: TagTables['reroute'] = () => this.#filled.reroute();
  refill: TagTables['refill'] = (target) => this.#filled.refill(target);
  backfill: TagTables['backfill'] = () => this.#filled.backfill(() => this.#versions.next());
  seen: TagTables['seen'] = (version) => this.#versions.seen(version);
  adoptManifest: TagTables['adoptManifest'] = (...args) => this.#adopt.manifest(...args);
  adoptBlob: TagTables['adoptBlob'] = (...args) => this.#adopt.blob(...args);
  adoptTag: TagTables['adoptTag'] = (...args) => this.#adopt.tag(...args);

  adoptDeletion(repo: string, digest: Digest, nowMs: number): Adopted {
    if (!this.#adopt.mayGo(repo, digest)) return 'kept';
    return this.#dropManifest(this.#repo(repo), digest, nowMs) ? 'adopted' : 'kept';
  }

  references(repo: string, digest: Digest): References {
    const id = this.#repo(repo);
    const all = this.#all<{ target: Digest; kind: string }>('references', id, digest);
    const of = (kind: string): Digest[] => all.filter((one) => one.kind === kind).map(({ target }) => target);
    return { blobs: of('blob'), manifests: of('manifest').filter((child) => this.#has('hasManifest', id, child)) };
  }

  listed: TagTables['listed'] = (repo, digest) => this.#one('listed', this.#repo(repo), digest) !== undefined;

  tagState(repo: string, tag: string): TagPlace {
    const { digest, version } = this.#versions.state(this.#repo(repo), tag);
    return { digest, version };
  }

  /** What the manifest refers to, its subject included. */
  #targets(repo: number, digest: Digest): Digest[] {
    return this.#all<{ target: Digest }>('targets', repo, digest).map(({ target }) => target);
  }

  #repo(name: string): number {
    return this.#one<{ id: number }>('repo', name)?.id ?? noRepo;
  }

  #open(name: string): number {
    const added = this.#run('addRepo', name) > 0;
    const id = this.#repo(name);
    if (added) this.#filled.mark(id, name);
    return id;
  }

  #has(statement: 'hasBlob' | 'hasManifest', repo: number, digest: Digest): boolean {
    return this.#statements[statement].get(repo, digest) !== undefined;
  }

  #one<T extends object>(statement: keyof typeof SQL, ...values: SQLInputValue[]): T | undefined {
    const row = this.#statements[statement].get(...values);
    // node:sqlite gives objects without a prototype.
    return row === undefined ? undefined : ({ ...row } as T);
  }

  #all<T>(statement: keyof typeof SQL, ...values: SQLInputValue[]): T[] {
    return this.#statements[statement].all(...values) as T[];
  }

  /** Rows changed. */
  #run(statement: keyof typeof SQL, ...values: SQLInputValue[]): number {
    return Number(this.#statements[statement].run(...values).changes);
  }
}

type ReferrerRow = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType: string | null;
  readonly bytes: number | null; // Of its annotations.
};

function referrerOf(row: ReferrerRow, annotations: string | undefined): ReferrerRecord {
  const { digest, mediaType, size, artifactType } = row;
  return {
    digest,
    mediaType,
    size,
    ...(artifactType === null ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations: JSON.parse(annotations) as Record<string, string> }),
  };
}
