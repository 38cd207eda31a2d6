/**
 * A bucket as Kraken leaves it (`docker_tag`, `sharded_docker_blob`) with as many objects as are asked for, behind as much of
 * S3 as an import needs. No object is kept: keys and bytes follow from numbers.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { digestHex, digestOf } from '../../core/digest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { registryLayout } from '../../platform/backends/layout.ts';

/** Of each image, beside its manifest: a configuration and layers. Nobody reads them. */
const blobsPerImage = 8;
const blobBytes = 1234;
const tagsPerRepository = 100;
/** One object that no scheme made: the first. */
const oddKey = 'docker/registry/notes.txt';

type Found = { readonly size: number; readonly bytes?: Buffer };

export class GeneratedBucket implements AsyncDisposable {
  readonly tags: number;
  readonly #server: Server;
  readonly #blobs: string[];
  readonly #manifests = new Map<string, number>();
  requests = 0;

  private constructor(tags: number) {
    this.tags = tags;
    for (let no = 0; no < tags; no++) this.#manifests.set(hexOf(manifest(no)), no);
    this.#blobs = [...this.#manifests.keys(), ...Array.from({ length: tags * blobsPerImage }, (_, no) => blobHex(no))];
    this.#blobs.sort();
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** With a tag, a manifest and its blobs ten objects each, and one more. */
  static async start(tags: number): Promise<GeneratedBucket> {
    const made = new GeneratedBucket(tags);
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  get objects(): number {
    return this.#blobs.length + 1 + this.tags;
  }

  #answer({ method, url = '', headers }: IncomingMessage, response: ServerResponse): void {
    this.requests += 1;
    const { pathname, searchParams } = new URL(url, 'http://bucket');
    const key = decodeURIComponent(pathname).split('/').slice(2).join('/');
    if (method === 'GET' && key === '') return this.#list(searchParams, response);
    const found = method === 'GET' || method === 'HEAD' ? this.#find(key) : undefined;
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/xml' });
      return void response.end(method === 'HEAD' ? undefined : '<Error><Code>NoSuchKey</Code></Error>');
    }
    const { size, bytes = Buffer.alloc(size) } = found;
    const [, start = '0', end = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const part = bytes.subarray(Number(start), end === '' ? size : Number(end) + 1);
    const last = Number(start) + part.length - 1;
    response.writeHead(headers.range === undefined ? 200 : 206, {
      'content-length': part.length,
      etag: `"${hexOf(Buffer.from(key)).slice(0, 32)}"`,
      ...(headers.range !== undefined && { 'content-range': `bytes ${start}-${last}/${size}` }),
    });
    response.end(method === 'HEAD' ? undefined : part);
  }

  #list(asked: URLSearchParams, response: ServerResponse): void {
    const [prefix = '', after = ''] = [asked.get('prefix') ?? '', asked.get('start-after') ?? ''];
    const max = Number(asked.get('max-keys') ?? 1000);
    const keys: string[] = [];
    let at = after < prefix ? this.#place(prefix, true) : this.#place(after, false);
    for (; at < this.objects && keys.length < max && this.#key(at).startsWith(prefix); at++) keys.push(this.#key(at));
    const more = at < this.objects && this.#key(at).startsWith(prefix);
    const entries = keys.map(
      (key) => `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${this.#find(key)?.size ?? 0}</Size></Contents>`,
    );
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.end(
      `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${entries.join('')}</ListBucketResult>`,
    );
  }

  /** The number of the first key after `key`, or at it. */
  #place(key: string, atIt: boolean): number {
    let [low, high] = [0, this.objects];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = this.#key(middle);
      if (atIt ? there < key : there <= key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** In the order of their bytes. */
  #key(no: number): string {
    if (no === 0) return oddKey;
    const hex = this.#blobs[no - 1];
    if (hex !== undefined) return registryLayout.blobKey(digestOf('sha256', hex));
    const tag = no - this.#blobs.length - 1;
    return registryLayout.links.linkKey({ repo: repositoryOf(tag), kind: 'tag', name: nameOf(tag) });
  }

  #find(key: string): Found | undefined {
    if (this.#key(this.#place(key, true)) !== key) return undefined;
    const digest = registryLayout.digestOf(key);
    if (digest !== undefined) {
      const image = this.#manifests.get(digestHex(digest));
      return image === undefined ? { size: blobBytes } : whole(manifest(image));
    }
    const linked = registryLayout.links.linkOf(key);
    if (linked === undefined) return { size: blobBytes };
    const [, repo] = /^team-(\d+)\/app$/.exec(linked.repo) ?? [];
    const no = Number(repo) * tagsPerRepository + Number(linked.name.slice(1));
    return whole(Buffer.from(`sha256:${hexOf(manifest(no))}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function whole(bytes: Buffer): Found {
  return { size: bytes.length, bytes };
}

function repositoryOf(tag: number): string {
  return `team-${String(Math.floor(tag / tagsPerRepository)).padStart(6, '0')}/app`;
}

function nameOf(tag: number): string {
  return `v${String(tag % tagsPerRepository).padStart(3, '0')}`;
}

function manifest(no: number): Buffer {
  const [config, ...layers] = Array.from({ length: blobsPerImage }, (_, i) => ({
    mediaType: i === 0 ? MEDIA.ociConfig : MEDIA.ociLayer,
    digest: `sha256:${blobHex(no * blobsPerImage + i)}`,
    size: blobBytes,
  }));
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers }));
}

function blobHex(no: number): string {
  return hexOf(Buffer.from(`blob ${no}`));
}

function hexOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
