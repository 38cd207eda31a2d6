/**
 * A tag store in a bucket: each method a few requests, of which one decides. docs/index-bucket.md has the protocol of each,
 * what is left where it breaks off, and what it costs.
 *
 * Rule 1: nothing is remembered between two calls but what never changes, and the highest version that was seen.
 * Rule 2: what was asked before this process was held up is not written once it goes on: who asked has asked another by now.
 *   A cell is read before that is looked at: what others wrote since is seen by its version.
 * Rule 3: what a bucket does not answer is 503 UNAVAILABLE, at once; a write may then have been made.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { BlobLink, TagRecord } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { BackendError } from '../../backends/backend.ts';
import type { ConditionalObjects } from '../../backends/conditional.ts';
import type { Time } from '../../net/clock.ts';
import { storeAway, storeUnsure } from '../away.ts';
import type { DocumentStore } from '../documents.ts';
import { Hangs, heldUpError } from '../hangs.ts';
import type { WriteName } from '../named.ts';
import type { OutboxKey, OutboxOptions } from '../outbox.ts';
import type { NamedWrites, TagStore } from '../store.ts';
import { storeAt } from './about.ts';
import { Cells } from './cells/cells.ts';
import { type BucketParts, bucketParts } from './parts.ts';
import { Lanes } from './requests/lanes.ts';
import { several } from './requests/several.ts';
import { deleteTag, putTag } from './tag-writes.ts';
import { onOfCell, stateOfCell } from './tags.ts';

/** Calls that are under way or wait; each is a request of somebody. */
const callsMax = 10_000;

/** A bucket that could not be opened is asked again so much later. */
const openAgainMs = 1_000;

export type BucketStoreOptions = {
  /** Whether this process was held up. Default: as it is. */
  readonly hangs?: Pick<Hangs, 'since'> & Disposable;
  readonly time: Time;
  readonly objects: ConditionalObjects;
  /** Of all keys; ends with a slash. */
  readonly prefix: string;
  /** Whose writes are told; undefined: no repository has a target. */
  readonly outbox?: OutboxOptions | undefined;
  /** Of the bucket, once nothing is asked of it any more. */
  readonly close: () => Promise<void>;
};

export class BucketTagStore implements TagStore {
  readonly #options: BucketStoreOptions;
  readonly #ending = new AbortController();
  readonly #lanes = new Lanes();
  readonly #hangs: Pick<Hangs, 'since'> & Disposable;
  /** When the call was made of which this is a part. */
  readonly #asked = new AsyncLocalStorage<number>();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #atEnd: (() => void)[] = [];
  #parts: Promise<BucketParts> | undefined;
  /** It could not be opened, and is not asked before. */
  #away: { readonly error: unknown; readonly untilMs: number } | undefined;
  closed = false;

  constructor(options: BucketStoreOptions) {
    this.#options = options;
    this.#hangs = options.hangs ?? new Hangs();
  }

  /** `end` is called when the store is closed. */
  atEnd(end: () => void): void {
    this.#atEnd.push(end);
  }

  /** Throws what the bucket says where it cannot be used, or not now. */
  async start(): Promise<void> {
    await this.#open();
  }

  readonly documents: DocumentStore = {
    document: (name) => this.#call(({ documents }) => documents.document(name)),
    putDocument: (...args) => this.#call(({ documents }) => documents.putDocument(...args), ['documents']),
  };

  tag: TagStore['tag'] = (repo, tag) =>
    this.#call(async ({ tags }): Promise<TagRecord | undefined> => {
      const { cell } = await tags.read(repo, tag);
      const on = onOfCell(cell);
      if (on === undefined) return undefined;
      const { digest, mediaType, size } = on;
      return { digest, mediaType, size, version: stateOfCell({ cell }).version ?? undefined };
    });

  manifest: TagStore['manifest'] = (repo, digest) =>
    this.#call(async ({ manifests }) => {
      const record = await manifests.read(repo, digest);
      return record && { digest, mediaType: record.mediaType, size: record.size };
    });

  tags: TagStore['tags'] = (...args) => this.#call(({ lists }) => lists.tags(...args));
  referrers: TagStore['referrers'] = (...args) => this.#call(({ lists }) => lists.referrers(...args));
  catalog: TagStore['catalog'] = (...args) => this.#call(({ lists }) => lists.catalog(...args));
  holders: TagStore['holders'] = (...args) => this.#call(({ lists }) => lists.holders(...args));
  listed: TagStore['listed'] = (...args) => this.#call(({ lists }) => lists.listed(...args));
  blob: TagStore['blob'] = (...args) => this.#call(({ links }) => links.blob(...args));
  succession: TagStore['succession'] = () => this.#call(({ succession }) => succession.of());
  trust: TagStore['trust'] = () => this.#call(({ succession }) => succession.trust(), ['about']);
  unlinked: TagStore['unlinked'] = (digests) => this.#call(({ condemned }) => condemned.among(digests));
  condemn: TagStore['condemn'] = (...args) => this.#call(({ condemned }) => condemned.condemn(...args));
  uselessSince: TagStore['uselessSince'] = (...args) => this.#call(({ condemned }) => condemned.useless(...args));

  idleSince: TagStore['idleSince'] = (repo, digest) =>
    this.#call(async ({ links, gates }) => {
      const { sinceMs } = await gates.read(digest);
      return sinceMs !== undefined && (await links.blob(repo, digest)) !== undefined ? sinceMs : undefined;
    });

  use: TagStore['use'] = (repo, digest) =>
    this.#call(
      async ({ links, gates }) => {
        await gates.use(digest);
        // After that: it was condemned before, or is not by what was seen until now.
        return (await links.blob(repo, digest)) !== undefined;
      },
      [digest],
    );

  // Idle links have no list: whoever holds the digest has it judged, and they go with their epoch.
  idleCounts: TagStore['idleCounts'] = async () => ({ idle: 0, due: 0, dueBytes: 0 });
  expire: TagStore['expire'] = async () => ({ links: 0, bytes: 0, more: false });

  readonly #unnamed = this.#writes(undefined);
  putManifest = this.#unnamed.putManifest;
  putTag = this.#unnamed.putTag;
  deleteTag = this.#unnamed.deleteTag;
  deleteManifest = this.#unnamed.deleteManifest;
  unlinkBlob = this.#unnamed.unlinkBlob;
  named: TagStore['named'] = (of) => this.#writes(of);

  #writes(of: WriteName | undefined): NamedWrites {
    return {
      putManifest: (repo, digest, put, nowMs) =>
        this.#call(
          ({ manifests }) => manifests.put({ repo, digest, put, nowMs, of }),
          [ofManifest(repo, digest), ...put.tags.map((tag) => ofTag(repo, tag))],
        ),
      putTag: (repo, tag, put) => this.#call((parts) => putTag(parts, { repo, tag, ...put, of }), [ofTag(repo, tag)]),
      deleteTag: (repo, tag, on) => this.#call((parts) => deleteTag(parts, { repo, tag, on, of }), [ofTag(repo, tag)]),
      deleteManifest: async (repo, digest, nowMs, as) => {
        if (as !== undefined) throw notAs();
        return this.#call(({ manifests }) => manifests.remove({ repo, digest, nowMs, of }), [ofManifest(repo, digest)]);
      },
      unlinkBlob: (repo, digest, nowMs) =>
        this.#call(
          async ({ links }) => {
            if (!(await links.unlinkBlob(repo, digest, of))) return false;
            await links.lost(digest, nowMs);
            return true;
          },
          [digest],
        ),
    };
  }

  linkBlob: TagStore['linkBlob'] = (repo, digest, { size, proof }) =>
    this.#call(
      async ({ links, names }) => {
        const unproved = await links.linkBlob(repo, { digest, size }, proof);
        if (unproved === undefined) await names.add(repo);
        return unproved;
      },
      [digest],
    );

  mount: TagStore['mount'] = (repo, digest, from) =>
    this.#call(
      async ({ links, names }): Promise<BlobLink | undefined> => {
        const link = await links.blob(from, digest);
        // It may be condemned since: then `from` has it no more.
        if (link === undefined || (await links.linkBlob(repo, link, undefined)) !== undefined) return undefined;
        await names.add(repo);
        return link;
      },
      [digest],
    );

  references: TagStore['references'] = (repo, digest) =>
    this.#call(async ({ manifests: all }) => {
      const { blobs = [], manifests = [] } = (await all.read(repo, digest)) ?? {};
      const here = await several(manifests, (one) => all.read(repo, one));
      return { blobs, manifests: manifests.filter((_, i) => here[i] !== undefined) };
    });

  tagState: TagStore['tagState'] = (repo, tag) =>
    this.#call(async ({ tags }) => {
      const { cell } = await tags.read(repo, tag);
      return { digest: onOfCell(cell)?.digest, version: stateOfCell({ cell }).version };
    });

  seen: TagStore['seen'] = (version) => this.#call(async ({ tags }) => tags.seen(version));

  due: TagStore['due'] = (...args) => this.#call(({ outbox }) => outbox.due(...args));
  nextDueMs: TagStore['nextDueMs'] = (target) => this.#call(({ outbox }) => outbox.nextDueMs(target));
  pending: TagStore['pending'] = (key) => this.#call(({ outbox }) => outbox.pending(key));
  waiting: TagStore['waiting'] = (...args) => this.#call(({ outbox }) => outbox.waiting(...args));
  outbox: TagStore['outbox'] = () => this.#call(({ outbox }) => outbox.outbox());
  claim: TagStore['claim'] = (target, at) =>
    this.#call(({ outbox }) => outbox.claim(target, at), [`claims of ${target}`]);
  hold: TagStore['hold'] = (...args) => this.#call(({ outbox }) => outbox.hold(...args), ['holds']);
  written: TagStore['written'] = (row) => this.#call(({ outbox }) => outbox.written(row), [ofRow(row)]);
  failed: TagStore['failed'] = (row, why) => this.#call(({ outbox }) => outbox.failed(row, why), [ofRow(row)]);
  retry: TagStore['retry'] = (of) => this.#call(({ outbox }) => outbox.retry(of), ['retries']);
  drop: TagStore['drop'] = (of) => this.#call(({ outbox }) => outbox.drop(of), ['drops']);
  reroute: TagStore['reroute'] = () => this.#call(({ outbox }) => outbox.reroute(), ['fills']);
  refill: TagStore['refill'] = (target) => this.#call(({ filled }) => filled.forget(target), ['fills']);
  backfill: TagStore['backfill'] = () => this.#call(({ filled, tags }) => filled.step(tags), ['fills']);
  adoptManifest: TagStore['adoptManifest'] = (repo, digest, manifest) =>
    this.#call(({ adopt }) => adopt.manifest(repo, digest, manifest), [ofManifest(repo, digest)]);
  adoptDeletion: TagStore['adoptDeletion'] = (repo, digest, nowMs) =>
    this.#call(({ adopt }) => adopt.deletion(repo, digest, nowMs), [ofManifest(repo, digest)]);
  adoptBlob: TagStore['adoptBlob'] = (repo, digest, size) =>
    this.#call(({ adopt }) => adopt.blob(repo, digest, size), [digest]);
  adoptTag: TagStore['adoptTag'] = (repo, tag, state) =>
    this.#call(({ adopt }) => adopt.tag(repo, tag, state), [ofTag(repo, tag)]);

  /** Ends what other processes began and did not end. */
  async mend(): Promise<void> {
    await this.#call(({ manifests }) => manifests.finishAll());
  }

  /** What was asked for is still done. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const end of this.#atEnd) end();
    await Promise.allSettled(this.#calls);
    this.#ending.abort(new Error('the index is closing'));
    this.#hangs[Symbol.dispose]();
    await this.#options.close();
  }

  async #call<T>(act: (parts: BucketParts) => Promise<T>, lanes: readonly string[] = []): Promise<T> {
    if (this.closed) throw new ApiError('UNAVAILABLE', 'the index is closing: try again');
    if (this.#calls.size >= callsMax)
      throw new ApiError('TOOMANYREQUESTS', `${callsMax} requests are waiting at the index: try again`);
    const run = async (): Promise<T> => act(await this.#open());
    const call = this.#asked.run(performance.now(), () => (lanes.length === 0 ? run() : this.#lanes.run(lanes, run)));
    this.#calls.add(call);
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      const writes = lanes.length > 0 && this.#parts !== undefined;
      throw (writes ? storeUnsure : storeAway)('its bucket', error.message);
    } finally {
      this.#calls.delete(call);
    }
  }

  /** What was asked before this process was held up is done no more, but for what is begun (platform/tags/hangs.ts). */
  #heed(): void {
    const askedAt = this.#asked.getStore();
    if (askedAt !== undefined && this.#hangs.since(askedAt)) throw heldUpError();
  }

  /** One attempt for all who wait. */
  #open(): Promise<BucketParts> {
    const { time, objects, prefix } = this.#options;
    if (this.#parts !== undefined) return this.#parts;
    if (this.#away !== undefined && time.nowMs() < this.#away.untilMs) return Promise.reject(this.#away.error);
    this.#parts = storeAt(objects, prefix, this.#ending.signal).then(
      (about) => bucketParts(new Cells(objects, prefix, this.#ending.signal, () => this.#heed()), about, this.#options),
      (error: unknown) => {
        this.#parts = undefined;
        this.#away = { error, untilMs: time.nowMs() + openAgainMs };
        throw error;
      },
    );
    return this.#parts;
  }
}

/** No name has a space. */
const ofTag = (repo: string, tag: string): string => `${repo} t ${tag}`;
const ofRow = ({ target, repo }: Pick<OutboxKey, 'target' | 'repo'>): string => `${target} ${repo}`;
const ofManifest = (repo: string, digest: Digest): string => `${repo} m ${digest}`;

/** A tag may be set between the look and the deletion: nothing there holds both. */
function notAs(): ApiError {
  return new ApiError(
    'UNSUPPORTED',
    'an index whose store is a bucket deletes no manifest on behalf of another cluster',
  );
}
