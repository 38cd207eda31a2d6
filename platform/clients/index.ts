/**
 * The index over HTTP: core/contracts/index.ts as methods.
 *
 * Rule 1: nothing is remembered: every answer is the index's own, now. Truth wins over availability.
 * Rule 2: the index that answered last is asked first; where it does not answer, the next, twice round.
 *   Every call may be repeated: it sets a state, or reads one.
 * Rule 3: absent is `undefined` or false; no index at all is ApiError UNAVAILABLE, which leaves as 503
 *   with Retry-After.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import {
  type BlobLink,
  type BlobLinkPut,
  type CatalogPage,
  type CondemnReply,
  type CondemnRequest,
  INDEX_PATHS,
  type ManifestPut,
  type ManifestRecord,
  type MountRequest,
  type ReferrerList,
  type TagPage,
  type TagPut,
} from '../../core/contracts/index.ts';
import type { Digest } from '../../core/digest.ts';
import type { PageOf, ReferrersOf } from '../tags/store.ts';
import { type CallContext, HttpClient, type Method } from './http.ts';

/** An index answers from its database: silence for so long is a failure. */
const stallMs = 5_000;
/** Every index is asked this often, with a pause in between: long enough for one that was restarted. */
const rounds = 2;
const pauseMs = 250;

/** What the index answers where the thing is not there. */
const ABSENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MANIFEST_UNKNOWN', 'BLOB_UNKNOWN']);

type Call = { readonly ctx: CallContext; readonly body?: unknown };

export class IndexClient {
  readonly #clients: readonly HttpClient[];
  /** The one that answered last. */
  #first = 0;

  /** `urls`: base URLs of the indexes, which share their state. */
  constructor(options: { readonly urls: readonly string[] }) {
    this.#clients = options.urls.map((base) => new HttpClient({ base }));
  }

  tag(repo: string, tag: string, ctx: CallContext): Promise<ManifestRecord | undefined> {
    return this.#find('GET', INDEX_PATHS.tag(repo, tag), { ctx });
  }

  /** False: the repository does not hold that manifest. */
  putTag(repo: string, tag: string, digest: Digest, ctx: CallContext): Promise<boolean> {
    const body: TagPut = { digest };
    return this.#done('PUT', INDEX_PATHS.tag(repo, tag), { ctx, body });
  }

  deleteTag(repo: string, tag: string, ctx: CallContext): Promise<boolean> {
    return this.#done('DELETE', INDEX_PATHS.tag(repo, tag), { ctx });
  }

  /** Throws NAME_UNKNOWN where there is no such repository. */
  tags(repo: string, page: PageOf, ctx: CallContext): Promise<TagPage> {
    return this.#call('GET', INDEX_PATHS.tags(repo) + pageQuery(page), { ctx });
  }

  manifest(repo: string, digest: Digest, ctx: CallContext): Promise<ManifestRecord | undefined> {
    return this.#find('GET', INDEX_PATHS.manifest(repo, digest), { ctx });
  }

  /** Throws MANIFEST_BLOB_UNKNOWN, with MissingReferences in `detail`, or BLOB_CONDEMNED; then nothing has changed. */
  async putManifest(repo: string, digest: Digest, put: ManifestPut, ctx: CallContext): Promise<void> {
    await this.#call('PUT', INDEX_PATHS.manifest(repo, digest), { ctx, body: put });
  }

  /** With every tag on it. */
  deleteManifest(repo: string, digest: Digest, ctx: CallContext): Promise<boolean> {
    return this.#done('DELETE', INDEX_PATHS.manifest(repo, digest), { ctx });
  }

  referrers(repo: string, digest: Digest, of: ReferrersOf, ctx: CallContext): Promise<ReferrerList> {
    const type = of.artifactType === undefined ? '' : `&artifactType=${encodeURIComponent(of.artifactType)}`;
    return this.#call('GET', INDEX_PATHS.referrers(repo, digest) + pageQuery(of) + type, { ctx });
  }

  blob(repo: string, digest: Digest, ctx: CallContext): Promise<BlobLink | undefined> {
    return this.#find('GET', INDEX_PATHS.blob(repo, digest), { ctx });
  }

  /** Throws BLOB_CONDEMNED, with Unproved in `detail`; then nothing has changed. */
  async linkBlob(repo: string, digest: Digest, put: BlobLinkPut, ctx: CallContext): Promise<void> {
    await this.#call('PUT', INDEX_PATHS.blob(repo, digest), { ctx, body: put });
  }

  unlinkBlob(repo: string, digest: Digest, ctx: CallContext): Promise<boolean> {
    return this.#done('DELETE', INDEX_PATHS.blob(repo, digest), { ctx });
  }

  /** Links what `from` holds; undefined where it does not. */
  mount(repo: string, digest: Digest, from: string, ctx: CallContext): Promise<BlobLink | undefined> {
    const body: MountRequest = { from };
    return this.#find('POST', INDEX_PATHS.mount(repo, digest), { ctx, body });
  }

  catalog(page: PageOf, ctx: CallContext): Promise<CatalogPage> {
    return this.#call('GET', INDEX_PATHS.catalog + pageQuery(page), { ctx });
  }

  /** Which of these (at most condemnMax) an origin may remove now, since nothing links to them. */
  condemn(digests: readonly Digest[], ctx: CallContext): Promise<CondemnReply> {
    const body: CondemnRequest = { digests };
    return this.#call('POST', INDEX_PATHS.condemn, { ctx, body });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
  }

  async #find<T>(method: Method, path: string, call: Call): Promise<T | undefined> {
    try {
      return await this.#call<T>(method, path, call);
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  }

  async #done(method: Method, path: string, call: Call): Promise<boolean> {
    try {
      await this.#call(method, path, call);
      return true;
    } catch (error) {
      if (absent(error)) return false;
      throw error;
    }
  }

  async #call<T>(method: Method, path: string, call: Call): Promise<T> {
    const failures = new Set<string>();
    for (let round = 0; round < rounds; round++) {
      if (round > 0) await pause(call.ctx.signal);
      for (let i = 0; i < this.#clients.length; i++) {
        const at = (this.#first + i) % this.#clients.length;
        try {
          const answer = await (this.#clients[at] as HttpClient).json<T>(method, path, { ...call, stallMs, tries: 1 });
          this.#first = at;
          return answer;
        } catch (error) {
          if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
          failures.add(error.message);
        }
      }
    }
    throw new ApiError('UNAVAILABLE', `no index answers: ${[...failures].join('; ')}`);
  }
}

function absent(error: unknown): boolean {
  return error instanceof ApiError && ABSENT.has(error.code);
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await sleep(pauseMs * (0.5 + Math.random()), undefined, signal === undefined ? {} : { signal }).catch(() => {
    throw signal?.reason;
  });
}

function pageQuery(page: PageOf): string {
  const last = page.last === undefined ? '' : `&last=${encodeURIComponent(page.last)}`;
  return `?n=${page.n}${last}`;
}
