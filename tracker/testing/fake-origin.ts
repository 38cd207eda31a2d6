/** An origin that knows of blobs what it is told to know, or hangs, or fails. Real HTTP. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { type BlobInfo, type InfosRequest, ORIGIN_PATHS } from '../../core/contracts/origin.ts';
import type { Digest } from '../../core/digest.ts';
import { testMeta, testPeer } from '../../core/handout/fixtures.ts';

export class FakeOrigin {
  readonly blobs = new Map<Digest, BlobInfo>();
  /** The blobs that it was asked of, in order, however many at once. */
  readonly asked: string[] = [];
  requests = 0;
  state: 'answers' | 'hangs' | 'fails' = 'answers';
  readonly peer;
  url = '';
  readonly #held: (() => void)[] = [];

  constructor(no: number) {
    this.peer = testPeer(no, 'origin');
  }

  /** Ends with the stack. */
  async start(stack: AsyncDisposableStack): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    return this;
  }

  hold(digest: Digest, length: number, inline?: string): void {
    this.blobs.set(digest, { digest, meta: testMeta(length), peer: this.peer, inline });
  }

  /** Answers what hung. */
  wake(): void {
    this.state = 'answers';
    for (const answer of this.#held.splice(0)) answer();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const several = request.url === ORIGIN_PATHS.infos() ? ((await json(request)) as InfosRequest).digests : undefined;
    const one = /^\/v1\/blobs\/([^/]+)\/info$/.exec(request.url ?? '')?.[1];
    if (request.url !== '/health') this.requests++;
    this.asked.push(...(several ?? [one ?? 'other']));
    const answer = (): void => {
      const info = this.blobs.get(one as Digest);
      const here = several !== undefined || info !== undefined;
      response.writeHead(this.state === 'fails' ? 503 : here ? 200 : 404, { 'content-type': 'application/json' });
      const missing = { errors: [{ code: 'BLOB_UNKNOWN', message: 'not here' }] };
      const infos = several?.map((digest) => this.blobs.get(digest) ?? null);
      response.end(JSON.stringify(infos === undefined ? (info ?? missing) : { infos }));
    };
    if (this.state === 'hangs') this.#held.push(answer);
    else answer();
  }
}
