/** The index's state in memory: for tests, and as the plain statement of what the others must do. */

import type {
  BlobLink,
  BlobLinkPut,
  CatalogPage,
  CondemnReply,
  ManifestRecord,
  ReferrerList,
  TagPage,
  TagPut,
  TagRecord,
  TagVersion,
} from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { QuotaRule } from '../../../core/quota.ts';
import { GroupedTagStore } from '../grouped.ts';
import type {
  Adopted,
  AdoptedManifest,
  AdoptedTag,
  Filled,
  OutboxOptions,
  OutboxRow,
  References,
  TagPlace,
} from '../outbox.ts';
import { fitting } from '../pages.ts';
import type { CondemnAt, DeleteOn, ManifestOutcome, ManifestWrite, PageOf, ReferrersOf, TagTables } from '../store.ts';
import { backendAmong, changedTags, type OutboxChange, type OutboxKind } from '../targets.ts';
import {
  follows,
  keptFor,
  leadOf,
  newerAmong,
  replaces,
  type TagOutcome,
  tagVersion,
  unversioned,
} from '../versions.ts';
import { MemoryDocuments } from './documents.ts';
import { MemoryIdle } from './idle.ts';
import { isLinked } from './linked.ts';
import { byTag, plain, sortedPage } from './lists.ts';
import { MemoryNamed } from './named.ts';
import { MemoryOutbox } from './outbox.ts';
import { buryTags, type MemoryRepository, manifestOf, memoryPlaceOf, setTags, stateOf, tagsOn } from './repository.ts';
import { MemoryUnlinked, memoryId } from './unlinked.ts';
import { MemoryUntagged } from './untagged.ts';
import { MemoryUsed } from './used.ts';

/** A store that ends with the process. */
export function openMemoryTags(outbox?: OutboxOptions, quotas?: readonly QuotaRule[]): GroupedTagStore {
  const tables = new MemoryTables(outbox);
  return new GroupedTagStore({
    tables,
    ...{ doomed: tables.doomed, untagged: tables.untagged, documents: new MemoryDocuments() },
    counted: { used: tables.used, quotas },
    transaction: (apply) => apply(),
    close: () => undefined,
  });
}

export class MemoryTables implements TagTables {
  readonly #repos = new Map<string, MemoryRepository>();
  readonly used = new MemoryUsed(this.#repos);
  readonly #unlinked = new MemoryUnlinked((digest) => isLinked(this.#repos.values(), digest));
  readonly doomed = this.#unlinked.doomed;
  readonly untagged = new MemoryUntagged(this.#repos, (...of) => this.deleteManifest(...of));
  readonly #named = new MemoryNamed();
  readonly #idle: MemoryIdle;
  readonly #outbox: MemoryOutbox;
  readonly #nowMs: (() => number) | undefined;
  #writes = 0; // The number of the last write of tags.

  constructor(options?: OutboxOptions) {
    this.#outbox = new MemoryOutbox(options);
    this.#nowMs = options?.nowMs;
    this.doomed.nowMs = options?.nowMs ?? Date.now;
    this.#idle = new MemoryIdle({
      repos: this.#repos,
      unlinked: this.#unlinked,
      nowMs: options?.nowMs ?? Date.now,
      gone: (repo, digest) => this.#tell(repo, [{ kind: 'blob', name: digest, digest: null }]),
    });
  }

  tag(repo: string, tag: string): TagRecord | undefined {
    const found = this.#repos.get(repo)?.tags.get(tag);
    const record = found === undefined ? undefined : this.manifest(repo, found.digest);
    return record === undefined ? undefined : { ...record, version: found?.version };
  }

  tags(repo: string, page: PageOf): TagPage | undefined {
    const known = this.#repos.get(repo);
    if (known === undefined) return undefined;
    const { list, more } = sortedPage([...known.tags.keys()].sort(byTag), page, byTag);
    return { tags: list, more };
  }

  manifest(repo: string, digest: Digest): ManifestRecord | undefined {
    const found = this.#repos.get(repo)?.manifests.get(digest);
    return found === undefined ? undefined : { digest, mediaType: found.mediaType, size: found.size };
  }

  referrers(repo: string, digest: Digest, { n, last, artifactType }: ReferrersOf): ReferrerList {
    const all = [...(this.#repos.get(repo)?.manifests.values() ?? [])];
    const left = all
      .filter((one) => one.subject === digest && (artifactType === undefined || one.artifactType === artifactType))
      .filter((one) => last === undefined || one.digest > last)
      .sort((one, two) => plain(one.digest, two.digest))
      .map(({ subject: _, targets: __, references: ___, untaggedMs: ____, ...record }) => record);
    const manifests = fitting(left.slice(0, n), ({ annotations }) =>
      annotations === undefined ? 0 : Buffer.byteLength(JSON.stringify(annotations)),
    );
    return { manifests, more: manifests.length < left.length };
  }

  blob(repo: string, digest: Digest): BlobLink | undefined {
    const size = this.#repos.get(repo)?.blobs.get(digest);
    return size === undefined ? undefined : { digest, size };
  }

  catalog(page: PageOf): CatalogPage {
    const names = [...this.#repos].filter(([, { manifests }]) => manifests.size > 0).map(([name]) => name);
    const { list, more } = sortedPage(names.sort(plain), page, plain);
    return { repositories: list, more };
  }

  holders(digest: Digest, page: PageOf): CatalogPage {
    const has = ({ blobs, manifests }: MemoryRepository): boolean => blobs.has(digest) || manifests.has(digest);
    const names = [...this.#repos].filter(([, repo]) => has(repo)).map(([name]) => name);
    const { list, more } = sortedPage(names.sort(plain), page, plain);
    return { repositories: list, more };
  }

  putManifest(repo: string, digest: Digest, put: ManifestWrite, nowMs: number): ManifestOutcome {
    const known = this.#repos.get(repo);
    const { as } = put;
    const here = put.tags.map((tag) => memoryPlaceOf(known, tag));
    const { kept, newer: tags } = newerAmong(put.tags, here, { digest, as });
    if (kept !== undefined) return { missing: [], kept };
    const missing = [
      ...put.blobs.filter((blob) => known?.blobs.has(blob) !== true),
      ...(put.sparse ? [] : put.manifests).filter((manifest) => known?.manifests.has(manifest) !== true),
    ];
    if (missing.length > 0) return { missing: [...new Set(missing)] };
    for (const tag of put.tags) {
      const state = stateOf(known, tag);
      if (!follows(state, put.after)) return { missing, changed: { tag, version: state.version } };
    }
    const unproved = this.#unlinked.link(digest, put.proof);
    if (unproved !== undefined) return { missing, unproved };
    const repository = this.#open(repo);
    const again = repository.manifests.has(digest);
    const before = repository.manifests.get(digest)?.targets ?? [];
    const manifest = manifestOf(digest, put);
    repository.manifests.set(digest, manifest);
    this.#idle.referred(repository, put.blobs);
    this.#idle.anew(
      repository,
      before.filter((target) => !manifest.targets.includes(target)),
      nowMs,
    );
    this.#unlinked.referred(manifest.targets);
    this.#unlinked.lost(before, nowMs);
    const version = tags.length === 0 ? undefined : setTags(repository, tags, digest, this.#at(as));
    const own = { kind: 'manifest', name: digest, digest, referrer: put.subject !== undefined, again } as const;
    this.#tell(repo, [...(as !== undefined && again ? [] : [own]), ...changedTags(tags, digest)], version);
    return version === undefined ? { missing } : { missing, version };
  }

  #tell(repo: string, all: readonly OutboxChange[], version?: TagVersion): void {
    this.#outbox.tell(repo, all, { version, next: () => this.#next() });
  }

  /** The version of a write: its own, if it was made elsewhere. */
  #at(as: TagVersion | undefined): TagVersion {
    if (as === undefined) return this.#next();
    this.seen(as);
    return as;
  }

  putTag(repo: string, tag: string, { digest, after, as }: TagPut): TagOutcome | undefined {
    const known = this.#repos.get(repo);
    if (known?.manifests.has(digest) !== true) return undefined;
    const state = stateOf(known, tag);
    if (!follows(state, after)) return { changed: state.version };
    const kept = keptFor({ digest, as }, memoryPlaceOf(known, tag));
    if (kept !== undefined) return { kept };
    const version = setTags(known, [tag], digest, this.#at(as));
    this.#tell(repo, changedTags([tag], digest), version);
    return { version };
  }

  deleteTag(repo: string, tag: string, on?: DeleteOn): TagOutcome | undefined {
    if (typeof on === 'object') return this.#deletedElsewhere(repo, tag, on.as);
    const known = this.#repos.get(repo);
    const state = stateOf(known, tag);
    if (known === undefined || !state.there) return undefined;
    if (!follows(state, on)) return { changed: state.version };
    const version = buryTags(known, [tag], this.#next());
    this.#tell(repo, changedTags([tag], null), version);
    return { version };
  }

  #deletedElsewhere(repo: string, tag: string, as: TagVersion): TagOutcome {
    const known = this.#open(repo);
    const kept = keptFor({ digest: null, as }, memoryPlaceOf(known, tag));
    if (kept !== undefined) return { kept };
    const version = buryTags(known, [tag], this.#at(as));
    this.#tell(repo, changedTags([tag], null), version);
    return { version };
  }

  deleteManifest: TagTables['deleteManifest'] = (repo, digest, nowMs, as) => {
    const known = this.#repos.get(repo);
    const manifest = known?.manifests.get(digest);
    if (known === undefined || manifest === undefined) return false;
    const tags = tagsOn(known, digest);
    if (as !== undefined && (tags.length > 0 || this.listed(repo, digest))) return { tags };
    this.untagged.orphaned(known, digest, nowMs);
    known.manifests.delete(digest);
    const version = tags.length > 0 ? buryTags(known, tags, this.#next()) : as;
    this.#idle.anew(known, [digest, ...manifest.targets], nowMs);
    this.#unlinked.lost([digest, ...manifest.targets], nowMs);
    const gone = { kind: 'manifest', name: digest, digest: null, referrer: manifest.subject !== undefined } as const;
    this.#tell(repo, [gone, ...changedTags(tags, null)], version);
    return true;
  };

  linkBlob(repo: string, digest: Digest, { size, proof }: BlobLinkPut): number | undefined {
    const unproved = this.#unlinked.link(digest, proof);
    if (unproved === undefined) this.#link(repo, digest, size);
    return unproved;
  }

  unlinkBlob(repo: string, digest: Digest, nowMs: number): boolean {
    const known = this.#repos.get(repo);
    if (known?.blobs.delete(digest) !== true) return false;
    known.idle.delete(digest);
    this.#idle.anew(undefined, [digest], nowMs);
    this.#unlinked.lost([digest], nowMs);
    this.#tell(repo, [{ kind: 'blob', name: digest, digest: null }]);
    return true;
  }

  mount(repo: string, digest: Digest, from: string): BlobLink | undefined {
    const link = this.blob(from, digest);
    if (link !== undefined) this.#link(repo, digest, link.size);
    if (link !== undefined) this.#idle.anew(undefined, [digest]);
    return link;
  }

  #link(repo: string, digest: Digest, size: number): void {
    const repository = this.#open(repo);
    repository.blobs.set(digest, size);
    this.#idle.linked(repository, digest);
    this.#tell(repo, [{ kind: 'blob', name: digest, digest }]);
  }

  remembered: TagTables['remembered'] = (name) => this.#named.remembered(name);
  remember: TagTables['remember'] = (...args) => this.#named.remember(...args);
  succession: TagTables['succession'] = () => ({ of: [], trusted: true });
  trust: TagTables['trust'] = () => undefined;
  unlinked: TagTables['unlinked'] = (digests) => this.#unlinked.among(digests);

  condemn(digests: readonly Digest[], at: CondemnAt): CondemnReply {
    return this.#unlinked.condemn(digests, at);
  }

  idleSince: TagTables['idleSince'] = (repo, digest) => this.#repos.get(repo)?.idle.get(digest);
  uselessSince: TagTables['uselessSince'] = (digests, beforeMs) => this.#idle.useless(digests, beforeMs);
  idleCounts: TagTables['idleCounts'] = (beforeMs) => this.#idle.counts(beforeMs);
  use: TagTables['use'] = (...args) => this.#idle.use(...args);
  expire: TagTables['expire'] = (at) => this.#idle.expire(at);

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
  reroute: TagTables['reroute'] = () => this.#outbox.reroute();

  references(repo: string, digest: Digest): References {
    const known = this.#repos.get(repo)?.manifests;
    const { blobs, manifests } = known?.get(digest)?.references ?? { blobs: [], manifests: [] };
    return { blobs, manifests: manifests.filter((child) => known?.has(child)) };
  }

  listed(repo: string, digest: Digest): boolean {
    const known = this.#repos.get(repo)?.manifests.values() ?? [];
    return [...known].some(({ references }) => references.manifests.includes(digest));
  }

  tagState(repo: string, tag: string): TagPlace {
    return memoryPlaceOf(this.#repos.get(repo), tag);
  }

  backfill(): Filled[] {
    for (const [repo, known] of this.#repos) {
      const own = (tag: string): void => {
        const at = known.tags.get(tag);
        if (at?.version === unversioned) known.tags.set(tag, { ...at, version: this.#next() });
      };
      const filled = this.#outbox.fill(repo, known, own, () => this.#next());
      if (filled.length > 0) return filled;
    }
    return [];
  }

  refill(target: string): number {
    return [...this.#repos.values()].filter(({ filled }) => filled.delete(target)).length;
  }

  seen(version: TagVersion): void {
    this.#writes = Math.max(this.#writes, leadOf(version) ?? 0);
  }

  /** What waits of a key for the repository's own backend. */
  #waits(repo: string, kind: OutboxKind, name: string): OutboxRow | undefined {
    const target = backendAmong(this.#outbox.targetsOf(repo));
    return target === undefined ? undefined : this.pending({ target, repo, kind, name });
  }

  adoptManifest(repo: string, digest: Digest, manifest: AdoptedManifest): Adopted {
    const { manifests, blobs } = this.#open(repo);
    if (this.#waits(repo, 'manifest', digest) !== undefined || manifests.has(digest)) return 'kept';
    const put = { ...manifest, blobs: manifest.blobs.map((blob) => blob.digest) };
    const adopted = manifestOf(digest, put);
    if (this.doomed.going([digest, ...adopted.targets])) return 'kept';
    manifests.set(digest, adopted);
    for (const blob of manifest.blobs)
      if (this.#waits(repo, 'blob', blob.digest) === undefined && !blobs.has(blob.digest))
        blobs.set(blob.digest, blob.size);
    this.#idle.referred(this.#open(repo), put.blobs);
    this.#unlinked.referred([digest, ...adopted.targets]);
    return 'adopted';
  }

  adoptDeletion(repo: string, digest: Digest, nowMs: number): Adopted {
    const known = this.#open(repo);
    const manifest = known.manifests.get(digest);
    if (manifest === undefined || tagsOn(known, digest).length > 0) return 'kept';
    if (this.#waits(repo, 'manifest', digest) !== undefined) return 'kept';
    this.untagged.orphaned(known, digest, nowMs);
    known.manifests.delete(digest);
    this.#idle.anew(known, [digest, ...manifest.targets], nowMs);
    this.#unlinked.lost([digest, ...manifest.targets], nowMs);
    return 'adopted';
  }

  adoptBlob(repo: string, digest: Digest, size: number): Adopted {
    const { blobs } = this.#open(repo);
    const kept = this.#waits(repo, 'blob', digest) !== undefined || blobs.has(digest);
    if (kept || this.doomed.going([digest])) return 'kept';
    blobs.set(digest, size);
    this.#idle.linked(this.#open(repo), digest);
    this.#unlinked.referred([digest]);
    return 'adopted';
  }

  adoptTag(repo: string, tag: string, { digest, version }: AdoptedTag): Adopted {
    const known = this.#open(repo);
    const waits = this.#waits(repo, 'tag', tag);
    const here = { digest: known.tags.get(tag)?.digest, version: waits?.version ?? stateOf(known, tag).version };
    if (!replaces({ digest, version }, here)) return 'kept';
    if (digest !== null && !known.manifests.has(digest)) return 'lacking';
    this.seen(version);
    if (digest === null) buryTags(known, [tag], version);
    else setTags(known, [tag], digest, version);
    if (waits !== undefined) this.#outbox.supersede(waits);
    return 'adopted';
  }

  #next(): TagVersion {
    this.#writes = Math.max(this.#writes + 1, this.#nowMs?.() ?? 0);
    return tagVersion(this.#writes, memoryId);
  }

  #open(repo: string): MemoryRepository {
    const known = this.#repos.get(repo) ?? {
      tags: new Map(),
      deleted: new Map(),
      manifests: new Map(),
      blobs: new Map(),
      idle: new Map(),
      filled: this.#outbox.filled(repo),
    };
    this.#repos.set(repo, known);
    return known;
  }
}
