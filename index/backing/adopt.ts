/**
 * What a backend holds of one tag, manifest or blob, brought into the store: for a read that needs it, and for a reconcile.
 *
 * Rule: where a backend keeps no records (a registry), nothing there tells an old tag from a new one. What came from there
 *   follows it, to another digest and to nothing; a tag that was written here and has got there follows it to another digest,
 *   which somebody wrote later; one that was deleted here stays deleted.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BrokenTag } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { Adopted, AdoptedTag, TagPlace } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { numberOf, replaces, tagVersion, unversioned, writerOf } from '../../platform/tags/versions.ts';
import type { Brought } from './brought.ts';
import { BackedReader, type Broken, type JustSeen, type TagFound } from './read.ts';
import type { BringChild, WholeCheck, Wholeness } from './whole.ts';

export type AdoptStore = Pick<
  TagStore,
  | 'tagState'
  | 'manifest'
  | 'listed'
  | 'blob'
  | 'pending'
  | 'putTag'
  | 'adoptTag'
  | 'adoptManifest'
  | 'adoptBlob'
  | 'adoptDeletion'
>;

export type BringParts = {
  readonly store: AdoptStore;
  readonly backed: TagsBacked;
  readonly nowMs: () => number;
  /** Only looks what would be done. */
  readonly dry?: boolean;
  /** Looks whether all that a manifest names is there, before it is brought. */
  readonly whole?: WholeCheck;
  readonly seen?: JustSeen;
  /** Told whenever something of a manifest was looked at. */
  readonly moved?: () => void;
  /** A tag is brought though the one here is newer: as a write. */
  readonly overwrite?: boolean;
};
type Asked = Parameters<BackedReader['manifest']>[0] & { readonly depth?: number; readonly dry?: boolean | undefined };

export class Bringer {
  readonly #parts: BringParts;
  readonly #reader: BackedReader;

  constructor(parts: BringParts) {
    this.#parts = parts;
    this.#reader = new BackedReader(parts.backed, parts.seen);
  }

  async tag(repo: string, tag: string, signal: AbortSignal): Promise<Brought> {
    const { store, backed, dry, overwrite } = this.#parts;
    // Before it is asked: what is written here meanwhile is newer than its answer.
    const before = await store.tagState(repo, tag);
    const found = await this.#reader.tag(repo, tag, signal);
    const here = backed.tags.can.records ? await store.tagState(repo, tag) : before;
    if (found.kind === 'broken') return found;
    const said = saidOf(backed, found, here);
    if (said === undefined) return { kind: here.version === null ? 'absent' : 'same' };
    const { digest, version } = said;
    const replaced = replaces({ digest, version }, here);
    const over = !replaced && overwrite === true && digest !== null && digest !== here.digest;
    if (!replaced && !over) return await this.#kept(repo, digest, signal);
    if (digest === null && here.digest === undefined) {
      if (dry !== true) await store.adoptTag(repo, tag, { digest, version });
      return { kind: 'absent' };
    }
    const manifest = digest === null ? undefined : await this.#manifest({ repo, digest, named: 'tag' }, signal);
    if (manifest?.kind === 'broken') return manifest;
    if (manifest?.kind === 'absent') return this.#lacking(repo, tag, digest);
    const how = here.digest === undefined ? 'added' : digest === null ? 'removed' : 'moved';
    const brought: Brought = { kind: 'brought', how, digest, flaw: manifest?.flaw };
    if (dry === true) return brought;
    const lacking = (): Brought => this.#lacking(repo, tag, digest);
    if (over) return (await store.putTag(repo, tag, { digest })) === undefined ? lacking() : brought;
    return this.#told(await store.adoptTag(repo, tag, { digest, version }), brought, lacking);
  }

  /** Of a tag that stays as it is here: what is wrong there all the same, where that is of interest. */
  async #kept(repo: string, digest: Digest | null, signal: AbortSignal): Promise<Brought> {
    if (this.#parts.whole === undefined || digest === null) return { kind: 'same' };
    const manifest = await this.#manifest({ repo, digest, named: 'tag', dry: true }, signal);
    return manifest.kind === 'broken' ? manifest : { kind: 'same', flaw: manifest.flaw };
  }

  /** It counts if a link or a record says so, or an index of the repository that is here; where there are no links at all. */
  async manifest(repo: string, digest: Digest, signal: AbortSignal): Promise<Brought> {
    const brought = await this.#manifest({ repo, digest }, signal);
    if (brought.kind !== 'absent' || !(await this.#parts.store.listed(repo, digest))) return brought;
    return this.#manifest({ repo, digest, named: 'index' }, signal);
  }

  async #manifest(asked: Asked, signal: AbortSignal): Promise<Brought> {
    const { store, whole } = this.#parts;
    const { repo, digest, depth = 0, dry = this.#parts.dry } = asked;
    const here = (await store.manifest(repo, digest)) !== undefined;
    const known = whole?.known(asked);
    if (here && whole === undefined) return { kind: 'same' };
    if (known !== undefined && (here || dry === true)) return wholeOrNot(digest, here, known);
    const found = await this.#reader.manifest(asked, signal);
    if (found.kind === 'broken') return found;
    if (found.kind !== 'manifest') return { kind: here ? 'same' : 'absent' };
    const below = { repo, named: 'index', depth: depth + 1, dry } as const;
    const child: BringChild = (one) => this.#manifest({ ...below, digest: one }, signal);
    const moved = (): void => this.#parts.moved?.();
    const wholeness = (await whole?.of(asked, found.manifest, { depth, child, signal, moved })) ?? {};
    const brought = wholeOrNot(digest, here, wholeness);
    if (brought.kind !== 'brought' || dry === true) return brought;
    return this.#told(await store.adoptManifest(repo, digest, found.manifest), brought);
  }

  /** Of a manifest that is here: whether it was deleted elsewhere. */
  async deletion(repo: string, digest: Digest, signal: AbortSignal): Promise<Brought> {
    const { store, backed, dry, nowMs } = this.#parts;
    if (!(await this.#reader.deleted({ repo, kind: 'manifest', name: digest }, signal))) return { kind: 'same' };
    const brought: Brought = { kind: 'brought', how: 'removed', digest: null };
    if (dry === true) {
      const waits = await store.pending({ target: backed.name, repo, kind: 'manifest', name: digest });
      return waits === undefined ? brought : { kind: 'same' };
    }
    return this.#told(await store.adoptDeletion(repo, digest, nowMs()), brought);
  }

  async blob(repo: string, digest: Digest, signal: AbortSignal): Promise<Brought> {
    const { store, dry } = this.#parts;
    if ((await store.blob(repo, digest)) !== undefined) return { kind: 'same' };
    const found = await this.#reader.blob(repo, digest, signal);
    if (found.kind === 'broken') return found;
    if (found.kind !== 'blob') return { kind: 'absent' };
    const brought: Brought = { kind: 'brought', how: 'added', digest };
    if (dry === true) return brought;
    return this.#told(await store.adoptBlob(repo, digest, found.size), brought);
  }

  #told(outcome: Adopted, brought: Brought, lacking?: () => Brought): Brought {
    if (outcome === 'adopted') return brought;
    if (outcome === 'lacking' && lacking !== undefined) return lacking();
    return { kind: 'same' };
  }

  #lacking(repo: string, tag: string, digest: Digest | null): Brought {
    const why = `tag ${tag} of repository ${repo} is on ${digest}, which is no manifest there: push it again`;
    return { kind: 'broken', why: `${this.#parts.backed.name}: ${why}` };
  }
}

/** Of a manifest whose bytes are there. What is here already stays, whatever it lacks there. */
function wholeOrNot(digest: Digest, here: boolean, { broken, flaw }: Wholeness): Brought {
  if (here) return { kind: 'same', flaw: broken ?? flaw };
  return broken === undefined ? { kind: 'brought', how: 'added', digest, flaw } : { kind: 'broken', why: broken };
}

/** What a backend says of a tag that is `here` so; undefined: nothing that counts. */
function saidOf(backed: TagsBacked, found: Exclude<TagFound, Broken>, here: TagPlace): AdoptedTag | undefined {
  const follows = !backed.tags.can.records;
  if (found.kind === 'absent')
    return follows && here.version === unversioned && here.digest !== undefined
      ? { digest: null, version: unversioned }
      : undefined;
  const digest = found.kind === 'tag' ? found.digest : null;
  const moved = follows && backed.writes && here.digest !== undefined && here.digest !== digest;
  if (!moved || here.version === null || here.version === unversioned) return { digest, version: found.version };
  return { digest, version: tagVersion(numberOf(here.version) + 1, writerOf(here.version)) };
}

/**
 * As a client hears it. A tag that is there and cannot be used leads nowhere, however often it is asked for; bytes that are
 * wrong may be right ones the next time, and those of a digest may be somewhere else.
 */
export function brokenError(kind: 'tag' | 'manifest', { why, wrong = false }: Omit<Broken, 'kind'>): ApiError {
  const message = `what the backend holds cannot be used: ${why}`;
  if (wrong || kind === 'manifest') return new ApiError('UNAVAILABLE', message);
  const detail: BrokenTag = { broken: true };
  return new ApiError('MANIFEST_UNKNOWN', message, detail);
}
