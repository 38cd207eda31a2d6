/** A web server that has blobs, at `/blobs/HEX` or anywhere else that ends so, with as much of HTTP as it is told. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { realClock } from '../../net/clock.ts';
import { httpServer } from '../web/web.fixtures.ts';
import { type HttpSettings, httpSchema } from './config.ts';
import { HttpBackend } from './http.ts';

export type Manners = {
  readonly ranges?: boolean;
  readonly head?: boolean;
  readonly length?: boolean;
  readonly etag?: boolean;
  readonly authorization?: string;
};

export class BlobServer implements AsyncDisposable {
  readonly blobs = new Map<string, Buffer>();
  readonly seen: { readonly line: string; readonly headers: IncomingMessage['headers'] }[] = [];
  /** Bytes of bodies that went out. */
  given = 0;
  manners: Manners = {};
  readonly #stack = new AsyncDisposableStack();
  base = '';

  static async start(manners: Manners = {}): Promise<BlobServer> {
    const server = new BlobServer();
    server.manners = manners;
    server.base = await httpServer(server.#stack, (request, response) => server.#serve(request, response));
    return server;
  }

  settings(more: object = {}): HttpSettings {
    return httpSchema.parse({ download: `${this.base}/blobs/%s`, ...more });
  }

  backend(more: object = {}, stallMs = 5_000): HttpBackend {
    return new HttpBackend(this.settings(more), { name: 'main', stallMs, env: {}, clock: realClock });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    this.seen.push({ line: `${method} ${url}`, headers });
    const { ranges = true, head = true, length = true, etag = true, authorization } = this.manners;
    const blob = this.blobs.get(/([0-9a-f]{64})$/.exec(url)?.[1] ?? '');
    if (authorization !== undefined && headers.authorization !== authorization)
      return void response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    if (method === 'HEAD' && !head) return void response.writeHead(405).end();
    if (blob === undefined) return void response.writeHead(404).end('nothing here');
    const about = { ...(etag && { etag: `"${blob.length}-${blob.at(0)}"` }) };
    const [, first, last] = (ranges && /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')) || [];
    if (first === undefined) {
      response.writeHead(200, { ...about, ...(length && { 'content-length': blob.length }) });
      return this.#send(response, method === 'HEAD' ? Buffer.alloc(0) : blob);
    }
    const [start, end] = [Number(first), Math.min(Number(last) + 1, blob.length)];
    if (start >= blob.length) return void response.writeHead(416, { 'content-range': `bytes */${blob.length}` }).end();
    response.writeHead(206, { ...about, 'content-range': `bytes ${start}-${end - 1}/${blob.length}` });
    this.#send(response, blob.subarray(start, end));
  }

  #send(response: ServerResponse, bytes: Buffer): void {
    this.given += bytes.length;
    response.end(bytes);
  }
}
