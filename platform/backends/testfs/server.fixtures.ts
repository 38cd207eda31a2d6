/**
 * A server of the protocol of Kraken's example file server, on a directory, with its habits: a file is written in its place,
 * whoever reads one keeps writers waiting, `:` is `/`, a list is of everything below a directory and says no sizes, one that
 * is not there is HTTP 500.
 */

import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

export class TestfsServer implements AsyncDisposable {
  readonly #dir: string;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));
  /** The writer before, and those who read since. */
  #writing: Promise<unknown> = Promise.resolve();
  #reading: Promise<unknown> = Promise.resolve();
  /** Answers instead, if it does. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async start(dir: string): Promise<TestfsServer> {
    const server = new TestfsServer(dir);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.instead(request, response)) return;
    const [, what = '', ...rest] = decodeURIComponent((request.url ?? '').split('?')[0] ?? '').split('/');
    const path = join(this.#dir, ...rest.join('/').replaceAll(':', '/').split('/'));
    const act = { files: this.#file, list: this.#list, health: this.#health }[what];
    if (act === undefined) return void response.writeHead(404).end('404 page not found\n');
    const writes = request.method === 'POST';
    const before = writes ? Promise.all([this.#writing, this.#reading]) : this.#writing;
    const done = before
      .then(() => act.call(this, path, request, response))
      .catch((error: NodeJS.ErrnoException) => {
        const missing = error.code === 'ENOENT' && what === 'files';
        if (response.headersSent) response.destroy();
        else response.writeHead(missing ? 404 : 500).end(`walk: ${error.message.replace('ENOENT: ', '')}`);
      });
    if (writes) this.#writing = done;
    else this.#reading = Promise.all([this.#reading, done]);
    await done;
  }

  async #health(_path: string, _request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.end('OK');
  }

  async #file(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'POST') {
      await mkdir(dirname(path), { recursive: true });
      await pipeline(request, createWriteStream(path));
      return void response.end();
    }
    const { size } = await stat(path);
    if (request.method === 'HEAD') return void response.writeHead(200, { size: `${size}` }).end();
    await pipeline(createReadStream(path), response);
  }

  async #list(path: string, _request: IncomingMessage, response: ServerResponse): Promise<void> {
    await stat(path);
    const all = await readdir(path, { recursive: true, withFileTypes: true });
    const files = all.filter((one) => one.isFile()).map((one) => relative(this.#dir, join(one.parentPath, one.name)));
    response.setHeader('content-type', 'text/plain');
    response.end(JSON.stringify(files.length === 0 ? null : files));
  }
}
