/**
 * The tag store of an index whose repositories have backends: reads go through to them, writes are written back, and are
 * acknowledged as the rule's `durability` says.
 *
 * Rule 1: what is acknowledged was committed with its row in the outbox; with `durability: backend` it is also there.
 * Rule 2: with `durability: backend` a write that finds a later one of another cluster there is made again, after it: it was
 *   not acknowledged yet, so it is the last one.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { Backends, TagsBacked } from '../../platform/backends/backends.ts';
import type { OutboxKey } from '../../platform/tags/outbox.ts';
import type { NamedWrites, TagStore } from '../../platform/tags/store.ts';
import type { IndexStore } from '../api.ts';
import type { OutboxLane } from './lane/lane.ts';
import type { ReadThrough } from './through.ts';

/** Of whatever target. */
type OutboxRowOf = Omit<OutboxKey, 'target'>;

/** With `durability: backend` a write is waited for so long: callers see that we live, their clients may not. */
const confirmMs = 20_000;
/** Writes of other clusters that may come in between, each before ours has got there. */
const turnsMax = 5;

export type BackedStoreParts = {
  readonly store: TagStore;
  readonly backends: Backends;
  readonly through: ReadThrough;
  /** By the name of the backend. */
  readonly lanes: ReadonlyMap<string, OutboxLane>;
};

export class BackedStore implements IndexStore {
  readonly #parts: BackedStoreParts;

  constructor(parts: BackedStoreParts) {
    this.#parts = parts;
  }

  tags: TagStore['tags'] = (...args) => this.#parts.store.tags(...args);
  referrers: TagStore['referrers'] = (...args) => this.#parts.store.referrers(...args);
  blob: TagStore['blob'] = (...args) => this.#parts.store.blob(...args);
  holders: TagStore['holders'] = (...args) => this.#parts.store.holders(...args);
  catalog: TagStore['catalog'] = (...args) => this.#parts.store.catalog(...args);
  unlinked: TagStore['unlinked'] = (...args) => this.#parts.store.unlinked(...args);
  condemn: TagStore['condemn'] = (...args) => this.#parts.store.condemn(...args);

  tag: TagStore['tag'] = async (repo, tag) => {
    const { store, through } = this.#parts;
    const backed = this.#of(repo);
    if (backed !== undefined) await through.tag(backed, repo, tag);
    return store.tag(repo, tag);
  };

  manifest: TagStore['manifest'] = async (repo, digest) => {
    const { store, through } = this.#parts;
    const found = await store.manifest(repo, digest);
    const backed = found === undefined ? this.#of(repo) : undefined;
    if (backed === undefined) return found;
    await through.manifest(backed, repo, digest);
    return store.manifest(repo, digest);
  };

  readonly #unnamed = this.#writes(() => this.#parts.store);
  putManifest = this.#unnamed.putManifest;
  putTag = this.#unnamed.putTag;
  deleteTag = this.#unnamed.deleteTag;
  deleteManifest = this.#unnamed.deleteManifest;
  unlinkBlob = this.#unnamed.unlinkBlob;
  // What is made again after a later write of another cluster is another write.
  named: TagStore['named'] = (of) =>
    this.#writes((turn) => (turn === 1 ? this.#parts.store.named(of) : this.#parts.store));

  #writes(at: (turn: number) => NamedWrites): NamedWrites {
    return {
      putManifest: (repo, digest, put, nowMs) =>
        this.#written(
          [manifestKey(repo, digest), ...put.tags.map((tag) => tagKey(repo, tag))],
          (turn) => at(turn).putManifest(repo, digest, put, nowMs),
          put.as,
        ),
      putTag: (repo, tag, put) => this.#written([tagKey(repo, tag)], (turn) => at(turn).putTag(repo, tag, put), put.as),
      deleteTag: (repo, tag, on) =>
        this.#written(
          [tagKey(repo, tag)],
          (turn) => at(turn).deleteTag(repo, tag, on),
          typeof on === 'object' ? on.as : undefined,
        ),
      deleteManifest: (repo, digest, nowMs, as) =>
        this.#written([manifestKey(repo, digest)], (turn) => at(turn).deleteManifest(repo, digest, nowMs, as), as),
      unlinkBlob: (repo, digest, nowMs) =>
        this.#written([blobKey(repo, digest)], (turn) => at(turn).unlinkBlob(repo, digest, nowMs)),
    };
  }

  linkBlob: TagStore['linkBlob'] = (repo, digest, put) =>
    this.#written([blobKey(repo, digest)], () => this.#parts.store.linkBlob(repo, digest, put));

  mount: TagStore['mount'] = (repo, digest, from) =>
    this.#written([blobKey(repo, digest)], () => this.#parts.store.mount(repo, digest, from));

  #of(repo: string): TagsBacked | undefined {
    return this.#parts.backends.tagsOf(repo);
  }

  /** `keys`: of the rows that `write` leaves, all in one repository, if it changes anything. */
  async #written<T>(keys: readonly OutboxRowOf[], write: (turn: number) => Promise<T>, as?: TagVersion): Promise<T> {
    const backed = this.#of((keys[0] as OutboxRowOf).repo);
    if (backed === undefined) return write(1);
    const lane = this.#parts.lanes.get(backed.name) as OutboxLane;
    for (let turn = 1; ; turn++) {
      const outcome = await write(turn);
      lane.kick();
      if (backed.durability !== 'backend') return outcome;
      // What was made elsewhere gives way to what is later, here as there.
      if ((await this.#confirmed(backed, lane, keys)) || as !== undefined) return outcome;
      if (turn === turnsMax) throw unconfirmed(backed, 'has later writes of other clusters again and again');
    }
  }

  /** False: a later write of somebody else was there. */
  async #confirmed(backed: TagsBacked, lane: OutboxLane, keys: readonly OutboxRowOf[]): Promise<boolean> {
    const signal = AbortSignal.timeout(confirmMs);
    const rows = (
      await Promise.all(keys.map((key) => this.#parts.store.pending({ ...key, target: backed.name })))
    ).filter((row) => row !== undefined);
    try {
      const all = await Promise.all(rows.map((row) => lane.confirmed(row, signal)));
      return !all.includes('newer');
    } catch (error) {
      if (!signal.aborted) throw error;
      throw unconfirmed(backed, `has not confirmed it within ${confirmMs / 1000} s`);
    }
  }
}

function unconfirmed(backed: TagsBacked, why: string): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    `backend ${backed.name} ${why}: the write is kept here and goes on, but is not acknowledged (\`durability: backend\`): try again`,
  );
}

function tagKey(repo: string, tag: string): OutboxRowOf {
  return { repo, kind: 'tag', name: tag };
}

function manifestKey(repo: string, digest: Digest): OutboxRowOf {
  return { repo, kind: 'manifest', name: digest };
}

function blobKey(repo: string, digest: Digest): OutboxRowOf {
  return { repo, kind: 'blob', name: digest };
}
