/**
 * What is written to the tag store in PostgreSQL, in a transaction that has the lock (group.ts): as sqlite/tables.ts.
 *
 * Rule: all others wait for the lock meanwhile, so that round trips are what bounds writes: what can be asked at once is.
 */

import type { BlobLink, BlobLinkPut, TagPut, TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { Expired, IdleAt } from '../idle.ts';
import type { Adopted } from '../outbox.ts';
import type { DeleteOn, ManifestOutcome, ManifestWrite, StillNeeded, TagWrites } from '../store.ts';
import { changedTags, type OutboxChange } from '../targets.ts';
import { follows, keptFor, newerAmong, type TagOutcome } from '../versions.ts';
import { PostgresAdopt } from './adopt.ts';
import { dropBlobLink, putBlob, sizeOf } from './blobs.ts';
import { expire, idleAnew, idleReferred } from './idle.ts';
import { hasManifest, hasSubject, lackingOf, orphaned, removeManifest, targetsOf, writeManifest } from './manifests.ts';
import type { Tx } from './numbers.ts';
import type { PostgresOutbox } from './outbox.ts';
import { isListed } from './reads.ts';
import { noRepo, type PostgresRepos } from './repos.ts';
import { linked, noteLost, referred, unprovedIn } from './unlinked.ts';
import type { PostgresVersions } from './versions.ts';

export type WriteParts = {
  readonly repos: PostgresRepos;
  readonly outbox: PostgresOutbox;
  readonly versions: PostgresVersions;
  /** Of the database. */
  readonly nowMs: () => number;
};
type Place = { readonly id: number; readonly repo: string };

export class PostgresWrites {
  readonly adopt: PostgresAdopt;
  readonly #parts: WriteParts;

  constructor(parts: WriteParts) {
    this.#parts = parts;
    this.adopt = new PostgresAdopt(parts);
  }

  async putManifest(
    tx: Tx,
    ...[repo, digest, put, nowMs]: [string, Digest, ManifestWrite, number]
  ): Promise<ManifestOutcome> {
    const { asking } = tx;
    const known = await this.#parts.repos.find(asking, repo);
    const here = put.as === undefined ? [] : await this.#parts.versions.states(tx, known, put.tags);
    const { kept, newer: tags } = newerAmong(put.tags, here, { digest, as: put.as });
    if (kept !== undefined) return { missing: [], kept };
    const [missing, changed, unproved, before] = await Promise.all([
      lackingOf(asking, known, put),
      this.#changed(tx, known, put),
      unprovedIn(tx, digest, put.proof, this.#parts.nowMs()),
      targetsOf(asking, known, digest),
    ]);
    if (missing.length > 0) return { missing };
    if (changed !== undefined) return { missing, changed };
    if (unproved !== undefined) return { missing, unproved };
    const version = await this.#writeManifest(tx, { id: known, repo }, digest, { ...put, tags });
    const subject = put.subject === undefined ? [] : [put.subject];
    const now = new Set([...put.blobs, ...put.manifests, ...subject]);
    const gone = before.filter((target) => !now.has(target));
    await Promise.all([
      referred(tx, [...put.manifests, ...subject]),
      idleAnew(tx, known, gone, nowMs),
      noteLost(tx, gone, nowMs),
    ]);
    return version === undefined ? { missing } : { missing, version };
  }

  /** The first of its tags that is not where the put was to find it. */
  async #changed(tx: Tx, repo: number, { tags, after }: ManifestWrite): Promise<ManifestOutcome['changed']> {
    if (after === undefined || tags.length === 0) return undefined;
    const states = await this.#parts.versions.states(tx, repo, tags);
    const at = states.findIndex((state) => !follows(state, after));
    const tag = tags[at];
    return tag === undefined ? undefined : { tag, version: states[at]?.version ?? null };
  }

  async #writeManifest(tx: Tx, at: Place, digest: Digest, put: ManifestWrite): Promise<TagVersion | undefined> {
    const { repos, versions } = this.#parts;
    const { repo } = at;
    const id = at.id === noRepo ? await repos.open(tx.asking, repo) : at.id;
    const referrer = put.subject !== undefined;
    const again = (referrer || put.as !== undefined) && (await hasManifest(tx.asking, id, digest));
    const tags = [...new Set(put.tags)];
    const [version] = await Promise.all([
      tags.length === 0 ? undefined : versions.put(tx, id, { tags, digest, as: put.as }),
      writeManifest(tx.asking, id, digest, put),
      idleReferred(tx, id, put.blobs),
      linked(tx, digest),
    ]);
    const own = { kind: 'manifest', name: digest, digest, referrer, again } as const;
    const whole = put.as === undefined || !again;
    await this.#tell(tx, { id, repo }, [...(whole ? [own] : []), ...changedTags(tags, digest)], version);
    return version;
  }

  /** The repository's targets are to be told, if it has any. */
  async #tell(tx: Tx, place: Place, all: readonly OutboxChange[], version?: TagVersion): Promise<void> {
    await this.#parts.outbox.tell(tx, place, all, { version, next: () => this.#parts.versions.next(tx) });
  }

  async putTag(
    tx: Tx,
    ...[repo, tag, { digest, after, as }]: [string, string, TagPut]
  ): Promise<TagOutcome | undefined> {
    const { repos, versions } = this.#parts;
    const id = await repos.find(tx.asking, repo);
    if (!(await hasManifest(tx.asking, id, digest))) return undefined;
    if (after !== undefined || as !== undefined) {
      const state = await versions.state(tx, id, tag);
      if (!follows(state, after)) return { changed: state.version };
      const kept = keptFor({ digest, as }, state);
      if (kept !== undefined) return { kept };
    }
    const version = await versions.put(tx, id, { tags: [tag], digest, as });
    await this.#tell(tx, { id, repo }, changedTags([tag], digest), version);
    return { version };
  }

  async deleteTag(tx: Tx, ...[repo, tag, on]: [string, string, DeleteOn?]): Promise<TagOutcome | undefined> {
    const { repos, versions } = this.#parts;
    const as = typeof on === 'object' ? on.as : undefined;
    const id = as === undefined ? await repos.find(tx.asking, repo) : await repos.open(tx.asking, repo);
    const state = await versions.state(tx, id, tag);
    const kept = keptFor({ digest: null, as }, state);
    if (kept !== undefined) return { kept };
    if (as === undefined && !state.there) return undefined;
    if (typeof on === 'string' && !follows(state, on)) return { changed: state.version };
    const version = await versions.remove(tx, id, [tag], as);
    await this.#tell(tx, { id, repo }, changedTags([tag], null), version);
    return { version };
  }

  async deleteManifest(
    tx: Tx,
    ...[repo, digest, nowMs, as]: Parameters<TagWrites['deleteManifest']>
  ): Promise<boolean | StillNeeded> {
    const { repos, versions } = this.#parts;
    const id = await repos.find(tx.asking, repo);
    const tags = await versions.on(tx, id, digest);
    if (as !== undefined && (tags.length > 0 || (await isListed(tx.asking, repo, digest)))) return { tags };
    const referrer = await hasSubject(tx.asking, id, digest);
    if (!(await this.#drop(tx, id, digest, nowMs))) return false;
    const version = tags.length > 0 ? await versions.remove(tx, id, tags) : as;
    const gone = { kind: 'manifest', name: digest, digest: null, referrer } as const;
    await this.#tell(tx, { id, repo }, [gone, ...changedTags(tags, null)], version);
    return true;
  }

  async #drop(tx: Tx, id: number, digest: Digest, nowMs: number): Promise<boolean> {
    const [targets] = await Promise.all([targetsOf(tx.asking, id, digest), orphaned(tx.asking, id, digest, nowMs)]);
    if (!(await removeManifest(tx.asking, id, digest))) return false;
    await idleAnew(tx, id, [digest, ...targets], nowMs);
    await noteLost(tx, [digest, ...targets], nowMs);
    return true;
  }

  async adoptDeletion(tx: Tx, ...[repo, digest, nowMs]: [string, Digest, number]): Promise<Adopted> {
    const id = await this.adopt.goesFrom(tx, repo, digest);
    return id !== undefined && (await this.#drop(tx, id, digest, nowMs)) ? 'adopted' : 'kept';
  }

  async linkBlob(
    tx: Tx,
    ...[repo, digest, { size, proof }]: [string, Digest, BlobLinkPut]
  ): Promise<number | undefined> {
    const unproved = await unprovedIn(tx, digest, proof, this.#parts.nowMs());
    if (unproved === undefined) await Promise.all([linked(tx, digest), this.#link(tx, repo, digest, size)]);
    return unproved;
  }

  async unlinkBlob(tx: Tx, ...[repo, digest, nowMs]: [string, Digest, number]): Promise<boolean> {
    const id = await this.#parts.repos.find(tx.asking, repo);
    if (!(await dropBlobLink(tx.asking, id, digest))) return false;
    await idleAnew(tx, id, [digest], nowMs);
    await noteLost(tx, [digest], nowMs);
    await this.#tell(tx, { id, repo }, [{ kind: 'blob', name: digest, digest: null }]);
    return true;
  }

  /** Takes idle links away. */
  expire(tx: Tx, at: IdleAt): Promise<Expired> {
    const nowMs = this.#parts.nowMs();
    return expire(tx, { ...at, nowMs }, (id, repo, digest) =>
      this.#tell(tx, { id, repo }, [{ kind: 'blob', name: digest, digest: null }]),
    );
  }

  async mount(tx: Tx, ...[repo, digest, from]: [string, Digest, string]): Promise<BlobLink | undefined> {
    const size = await sizeOf(tx.asking, from, digest);
    if (size === undefined) return undefined;
    await this.#link(tx, repo, digest, size);
    await idleAnew(tx, undefined, [digest], this.#parts.nowMs());
    return { digest, size };
  }

  async #link(tx: Tx, repo: string, digest: Digest, size: number): Promise<void> {
    const id = await this.#parts.repos.open(tx.asking, repo);
    await putBlob(tx.asking, id, { digest, size }, this.#parts.nowMs());
    await this.#tell(tx, { id, repo }, [{ kind: 'blob', name: digest, digest }]);
  }
}
