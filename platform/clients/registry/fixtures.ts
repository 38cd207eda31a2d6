/** A registry in memory, as far as the clients here need one, that can be told to break connections off. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OCI_PATHS, sessionOf } from '../../../core/oci/paths.ts';

export class MemoryRegistry {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, { type: string; bytes: Buffer }>();
  readonly uploads = new Map<string, Buffer>();
  /** Requests seen, `METHOD path`. */
  readonly seen: string[] = [];
  /** For each next blob read: the connection breaks after so many bytes. */
  cutReads: number[] = [];
  /** For each next blob read: it stalls after so many bytes. */
  heldReads: number[] = [];
  /** Takes no uploads, and says of every blob that it has it, as an agent does. */
  readOnly = false;
  /** For each next PATCH: the connection breaks after about so many bytes. */
  cutWrites: number[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  base = '';

  static async start(): Promise<MemoryRegistry> {
    const registry = new MemoryRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    registry.base = `http://127.0.0.1:${(registry.#server.address() as AddressInfo).port}`;
    return registry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.base);
    const method = request.method ?? '';
    this.seen.push(`${method} ${url.pathname}`);
    const id = sessionOf(url.pathname);
    const [, repo = ''] = /^\/[^/]+\/(.+)\/blobs\/uploads\//.exec(url.pathname) ?? [];
    if (id !== undefined) return this.#upload(request, response, { url, repo, id });
    const blob = /\/blobs\/(sha256:.*)$/.exec(url.pathname);
    if (blob !== null) return this.#blob(request, response, blob[1] ?? '');
    const manifest = /^\/[^/]+\/(.+\/manifests\/.+)$/.exec(url.pathname);
    if (manifest !== null) return this.#manifest(request, response, manifest[1] ?? '');
    const names = url.pathname === OCI_PATHS.catalog ? 'repositories' : 'tags';
    const second = url.searchParams.get('last') !== null;
    if (!second) response.setHeader('link', `<${url.pathname}?n=2&last=2>; rel="next"`);
    return void response.end(JSON.stringify({ [names]: second ? ['3'] : ['1', '2'] }));
  }

  #blob(request: IncomingMessage, response: ServerResponse, digest: string): void {
    const bytes = this.blobs.get(digest);
    if (request.method === 'DELETE') return void response.writeHead(this.blobs.delete(digest) ? 202 : 404).end();
    if (bytes === undefined) return error(response, 404, 'BLOB_UNKNOWN');
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0 && from >= bytes.length) return error(response, 416, 'RANGE_INVALID');
    const range = from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from, ...range });
    if (request.method === 'HEAD') return void response.end();
    const held = this.heldReads.shift();
    if (held !== undefined) return void response.write(bytes.subarray(from, from + held));
    const cut = this.cutReads.shift();
    if (cut === undefined) return void response.end(bytes.subarray(from));
    response.write(bytes.subarray(from, from + cut), () => setTimeout(() => response.destroy(), 20));
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    at: { url: URL; repo: string; id: string },
  ): Promise<void> {
    const { url, repo } = at;
    const id = at.id === '' ? `u${this.uploads.size}` : at.id;
    const location = { location: OCI_PATHS.upload(repo, id) };
    if (this.readOnly) return error(response, 405, 'UNSUPPORTED');
    if (this.blobs.has(url.searchParams.get('mount') ?? '')) return void response.writeHead(201).end();
    if (request.method === 'POST') this.uploads.set(id, Buffer.alloc(0));
    const held = this.uploads.get(id);
    if (held === undefined) return error(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    if (request.method === 'PATCH' && !(await this.#append(request, id, held)))
      return error(response, 416, 'BLOB_UPLOAD_RANGE');
    if (request.method === 'PUT') {
      const digest = `sha256:${createHash('sha256').update(held).digest('hex')}`;
      if (digest !== url.searchParams.get('digest')) return error(response, 400, 'DIGEST_INVALID');
      this.blobs.set(digest, held);
      this.uploads.delete(id);
      return void response.writeHead(201).end();
    }
    const bytes = this.uploads.get(id)?.length ?? 0;
    const range = { range: `0-${Math.max(0, bytes - 1)}` };
    response.writeHead(request.method === 'GET' ? 204 : 202, { ...location, ...range }).end();
  }

  async #append(request: IncomingMessage, id: string, held: Buffer): Promise<boolean> {
    if (Number(request.headers['content-range']?.split('-')[0]) !== held.length) return false;
    const cut = this.cutWrites.shift() ?? Number.POSITIVE_INFINITY;
    let bytes = held;
    try {
      for await (const chunk of request) {
        bytes = Buffer.concat([bytes, chunk as Buffer]);
        this.uploads.set(id, bytes);
        if (bytes.length - held.length >= cut) request.destroy();
      }
    } catch {
      // Cut, as told.
    }
    return true;
  }

  async #manifest(request: IncomingMessage, response: ServerResponse, key: string): Promise<void> {
    if (request.method === 'DELETE')
      return void (this.manifests.delete(key)
        ? response.writeHead(202).end()
        : error(response, 404, 'MANIFEST_UNKNOWN'));
    if (request.method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.manifests.set(key, { type: request.headers['content-type'] ?? '', bytes: Buffer.concat(chunks) });
      return void response.writeHead(201).end();
    }
    const found = this.manifests.get(key);
    if (found === undefined) return error(response, 404, 'MANIFEST_UNKNOWN');
    const digest = `sha256:${createHash('sha256').update(found.bytes).digest('hex')}`;
    response.writeHead(200, { 'content-type': found.type, 'docker-content-digest': digest }).end(found.bytes);
  }
}

function error(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }));
}
