/**
 * One row of the outbox, done at its remote: a tag with all that it needs, a tag's deletion, a manifest that refers to
 * another one and has no tag, or the deletion of a manifest.
 *
 * Rule 1: a tag comes last, with the version of its write. What stands there and is newer stays: it comes here by the other
 *   cluster's own rules, if at all.
 * Rule 2: at a registry, which knows no versions, the newest write wins that is known here: a row that was replaced, or whose
 *   hold may be over, writes no tag.
 * Rule 3: what refers to a manifest goes where that is. Where it is not, whoever brings it brings this too (image.ts).
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { parseManifest } from '../../../core/oci/manifest.ts';
import { type ReplicationRule, ruleFor, tagMatches } from '../../../core/replicate/rules.ts';
import type { OutboxRow } from '../../../platform/tags/outbox.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { newer } from '../../../platform/tags/versions.ts';
import type { Recent } from '../../backing/lane/write.ts';
import type { RemoteRegistry } from '../remote/remote.ts';
import { type DeletionDone, deleteThere } from './deletion.ts';
import { ImageCopy, type ImageParts } from './image.ts';
import { SeenThere } from './seen.ts';

/**
 * passed: no rule wants it there; there: it was; overtaken: a later write of here comes; newer: what stands there is; needed,
 * unable: of a deletion, as deletion.ts has it.
 */
export type RowDone = 'sent' | 'passed' | 'overtaken' | 'newer' | DeletionDone;

export type RowParts = Omit<ImageParts, 'goesThere'> & {
  readonly remote: RemoteRegistry;
  readonly store: Pick<TagStore, 'manifest' | 'references' | 'referrers' | 'holders' | 'pending'>;
  readonly rules: readonly ReplicationRule[];
  /** What the remote was seen to hold. */
  readonly there: Recent;
};
type While = {
  readonly signal: AbortSignal;
  /** Whether the row is surely held by us. */
  readonly held: () => boolean;
};

export class RowSender {
  readonly #parts: RowParts & ImageParts;

  constructor(parts: RowParts) {
    const goesThere = (repo: string): boolean => ruleFor(parts.rules, repo, parts.remote.name) !== undefined;
    this.#parts = { ...parts, goesThere };
  }

  async send(row: OutboxRow, during: While): Promise<RowDone> {
    const { rules, remote, there } = this.#parts;
    const rule = ruleFor(rules, row.repo, remote.name);
    if (rule === undefined) return 'passed';
    if (row.kind === 'tag' && row.digest === null) return rule.deletes ? await this.#delete(row, during) : 'passed';
    const seen = new SeenThere(there, row.repo);
    if (row.kind === 'manifest' && row.digest === null) {
      seen.gone('manifest', row.name as Digest);
      return rule.deletes ? await this.#gone(row, during) : 'passed';
    }
    const image = new ImageCopy(this.#parts, { repo: row.repo, seen, signal: during.signal });
    try {
      if (row.kind === 'manifest' && row.digest !== null) return await this.#referrer(image, row.digest);
      if (row.kind !== 'tag' || row.digest === null || !tagMatches(rule.tags, row.name)) return 'passed';
      return await this.#tag(image, { ...row, digest: row.digest }, during);
    } catch (error) {
      // It may have lost what it was seen to hold.
      seen.forget();
      throw error;
    }
  }

  async #tag(image: ImageCopy, row: OutboxRow & { digest: Digest }, { signal, held }: While): Promise<RowDone> {
    const { remote } = this.#parts;
    const { repo, name: tag, digest, version } = row;
    const found = await remote.tags.tag(repo, tag, signal);
    if (found?.version !== undefined && newer(found.version, version)) return 'newer';
    const right = found?.digest === digest && (remote.kind === 'registry' || found.version === version);
    if (right) {
      await image.whole(digest);
      return 'there';
    }
    const manifest = await image.root(digest);
    if (!held() || (await this.#parts.store.pending(row))?.version !== version) return 'overtaken';
    const stands = await remote.tags.putTag({ repo, tag, version }, manifest, signal);
    await image.later();
    return stood(stands, version) ? 'sent' : 'newer';
  }

  async #delete(row: OutboxRow, { signal, held }: While): Promise<RowDone> {
    const { remote, store } = this.#parts;
    const { repo, name: tag, version } = row;
    if (!held() || (await store.pending(row))?.version !== version) return 'overtaken';
    return stood(await remote.tags.deleteTag({ repo, tag, version }, signal), version) ? 'deleted' : 'newer';
  }

  async #gone(row: OutboxRow, { signal, held }: While): Promise<RowDone> {
    const { store } = this.#parts;
    const { target, repo, version, attempts } = row;
    const digest = row.name as Digest;
    // Whoever pushed it again since may have done so without a row of its own.
    if (!held() || (await store.manifest(repo, digest)) !== undefined) return 'overtaken';
    return await deleteThere({ ...this.#parts, target }, { repo, digest, version, attempts }, signal);
  }

  async #referrer(image: ImageCopy, digest: Digest): Promise<RowDone> {
    const { bytes, mediaType } = await image.read(digest);
    const { subject } = parseManifest(bytes, mediaType);
    if (subject === undefined || !(await image.has(subject.digest))) return 'passed';
    await image.referrer(digest);
    await image.later();
    return 'sent';
  }
}

function stood(stands: TagVersion | undefined, version: TagVersion): boolean {
  return stands === undefined || !newer(stands, version);
}
