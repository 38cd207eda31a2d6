/**
 * One row of the outbox, written to its backend: the record first, by condition, then the link.
 *
 * Rule 1: nothing is named before it is there: a blob's link waits for the blob, a manifest for its bytes, its blobs and,
 *   of an index, its manifests, a tag for its manifest. Whatever moment a cluster is lost at, what the backend names can be
 *   pulled from it.
 * Rule 2: an older version never replaces a newer one. Of two that write a tag at once, each looks at the record again
 *   once its link is written, and makes the link what the record says: the last one to look leaves them equal.
 * Rule 3: nothing is removed there. What was deleted keeps its link, and has a record that says so.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { placeOf, type TagsBacked } from '../../../platform/backends/backends.ts';
import type { Linked } from '../../../platform/backends/links.ts';
import type { OutboxRow } from '../../../platform/tags/outbox.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { numberOf, tagVersion, writerOf } from '../../../platform/tags/versions.ts';
import { putRecord } from '../objects.ts';
import { BackedReader } from '../read.ts';
import { type LinkRecord, linkBytes } from '../records.ts';

/** waits: it is to be tried again once that is there. newer: the backend has a later write of somebody else. */
export type RowOutcome =
  | { readonly kind: 'written' }
  | { readonly kind: 'waits'; readonly for: Digest }
  | { readonly kind: 'newer'; readonly record: LinkRecord };

type WriteParts = {
  readonly backed: TagsBacked;
  readonly store: Pick<TagStore, 'manifest' | 'references'>;
  readonly signal: AbortSignal;
  /** What the backend was seen to hold. */
  readonly there: Recent;
};
type Place = { readonly repo: string; readonly digest: Digest };

/** Links that are put right at most so often: as many writers at one moment there are not. */
const looksMax = 8;
/** An index of indexes of indexes: more has nobody. */
const depthMax = 4;

const written: RowOutcome = { kind: 'written' };

/** The newest names of what was seen, at most so many. */
export class Recent {
  readonly #names = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }

  add(name: string): void {
    this.#names.add(name);
    for (const oldest of this.#names) {
      if (this.#names.size <= this.#max) break;
      this.#names.delete(oldest);
    }
  }
}

export class RowWriter {
  readonly #parts: WriteParts;
  readonly #reader: BackedReader;

  constructor(parts: WriteParts) {
    this.#parts = parts;
    this.#reader = new BackedReader(parts.backed);
  }

  async write(row: OutboxRow): Promise<RowOutcome> {
    const { digest, repo, version } = row;
    switch (row.kind) {
      case 'blob':
        return this.#blob(row);
      case 'manifest':
        if (digest !== null) return this.#manifest({ repo, digest }, version, 0);
        this.#parts.there.delete(nameOf({ repo, digest: row.name as Digest }));
        return this.#put(row, { version, deleted: true });
      case 'tag': {
        if (digest === null) return this.#put(row, { version, deleted: true });
        const manifest = await this.#needed({ repo, digest }, version, 0);
        return manifest.kind === 'waits' ? manifest : this.#tag(row, digest);
      }
    }
  }

  async #blob(row: OutboxRow): Promise<RowOutcome> {
    const { digest, version } = row;
    if (digest === null) return this.#put(row, { version, deleted: true });
    if (!(await this.#bytesThere(row.repo, digest))) return waits(digest);
    // Beside a link, only what was unlinked once has a record.
    const linked = this.#parts.backed.layout.links.linkKey(row) !== undefined;
    const found = linked ? await this.#reader.blob(row.repo, digest, this.#parts.signal) : undefined;
    const outcome = found === undefined || found.kind === 'deleted' ? await this.#put(row, { version }) : written;
    if (outcome.kind === 'written') await this.#link(row, digest);
    return outcome;
  }

  async #manifest({ repo, digest }: Place, version: TagVersion, depth: number): Promise<RowOutcome> {
    const { store, there } = this.#parts;
    const record = await store.manifest(repo, digest);
    // Deleted meanwhile: the row of that comes next.
    if (record === undefined) return written;
    const { blobs, manifests } = await store.references(repo, digest);
    for (const blob of [digest, ...blobs]) if (!(await this.#bytesThere(repo, blob))) return waits(blob);
    for (const child of depth < depthMax ? manifests : []) {
      const outcome = await this.#needed({ repo, digest: child }, version, depth + 1);
      if (outcome.kind === 'waits') return outcome;
    }
    const of: Linked = { repo, kind: 'manifest', name: digest };
    const outcome = await this.#put(of, { version, mediaType: record.mediaType });
    if (outcome.kind !== 'written') return outcome;
    await this.#link(of, digest);
    there.add(nameOf({ repo, digest }));
    return outcome;
  }

  /**
   * A manifest that something names: it may be there already, it may be older than the backend, and never have been queued,
   * and where it was deleted elsewhere it comes back, after that deletion.
   */
  async #needed(place: Place, version: TagVersion, depth: number): Promise<RowOutcome> {
    if (this.#parts.there.has(nameOf(place))) return written;
    const outcome = await this.#manifest(place, version, depth);
    if (outcome.kind !== 'newer') return outcome;
    const after = tagVersion(numberOf(outcome.record.version) + 1, writerOf(version));
    return this.#manifest(place, after, depth);
  }

  async #tag(row: OutboxRow, digest: Digest): Promise<RowOutcome> {
    const { repo, name, version } = row;
    const outcome = await this.#put(row, { version, digest });
    if (outcome.kind !== 'written') return outcome;
    // Without a record nothing says which of two links is the later one: ours is written once.
    if (!this.#parts.backed.tags.can.records) {
      await this.#link(row, digest);
      return outcome;
    }
    let link = digest;
    for (let look = 0; look < looksMax; look++) {
      await this.#link(row, link);
      const now = await this.#reader.tag(repo, name, this.#parts.signal);
      if (now.kind !== 'tag' || now.digest === link) break;
      link = now.digest;
    }
    return outcome;
  }

  async #put(of: Linked, record: LinkRecord): Promise<RowOutcome> {
    const { backed, signal } = this.#parts;
    if (!backed.tags.can.records) return written;
    const { newer } = await putRecord(backed.tags, backed.layout.links.recordKey(of), record, signal);
    // Of what never changes, whoever said that it is there is right for all.
    const same = of.kind !== 'tag' && (newer?.deleted === true) === (record.deleted === true);
    return newer === undefined || same ? written : { kind: 'newer', record: newer };
  }

  async #link(of: Linked, digest: Digest): Promise<void> {
    const { backed, signal } = this.#parts;
    const key = backed.layout.links.linkKey(of);
    if (key !== undefined) await backed.tags.put(key, linkBytes(digest), signal);
  }

  async #bytesThere(repo: string, digest: Digest): Promise<boolean> {
    const { backed, there, signal } = this.#parts;
    const place = placeOf(backed, digest, repo);
    // One that keeps nothing is never seen to hold anything, and is told all the same.
    if (there.has(place) || backed.backend.kind === 'noop') return true;
    if ((await this.#reader.sizeOf(repo, digest, signal)) === undefined) return false;
    there.add(place);
    return true;
  }
}

function waits(digest: Digest): RowOutcome {
  return { kind: 'waits', for: digest };
}

function nameOf({ repo, digest }: Place): string {
  return `${repo} ${digest}`;
}
