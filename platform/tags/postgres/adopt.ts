/** What a backend holds, brought into the tables in PostgreSQL (outbox.ts, rule 3). */

import type { Digest } from '../../../core/digest.ts';
import type { Adopted, AdoptedManifest, AdoptedTag } from '../outbox.ts';
import { backendAmong } from '../targets.ts';
import { replaces } from '../versions.ts';
import { adoptBlobs } from './blobs.ts';
import { goingAmong } from './doomed.ts';
import { idleLinked, idleReferred } from './idle.ts';
import { hasManifest, writeManifest } from './manifests.ts';
import type { Tx } from './numbers.ts';
import type { PostgresOutbox } from './outbox.ts';
import { noRepo, type PostgresRepos } from './repos.ts';
import { referred } from './unlinked.ts';
import type { PostgresVersions } from './versions.ts';

type AdoptParts = {
  readonly repos: PostgresRepos;
  readonly outbox: PostgresOutbox;
  readonly versions: PostgresVersions;
  readonly nowMs: () => number;
};

export class PostgresAdopt {
  readonly #parts: AdoptParts;

  constructor(parts: AdoptParts) {
    this.#parts = parts;
  }

  async manifest(tx: Tx, repo: string, digest: Digest, manifest: AdoptedManifest): Promise<Adopted> {
    const { asking } = tx;
    const id = await this.#parts.repos.open(asking, repo);
    if ((await this.#waits(tx, { id, repo }, digest)) || (await hasManifest(asking, id, digest))) return 'kept';
    const { blobs, manifests, subject } = manifest;
    const digests = blobs.map((blob) => blob.digest);
    const all = [digest, ...digests, ...manifests, ...(subject === undefined ? [] : [subject])];
    if (await goingAmong(tx, all)) return 'kept';
    await writeManifest(asking, id, digest, { ...manifest, blobs: digests });
    await adoptBlobs(asking, this.#of(id, repo), blobs);
    await idleReferred(tx, id, digests);
    // Their bytes are in the backend, whatever origins were told of those that they had.
    await referred(tx, all);
    return 'adopted';
  }

  async blob(tx: Tx, repo: string, digest: Digest, size: number): Promise<Adopted> {
    const id = await this.#parts.repos.open(tx.asking, repo);
    if (await goingAmong(tx, [digest])) return 'kept';
    if ((await adoptBlobs(tx.asking, this.#of(id, repo), [{ digest, size }])) === 0) return 'kept';
    await idleLinked(tx, id, [digest], this.#parts.nowMs());
    await referred(tx, [digest]);
    return 'adopted';
  }

  async tag(tx: Tx, repo: string, tag: string, to: AdoptedTag): Promise<Adopted> {
    const { repos, versions, outbox } = this.#parts;
    const id = await repos.open(tx.asking, repo);
    const here = await versions.state(tx, id, tag);
    // Where a tombstone was forgotten its row still knows.
    const version = (await outbox.waits(tx, { id, repo }, 'tag', tag)) ?? here.version;
    if (!replaces(to, { ...here, version })) return 'kept';
    if (to.digest !== null && !(await hasManifest(tx.asking, id, to.digest))) return 'lacking';
    await versions.adopt(tx, id, tag, to);
    await outbox.supersede(tx, { id, repo }, 'tag', tag);
    return 'adopted';
  }

  /** Where it may go from the tables: not what waits to be written, nor what a tag is on. */
  async goesFrom(tx: Tx, repo: string, digest: Digest): Promise<number | undefined> {
    const id = await this.#parts.repos.find(tx.asking, repo);
    if (id === noRepo || (await this.#waits(tx, { id, repo }, digest))) return undefined;
    return (await this.#parts.versions.on(tx, id, digest)).length === 0 ? id : undefined;
  }

  #of(id: number, repo: string) {
    return { id, backend: backendAmong(this.#parts.outbox.targetsOf(repo)) };
  }

  async #waits(tx: Tx, place: { id: number; repo: string }, digest: Digest): Promise<boolean> {
    return (await this.#parts.outbox.waits(tx, place, 'manifest', digest)) !== undefined;
  }
}
