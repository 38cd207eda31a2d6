/** Pages of what lies in the bucket, in the order of its keys (layout.ts). */

import type { CatalogPage, ReferrerList, ReferrerRecord, TagPage } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { fitting } from '../pages.ts';
import { type PageOf, type ReferrersOf, referrerAnnotationBytesMax } from '../store.ts';
import type { Cells } from './cells/cells.ts';
import type { Gates } from './gates.ts';
import {
  afterDigest,
  afterRepo,
  afterTag,
  digestInKey,
  linksOf,
  NAMES,
  recordsOf,
  repoIn,
  repoKey,
  tagIn,
  tagsOf,
} from './layout.ts';
import type { BucketManifests } from './manifests.ts';
import type { RepoNames } from './names.ts';
import { referrerOf } from './record.ts';
import { several } from './requests/several.ts';

/** Records, or repositories, that are looked at at once for a page. */
const lookedAtMax = 16;

type Parts = {
  readonly cells: Cells;
  readonly gates: Gates;
  readonly manifests: BucketManifests;
  readonly names: RepoNames;
};

export class BucketLists {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async tags(repo: string, { n, last }: PageOf): Promise<TagPage | undefined> {
    const { cells } = this.#parts;
    const found: string[] = [];
    for await (const { key, live } of cells.keys(tagsOf(repo), last === undefined ? '' : afterTag(last), n + 1)) {
      const tag = live ? tagIn(key) : undefined;
      if (tag !== undefined) found.push(tag);
      if (found.length > n) break;
    }
    if (found.length === 0 && !(await this.#parts.names.has(repo))) return undefined;
    return { tags: found.slice(0, n), more: found.length > n };
  }

  /** The index of an index of a repository that has it is its parent. */
  async listed(repo: string, digest: Digest): Promise<boolean> {
    const { cells, gates } = this.#parts;
    const { epoch } = await gates.read(digest);
    for await (const _ of cells.keys(`${linksOf(digest, epoch)}c/${repoKey(repo)}/`, '', 1)) return true;
    return false;
  }

  async catalog({ n, last }: PageOf): Promise<CatalogPage> {
    const { cells } = this.#parts;
    const found: string[] = [];
    let group: string[] = [];
    const look = async (): Promise<void> => {
      const has = await several(group, (repo) => this.#hasManifest(repo));
      found.push(...group.filter((_, i) => has[i]));
      group = [];
    };
    for await (const { key } of cells.keys(NAMES, last === undefined ? '' : afterRepo(last))) {
      group.push(...[repoIn(key) ?? []].flat());
      if (group.length >= Math.min(lookedAtMax, n + 1 - found.length)) await look();
      if (found.length > n) break;
    }
    await look();
    return { repositories: found.slice(0, n), more: found.length > n };
  }

  async holders(digest: Digest, { n, last }: PageOf): Promise<CatalogPage> {
    const { epoch } = await this.#parts.gates.read(digest);
    const after = last === undefined ? '' : afterRepo(last);
    const [blobs, manifests] = await Promise.all(
      ['b', 'm'].map((kind) => this.#repos(`${linksOf(digest, epoch)}${kind}/`, after, n + 1)),
    );
    const all = [...new Set([...(blobs ?? []), ...(manifests ?? [])])].sort();
    return { repositories: all.slice(0, n), more: all.length > n };
  }

  async referrers(repo: string, digest: Digest, { n, last, artifactType }: ReferrersOf): Promise<ReferrerList> {
    const wanted = ({ artifactType: type }: ReferrerRecord): boolean =>
      artifactType === undefined || type === artifactType;
    const found: ReferrerRecord[] = [];
    let bytes = 0;
    for await (const group of this.#referring(repo, digest, last)) {
      const records = await several(group, (one) => this.#parts.manifests.read(repo, one));
      for (const [i, record] of records.entries()) {
        const of = group[i];
        if (of === undefined || record?.subject !== digest) continue;
        const referrer = referrerOf(of, record);
        if (wanted(referrer)) found.push(referrer);
        if (wanted(referrer)) bytes += annotationBytes(referrer);
      }
      if (found.length > n || bytes > referrerAnnotationBytesMax) break;
    }
    const manifests = fitting(found.slice(0, n), annotationBytes);
    return { manifests, more: manifests.length < found.length };
  }

  /** BucketManifests of the repository that say that they have that subject, in groups. */
  async *#referring(repo: string, digest: Digest, last: string | undefined): AsyncGenerator<Digest[]> {
    const { cells, gates } = this.#parts;
    const { epoch } = await gates.read(digest);
    const of = `${linksOf(digest, epoch)}s/${repoKey(repo)}/`;
    let group: Digest[] = [];
    let before: Digest | undefined;
    for await (const { key } of cells.keys(of, last === undefined ? '' : afterDigest(last))) {
      const manifest = digestInKey(key.slice(0, key.indexOf('/')));
      if (manifest === undefined || manifest === before) continue;
      before = manifest;
      group.push(manifest);
      if (group.length < lookedAtMax) continue;
      yield group;
      group = [];
    }
    if (group.length > 0) yield group;
  }

  /** The first of the repositories that have a key there. */
  async #repos(prefix: string, after: string, n: number): Promise<string[]> {
    const found = new Set<string>();
    for await (const { key, live } of this.#parts.cells.keys(prefix, after, n)) {
      const repo = live ? repoIn(key.slice(0, key.indexOf('!') + 1)) : undefined;
      if (repo !== undefined) found.add(repo);
      if (found.size >= n) break;
    }
    return [...found];
  }

  async #hasManifest(repo: string): Promise<boolean> {
    for await (const { live } of this.#parts.cells.keys(recordsOf(repo), '', 100)) if (live) return true;
    return false;
  }
}

function annotationBytes({ annotations }: ReferrerRecord): number {
  return annotations === undefined ? 0 : Buffer.byteLength(JSON.stringify(annotations));
}
