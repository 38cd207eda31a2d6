/** A registry in memory that does what a registry has to, wants to be shown what the test says, and misbehaves where it is told to. */

import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Digest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { realClock } from '../../net/clock.ts';
import { registrySchema } from './config.ts';
import { RegistryBackend } from './registry.ts';

export type FakeAnswer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
};
export type FakeCall = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
};
/** cut: so many bytes of the answer, or of the request's body, then the connection ends. */
export type Misdeed = FakeAnswer | 'hang' | { readonly cut: number } | undefined;
type Repo = {
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, Buffer>;
  readonly tags: Map<string, string>;
};

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const failed = (status: number, code: string): FakeAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ errors: [{ code, message: 'on purpose' }] }),
});

export class FakeRegistry implements AsyncDisposable {
  readonly repos = new Map<string, Repo>();
  readonly uploads = new Map<string, { readonly repo: string; bytes: Buffer }>();
  /** `METHOD path?query`, and what was shown. */
  readonly asked: string[] = [];
  readonly shown: (string | undefined)[] = [];
  /** What it wants: `Basic …` or `Bearer …` as a challenge; undefined: nothing. */
  wants: ((call: FakeCall) => string | undefined) | undefined;
  misdeed: (call: FakeCall) => Misdeed = () => undefined;
  ranges = true;
  /** Distribution 2.8 deletes none. */
  deletesTags = true;
  /** Manifests whose links are being rewritten: who reads one meanwhile gets a 500, as distribution 2.8 answers. */
  rewriteMs = 1;
  readonly #rewritten = new Set<string>();
  /** Blobs are had from there. */
  storage: string | undefined;
  /** Where an upload goes on, as it says. */
  places: 'relative' | 'absolute' | string = 'relative';
  pageMax = 2;
  readonly #server = createServer((request, response) => {
    this.#serve(request, response).catch(() => response.destroy());
  });

  static async start(): Promise<FakeRegistry> {
    const fake = new FakeRegistry();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.address}`;
  }

  backend(settings: object = {}, stallMs = 5_000, env: Record<string, string> = {}): RegistryBackend {
    const said = registrySchema.parse({ address: this.address, plainHttp: true, ...settings });
    return new RegistryBackend(said, { name: 'up', stallMs, env, clock: realClock });
  }

  repo(name: string): Repo {
    const there = this.repos.get(name) ?? { blobs: new Map(), manifests: new Map(), tags: new Map() };
    this.repos.set(name, there);
    return there;
  }

  count(start: string): number {
    return this.asked.filter((one) => one.startsWith(start)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    const call = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
    };
    this.asked.push(`${call.method} ${request.url}`);
    this.shown.push(call.headers.authorization);
    const misdeed = this.misdeed(call);
    if (misdeed === 'hang') return;
    const cut = misdeed !== undefined && 'cut' in misdeed ? misdeed.cut : undefined;
    const body = await bodyOf(request, call.method === 'PATCH' || call.method === 'PUT' ? cut : undefined);
    if (misdeed !== undefined && 'status' in misdeed) return write(response, call, misdeed);
    const wanted = this.wants?.(call);
    if (wanted !== undefined && call.path.startsWith(OCI_PATHS.base))
      return write(response, call, { ...failed(401, 'UNAUTHORIZED'), headers: { 'www-authenticate': wanted } });
    const answer = this.#answer(call, body.bytes);
    if (call.method === 'PUT' && call.path.includes('/manifests/')) await this.#rewrite(sha256(body.bytes));
    if (body.cut) return void response.destroy();
    if (cut === undefined) return write(response, call, answer);
    const bytes = Buffer.from(answer.body ?? '');
    response.writeHead(answer.status, { 'content-length': bytes.length, ...answer.headers });
    response.write(bytes.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  }

  async #rewrite(digest: string): Promise<void> {
    this.#rewritten.add(digest);
    await new Promise((resolve) => setTimeout(resolve, this.rewriteMs));
    this.#rewritten.delete(digest);
  }

  #answer(call: FakeCall, body: Buffer): FakeAnswer {
    const { method, path, query } = call;
    if (path === OCI_PATHS.base) return { status: 200, body: '{}' };
    if (path === OCI_PATHS.catalog) return this.#page(call, 'repositories', [...this.repos.keys()]);
    const below = path.startsWith(OCI_PATHS.base) ? path.slice(OCI_PATHS.base.length) : '';
    const [, name = '', rest = ''] =
      /^(.+)\/(tags\/list|blobs\/uploads\/[^/]*|blobs\/[^/]*|manifests\/[^/]*)$/.exec(below) ?? [];
    const upload = /^blobs\/uploads\/(.*)$/.exec(rest)?.[1];
    if (upload !== undefined) return this.#upload({ ...call, name, id: upload }, body);
    const repo = this.repos.get(name);
    if (repo === undefined && method !== 'PUT') return failed(404, 'NAME_UNKNOWN');
    const [kind, reference = ''] = rest.split('/');
    if (kind === 'tags') return this.#page(call, 'tags', [...(repo?.tags.keys() ?? [])]);
    if (kind === 'manifests' && method !== 'PUT' && this.#rewritten.has(reference)) return failed(500, 'UNKNOWN');
    if (kind === 'blobs') return this.#blob(call, repo as Repo, reference);
    if (method === 'PUT') return this.#putManifest(this.repo(name), reference, body, call);
    return this.#manifest(method, repo as Repo, reference, query);
  }

  #blob({ method, headers }: FakeCall, { blobs }: Repo, digest: string): FakeAnswer {
    const bytes = blobs.get(digest);
    if (bytes === undefined) return failed(404, 'BLOB_UNKNOWN');
    if (method === 'DELETE') return { status: blobs.delete(digest) ? 202 : 404 };
    if (this.storage !== undefined) return { status: 307, headers: { location: `${this.storage}/${digest}` } };
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    const said = { 'docker-content-digest': digest, 'content-type': 'application/octet-stream' };
    if (from === undefined || !this.ranges) return { status: 200, headers: said, body: bytes };
    if (Number(from) >= bytes.length) return failed(416, 'RANGE_INVALID');
    const end = Math.min(Number(to) + 1, bytes.length);
    const range = { 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` };
    return { status: 206, headers: { ...said, ...range }, body: bytes.subarray(Number(from), end) };
  }

  #manifest(method: string, { manifests, tags }: Repo, reference: string, _query: URLSearchParams): FakeAnswer {
    const digest = reference.includes(':') ? reference : (tags.get(reference) ?? '');
    const bytes = manifests.get(digest);
    if (bytes === undefined) return failed(404, 'MANIFEST_UNKNOWN');
    if (method === 'DELETE' && !reference.includes(':'))
      return { status: !this.deletesTags ? 405 : tags.delete(reference) ? 202 : 404 };
    if (method === 'DELETE') {
      // With every tag on it, as distribution does.
      for (const [tag, of] of tags) if (of === reference) tags.delete(tag);
      return { status: manifests.delete(reference) ? 202 : 404 };
    }
    const { mediaType = 'application/vnd.oci.image.manifest.v1+json' } = JSON.parse(bytes.toString());
    return { status: 200, headers: { 'content-type': mediaType, 'docker-content-digest': digest }, body: bytes };
  }

  #putManifest(repo: Repo, reference: string, bytes: Buffer, { headers }: FakeCall): FakeAnswer {
    const digest = sha256(bytes);
    const parsed = JSON.parse(bytes.toString());
    if (parsed.mediaType !== undefined && headers['content-type'] !== parsed.mediaType)
      return failed(400, 'MANIFEST_INVALID');
    const blobs = [parsed.config, ...(parsed.layers ?? [])].filter((one) => one !== undefined);
    if (blobs.some((one: { digest: string }) => !repo.blobs.has(one.digest)))
      return failed(400, 'MANIFEST_BLOB_UNKNOWN');
    const children = (parsed.manifests ?? []) as { digest: string }[];
    if (children.some((one) => !repo.manifests.has(one.digest))) return failed(400, 'MANIFEST_BLOB_UNKNOWN');
    if (reference.includes(':') && reference !== digest) return failed(400, 'DIGEST_INVALID');
    repo.manifests.set(digest, bytes);
    if (!reference.includes(':')) repo.tags.set(reference, digest);
    return { status: 201, headers: { 'docker-content-digest': digest } };
  }

  #upload({ method, query, name, id, headers }: FakeCall & { name: string; id: string }, body: Buffer): FakeAnswer {
    if (method === 'POST') {
      const [mount, from] = [query.get('mount') ?? '', query.get('from') ?? ''];
      const bytes = this.repos.get(from)?.blobs.get(mount);
      if (bytes !== undefined) {
        this.repo(name).blobs.set(mount, bytes);
        return { status: 201, headers: { location: OCI_PATHS.blob(name, mount as Digest) } };
      }
      const begun = randomUUID();
      this.uploads.set(begun, { repo: name, bytes: Buffer.alloc(0) });
      return { status: 202, headers: { location: this.#placeOf(name, begun) } };
    }
    const upload = this.uploads.get(id);
    if (upload === undefined || upload.repo !== name) return failed(404, 'BLOB_UPLOAD_UNKNOWN');
    const at = Number(/^(\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? upload.bytes.length);
    if (method === 'DELETE') return { status: this.uploads.delete(id) ? 204 : 404 };
    if (at !== upload.bytes.length) return failed(416, 'RANGE_INVALID');
    upload.bytes = Buffer.concat([upload.bytes, body]);
    const said = { location: this.#placeOf(name, id), range: `0-${Math.max(0, upload.bytes.length - 1)}` };
    if (method !== 'PUT') return { status: method === 'GET' ? 204 : 202, headers: said };
    const digest = query.get('digest') ?? '';
    if (sha256(upload.bytes) !== digest) return failed(400, 'DIGEST_INVALID');
    this.uploads.delete(id);
    this.repo(name).blobs.set(digest, upload.bytes);
    return {
      status: 201,
      headers: { 'docker-content-digest': digest, location: OCI_PATHS.blob(name, digest as Digest) },
    };
  }

  #placeOf(repo: string, id: string): string {
    const path = `${OCI_PATHS.upload(repo, id)}?_state=x%2By`;
    if (this.places === 'relative') return path;
    return `${this.places === 'absolute' ? this.url : this.places}${path}`;
  }

  /** In the order in which they were made, as some registries have them. */
  #page({ path, query }: FakeCall, what: string, names: readonly string[]): FakeAnswer {
    const from = query.get('last') === null ? 0 : names.indexOf(query.get('last') ?? '') + 1;
    const page = names.slice(from, from + this.pageMax);
    const more = from + page.length < names.length;
    const link = more ? { link: `<${path}?n=${this.pageMax}&last=${page.at(-1)}>; rel="next"` } : {};
    const headers = { 'content-type': 'application/json', ...link };
    return { status: 200, headers, body: JSON.stringify({ [what]: page }) };
  }
}

async function bodyOf(
  request: IncomingMessage,
  cut = Number.POSITIVE_INFINITY,
): Promise<{ bytes: Buffer; cut: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= cut) return { bytes: Buffer.concat(chunks).subarray(0, cut), cut: true };
  }
  return { bytes: Buffer.concat(chunks), cut: false };
}

function write(response: ServerResponse, { method }: FakeCall, { status, headers, body = '' }: FakeAnswer): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-length': bytes.length, ...headers });
  response.end(method === 'HEAD' ? undefined : bytes);
}
