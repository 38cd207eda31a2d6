/** An origin that knows of blobs what it is told to know, or hangs, or fails. Real HTTP. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { type BlobInfo, type GrowingInfo, ORIGIN } from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import type { Digest } from '../../core/digest.ts';
import { testMeta, testPeer } from '../../core/handout/fixtures.ts';
import type { Growth } from '../../core/piece.ts';

export class FakeOrigin {
  readonly blobs = new Map<Digest, BlobInfo | GrowingInfo>();
  /** The blobs that it was asked of, in order, however many at once. */
  readonly asked: string[] = [];
  /** The repository that each question named. */
  readonly askedIn: (string | undefined)[] = [];
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

  /** It still receives the blob. */
  receive(digest: Digest, growth: Growth): void {
    this.blobs.set(digest, { digest, growth, peer: this.peer });
  }

  /** Answers what hung. */
  wake(): void {
    this.state = 'answers';
    for (const answer of this.#held.splice(0)) answer();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://origin');
    const at = (route: { matches(method: string, path: string): boolean }): boolean =>
      route.matches(request.method ?? '', url.pathname);
    const several = at(ORIGIN.infos) ? ORIGIN.infos.body(await json(request)).digests : undefined;
    const one = at(ORIGIN.info) ? (url.pathname.split('/')[3] as Digest) : undefined;
    if (!at(PROBES.health)) this.requests++;
    this.askedIn.push(url.searchParams.get('repo') ?? undefined);
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
