/**
 * A registry as its clients see it: the OCI distribution API, over the platform's HTTP client. One try a call;
 * push.ts and pull.ts say when to try again.
 */

import { randomUUID } from 'node:crypto';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Method } from '../../../core/contracts/route.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { manifestBytesMax } from '../../../core/oci/limits.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { CallContext } from '../context.ts';
import { type CallOptions, HttpClient, type Reply, type StreamBody } from '../http.ts';
import type { ClientLogin, FindLogin } from './login.ts';

const ACCEPT = [MEDIA.ociManifest, MEDIA.ociIndex, MEDIA.dockerManifest, MEDIA.dockerList].join(', ');

/** Silence that breaks a transfer off, to resume it; above a component's own limits. */
const transferStallMs = 30_000;
/** A commit answers once everything is synced to disk. */
const commitStallMs = 120_000;
const pageSize = 500;

export type DescriptorJson = {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
};
/** An image manifest, or an index (`manifests`); what is missing is empty. */
export type ManifestJson = {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: DescriptorJson;
  readonly layers?: readonly DescriptorJson[];
  readonly manifests?: readonly DescriptorJson[];
};
export type ManifestAnswer = {
  readonly digest: Digest | undefined;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
};

/** Anything that gives a blob from a byte on: a registry, or an origin directly. */
export type BlobSource = {
  readonly base: string;
  blob(repo: string, digest: Digest, from: number, signal: AbortSignal): Promise<Reply>;
};

/** A 404 that is not about a repository, a manifest or a blob comes from something that is no registry. */
async function call(client: HttpClient, method: Method, path: string, options: CallOptions): Promise<Reply> {
  try {
    return await client.stream(method, path, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'NOT_FOUND') throw error;
    throw new ApiError('NOT_FOUND', `${client.base} is no registry: there is no ${method} ${path.split('?', 1)[0]}`);
  }
}

/** GET with a Range; checks that the answer begins at `from`. */
export function openFrom(client: HttpClient, path: string, from: number, ctx: CallContext): Promise<Reply> {
  return openBy((options) => call(client, 'GET', path, options), client.base, from, ctx);
}

async function openBy(
  get: (options: CallOptions) => Promise<Reply>,
  base: string,
  from: number,
  ctx: CallContext,
): Promise<Reply> {
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  const reply = await get({ ctx, headers, tries: 1, stallMs: transferStallMs });
  if (from === 0) return reply;
  const range = reply.headers['content-range'] ?? '';
  if (reply.status === 206 && range.startsWith(`bytes ${from}-`)) return reply;
  await reply.discard();
  throw new ApiError('UNSUPPORTED', `${base} did not answer from byte ${from} on, but ${reply.status} ${range}`);
}

export class Registry implements BlobSource {
  readonly base: string;
  readonly #client: HttpClient;
  readonly #requestId = randomUUID();
  readonly #find: FindLogin | undefined;
  #login: ClientLogin | undefined;

  /** `find`: who to be where the registry asks. Default: nobody. */
  constructor(base: string, find?: FindLogin) {
    this.base = base;
    this.#client = new HttpClient({ base, watched: true });
    this.#find = find;
  }

  /** What was refused for want of a login, or of a token that lasts, is asked for once more with one. */
  async #call(method: Method, path: string, options: CallOptions & { readonly ctx: CallContext }): Promise<Reply> {
    if (this.#find === undefined) return await call(this.#client, method, path, options);
    const shown = (): CallOptions => ({ ...options, headers: { ...options.headers, ...this.#login?.headers } });
    const first = await call(this.#client, method, path, { ...shown(), expect: [...(options.expect ?? []), 401] });
    if (first.status !== 401) return first;
    this.#login ??= new (await import('./login.ts')).ClientLogin(this.base, this.#find);
    const login = this.#login;
    await login.instead(first, options.ctx);
    return await call(this.#client, method, path, shown()).catch((error: unknown) => login.refused(error));
  }

  /** Every call of one command has the same request id, so that the logs of all components tell its story. */
  #ctx(signal: AbortSignal): CallContext {
    return CallContext.begin({ requestId: this.#requestId, signal });
  }

  async manifest(repo: string, reference: string, signal: AbortSignal): Promise<ManifestAnswer> {
    const path = OCI_PATHS.manifest(repo, reference);
    const reply = await this.#call('GET', path, {
      ctx: this.#ctx(signal),
      headers: { accept: ACCEPT },
      tries: 1,
      stallMs: transferStallMs,
    });
    const bytes = await reply.bytes(manifestBytesMax);
    const digest = parseDigest(reply.headers['docker-content-digest'] ?? '');
    return { digest, mediaType: reply.headers['content-type'] ?? '', bytes };
  }

  /** The blob from byte `from` on. */
  blob(repo: string, digest: Digest, from: number, signal: AbortSignal): Promise<Reply> {
    const path = OCI_PATHS.blob(repo, digest);
    const ctx = this.#ctx(signal);
    return openBy((options) => this.#call('GET', path, { ...options, ctx }), this.base, from, ctx);
  }

  async blobSize(repo: string, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const reply = await this.#call('HEAD', OCI_PATHS.blob(repo, digest), {
      ctx: this.#ctx(signal),
      expect: [404],
      tries: 1,
    });
    await reply.discard();
    return reply.status === 404 ? undefined : Number(reply.headers['content-length']);
  }

  /** Begins an upload; the answer is its location, or undefined where the repository holds blob `mount` now. */
  async beginUpload(repo: string, signal: AbortSignal, mount?: Digest): Promise<string | undefined> {
    const path = mount === undefined ? OCI_PATHS.uploads(repo) : OCI_PATHS.mount(repo, mount, repo);
    const reply = await this.#call('POST', path, { ctx: this.#ctx(signal) });
    await reply.discard();
    return mount !== undefined && reply.status === 201 ? undefined : this.#location(reply);
  }

  /** Bytes that the upload holds, or undefined where it is not known (any more). */
  async uploadOffset(location: string, signal: AbortSignal): Promise<number | undefined> {
    const reply = await this.#call('GET', location, { ctx: this.#ctx(signal), expect: [404], tries: 1 });
    await reply.discard();
    if (reply.status === 404) return undefined;
    const match = /^(?:bytes=)?0-(\d+)$/.exec(reply.headers['range'] ?? '');
    // An empty upload answers 0-0 as one with a single byte does: begin again at 0 is refused then, and asked anew.
    return match === null || match[1] === '0' ? 0 : Number(match[1]) + 1;
  }

  /** Appends `body`, the bytes from `from` to `size`; the answer is the location to go on with. */
  async append(
    location: string,
    part: { from: number; size: number; body: StreamBody },
    signal: AbortSignal,
  ): Promise<string> {
    const headers = { 'content-range': `${part.from}-${part.size - 1}` };
    const options = {
      ctx: this.#ctx(signal),
      headers,
      body: part.body,
      length: part.size - part.from,
      stallMs: transferStallMs,
    };
    const reply = await this.#call('PATCH', location, options);
    await reply.discard();
    return this.#location(reply);
  }

  async commit(location: string, digest: Digest, signal: AbortSignal): Promise<void> {
    const reply = await this.#call('PUT', OCI_PATHS.commit(location, digest), {
      ctx: this.#ctx(signal),
      tries: 1,
      stallMs: commitStallMs,
    });
    await reply.discard();
  }

  async putManifest(
    repo: string,
    reference: string,
    manifest: { mediaType: string; bytes: Uint8Array },
    signal: AbortSignal,
  ): Promise<void> {
    const headers = { 'content-type': manifest.mediaType };
    const options = { ctx: this.#ctx(signal), headers, body: manifest.bytes, tries: 1, stallMs: commitStallMs };
    const reply = await this.#call('PUT', OCI_PATHS.manifest(repo, reference), options);
    await reply.discard();
  }

  /** All repositories, or all tags of one, page by page. */
  async *names(what: { repo: string } | 'repositories', signal: AbortSignal): AsyncGenerator<string> {
    const list = what === 'repositories' ? OCI_PATHS.catalog : OCI_PATHS.tags(what.repo);
    for (let last: string | undefined; ; ) {
      const reply = await this.#call('GET', OCI_PATHS.page(list, { limit: pageSize, last }), {
        ctx: this.#ctx(signal),
      });
      const page = await reply.json<{ repositories?: string[]; tags?: string[] | null }>();
      const names = page.repositories ?? page.tags ?? [];
      yield* names;
      last = names.at(-1);
      if (reply.headers['link'] === undefined || last === undefined) return;
    }
  }

  async delete(repo: string, what: 'manifests' | 'blobs', reference: string, signal: AbortSignal): Promise<void> {
    const path = what === 'blobs' ? OCI_PATHS.blob(repo, reference as Digest) : OCI_PATHS.manifest(repo, reference);
    const reply = await this.#call('DELETE', path, { ctx: this.#ctx(signal) });
    await reply.discard();
  }

  #location(reply: Reply): string {
    const location = reply.headers['location'];
    if (location === undefined) throw new ApiError('UNAVAILABLE', `${this.base} began an upload without a location`);
    const url = new URL(location, this.base);
    return url.pathname + url.search;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
