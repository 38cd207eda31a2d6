/**
 * An origin in memory, over real HTTP, after core/contracts/origin.ts: for tests of whoever calls one.
 * It can be told to fail: see `OriginFaults`.
 */

import { createHash, type Hash } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CALL_HEADERS } from '../../core/contracts/call.ts';
import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import {
  type BlobInfo,
  type FetchRequest,
  type FetchState,
  ORIGIN,
  uploadIdPattern,
  uploadKindHeader,
} from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../../core/digest.ts';
import { chooseRange, contentRange } from '../../core/oci/range.ts';
import { pieceLengthFor } from '../../core/piece.ts';
import { errorBody } from '../../platform/http/server.ts';

export type OriginFaults = {
  /** Nothing is answered. */
  hang?: boolean;
  /** The connection is cut once an upload has taken so many bytes. */
  cutUploadAt?: number;
  /** No more bytes of an upload are read after so many. */
  stallUploadAt?: number;
  /** The disk is full at so many bytes: the upload is dropped. */
  fullAt?: number;
  /** A read is cut after so many bytes. */
  cutReadAt?: number;
  /** It hangs, for everybody, once it has sent so many bytes of a read, or taken so many of an upload. */
  hangReadAt?: number;
  hangUploadAt?: number;
  /** A commit takes so long, milliseconds. */
  commitMs?: number;
  /** Commits fail with this. */
  commitError?: ErrorCode;
  /** The answer of a commit is lost: it is done, and the connection cut. */
  loseCommitAnswer?: boolean;
  /** It is of a release that removed nothing by itself, and does not know the question. */
  knowsNoProof?: boolean;
  /** What it is to take over does not come. */
  fetchesNothing?: boolean;
  /** Uploads begun answer with this. */
  beginError?: ErrorCode;
};

/** Whom others take blobs over from: by node id, as peers dial. */
const peers = new Map<string, FakeOrigin>();

type Upload = { algorithm: string; chunks: Buffer[]; offset: number; hash: Hash; busy: boolean };

export class FakeOrigin {
  readonly blobs = new Map<Digest, Buffer>();
  readonly uploads = new Map<string, Upload>();
  readonly committed = new Map<string, Digest>();
  /** What the proxy said of whom each upload was begun for. */
  readonly begun: { client: string | undefined; kind: string | undefined }[] = [];
  faults: OriginFaults = {};
  /** Content of uploads is counted and hashed, not kept: for large streams. */
  keep = true;
  /** Bytes of uploads taken so far; called at every chunk. */
  received = 0;
  onReceived: ((total: number) => void | Promise<void>) | undefined;
  /** The repository that each question for metainfo named. */
  readonly askedIn: (string | undefined)[] = [];
  url = '';
  requests = 0;
  /** The headers of every request but pings. */
  readonly heard: IncomingHttpHeaders[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Who it says to be; undefined: it is of a release that has no ids. */
  id: string | undefined;

  /** Where readers that take a redirect are sent. */
  redirect: string | undefined;
  readonly redirectsAsked: string[] = [];
  /** Bytes of blobs. */
  given = 0;

  constructor() {
    this.#server = createServer({ requestTimeout: 0 }, (request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(port = 0): Promise<FakeOrigin> {
    const origin = new FakeOrigin();
    await origin.listen(port);
    return origin;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
        peers.set(this.#node, this);
        resolve();
      });
    });
  }

  get #node(): string {
    return new URL(this.url).port.padStart(32, '0');
  }

  /** Gone, as by kill -9: connections are cut, nothing listens; what was committed survives in `blobs`. */
  async kill(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.uploads.clear();
    peers.delete(this.#node);
  }

  /** Bytes of answers that wait for their reader. */
  openBytes(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.writableLength, 0);
  }

  /** Puts a blob there, as if it had been pushed. */
  hold(bytes: Uint8Array): Digest {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
    this.blobs.set(digest, Buffer.from(bytes));
    return digest;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url !== PROBES.health.pattern) {
      this.requests += 1;
      this.heard.push(request.headers);
    }
    if (this.faults.hang) return;
    if (request.url === PROBES.health.pattern) return json(response, 200, {});
    try {
      const url = new URL(request.url ?? '', 'http://origin');
      const [, , kind, key = '', info] = url.pathname.split('/');
      if (url.pathname === ORIGIN.identity.pattern && this.id !== undefined)
        return json(response, 200, { id: this.id, instance: this.id, weight: 1 });
      if (kind === 'uploads') return await this.#upload({ request, response, url, id: key });
      const digest = parseDigest(decodeURIComponent(key));
      if (kind !== 'blobs' || digest === undefined) throw new ApiError('NOT_FOUND', `no ${url.pathname}`);
      if (info === 'proof' && this.faults.knowsNoProof !== true) {
        this.#find(digest);
        return json(response, 200, { state: 'held' });
      }
      if (info === 'fetch') return json(response, 200, await this.#takeOver(digest, request));
      if (info !== undefined && info !== 'info') throw new ApiError('NOT_FOUND', `no ${url.pathname}`);
      if (info === 'info') this.askedIn.push(url.searchParams.get('repo') ?? undefined);
      if (info === 'info') return json(response, 200, this.#info(digest));
      return this.#blob(digest, request, response);
    } catch (error) {
      const answer = error instanceof ApiError ? error : new ApiError('UNKNOWN', String(error));
      if (!response.destroyed) json(response, answer.status, errorBody(answer));
    }
  }

  async #upload(call: { request: IncomingMessage; response: ServerResponse; url: URL; id: string }): Promise<void> {
    const { request, response, url, id } = call;
    if (!uploadIdPattern.test(id)) throw new ApiError('BLOB_UPLOAD_INVALID', `bad id ${id}`);
    if (request.method === 'POST') return json(response, 201, await this.#begin(id, request));
    if (request.method === 'PUT') {
      await sleep(this.faults.commitMs ?? 0);
      const info = this.#commit(id, url.searchParams.get('digest') ?? '');
      return this.faults.loseCommitAnswer ? void request.socket.destroy() : json(response, 200, info);
    }
    const upload = this.uploads.get(id);
    if (upload === undefined) throw new ApiError('BLOB_UPLOAD_UNKNOWN', `no upload ${id}`);
    switch (request.method) {
      case 'GET':
        return json(response, 200, { id, offset: upload.offset });
      case 'DELETE':
        this.uploads.delete(id);
        return void response.writeHead(204).end();
      case 'PATCH': {
        if (upload.busy || Number(url.searchParams.get('offset')) !== upload.offset) {
          response.setHeader('connection', 'close');
          return json(response, 409, { id, offset: upload.offset });
        }
        await this.#append(upload, request);
        if (upload.offset > (this.faults.fullAt ?? Number.POSITIVE_INFINITY)) {
          this.uploads.delete(id);
          throw new ApiError('STORAGE_FULL', 'told to be full');
        }
        return json(response, 200, { id, offset: upload.offset });
      }
      default:
        throw new ApiError('UNSUPPORTED', `no ${request.method}`);
    }
  }

  async #begin(id: string, request: IncomingMessage): Promise<{ id: string; offset: number }> {
    if (this.faults.beginError) throw new ApiError(this.faults.beginError, 'told to fail');
    const { [CALL_HEADERS.client]: client, [uploadKindHeader]: kind } = request.headers;
    this.begun.push({ client: client?.toString(), kind: kind?.toString() });
    let text = '';
    for await (const chunk of request) text += chunk;
    const { algorithm = 'sha256' } = JSON.parse(text || '{}') as { algorithm?: string };
    if (!this.uploads.has(id)) {
      this.uploads.set(id, { algorithm, chunks: [], offset: 0, hash: createHash(algorithm), busy: false });
    }
    return { id, offset: this.uploads.get(id)?.offset ?? 0 };
  }

  async #append(upload: Upload, request: IncomingMessage): Promise<void> {
    upload.busy = true;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        if (this.faults.cutUploadAt !== undefined && upload.offset + chunk.length > this.faults.cutUploadAt) {
          request.socket.destroy();
          throw new ApiError('UNKNOWN', 'told to cut');
        }
        if (upload.offset + chunk.length > (this.faults.hangUploadAt ?? Number.POSITIVE_INFINITY)) {
          this.faults.hang = true;
          while (this.faults.hang) await sleep(10);
        }
        if (this.faults.stallUploadAt !== undefined && upload.offset + chunk.length > this.faults.stallUploadAt) {
          await new Promise((resolve) => request.socket.once('close', resolve));
        }
        upload.hash.update(chunk);
        if (this.keep) upload.chunks.push(Buffer.from(chunk));
        upload.offset += chunk.length;
        this.received += chunk.length;
        await this.onReceived?.(this.received);
      }
    } finally {
      upload.busy = false;
    }
  }

  /** The first question begins it, as origins do. */
  async #takeOver(digest: Digest, request: IncomingMessage): Promise<FetchState> {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (this.faults.commitError) throw new ApiError(this.faults.commitError, 'told to fail');
    if (this.blobs.has(digest)) return { state: 'held', pieces: 1 };
    const { from } = JSON.parse(text) as FetchRequest;
    const full = this.faults.fullAt !== undefined;
    const bytes = this.faults.fetchesNothing || full ? undefined : peers.get(from.node)?.blobs.get(digest);
    if (bytes !== undefined) this.blobs.set(digest, bytes);
    return { state: 'fetching', pieces: 0 };
  }

  #commit(id: string, text: string): BlobInfo {
    if (this.faults.commitError) throw new ApiError(this.faults.commitError, 'told to fail');
    const digest = parseDigest(text);
    if (digest === undefined) throw new ApiError('DIGEST_INVALID', `bad digest ${text}`);
    if (this.committed.get(id) === digest) return this.#info(digest);
    const upload = this.uploads.get(id);
    if (upload === undefined) throw new ApiError('BLOB_UPLOAD_UNKNOWN', `no upload ${id}`);
    this.uploads.delete(id);
    // Of another algorithm than it was begun for: a second read tells.
    const known = upload.algorithm === digestAlgorithm(digest);
    const hash = known ? upload.hash : createHash(digestAlgorithm(digest)).update(Buffer.concat(upload.chunks));
    if (hash.digest('hex') !== digestHex(digest)) throw new ApiError('DIGEST_INVALID', `the content is not ${digest}`);
    this.blobs.set(digest, this.keep ? Buffer.concat(upload.chunks) : Buffer.alloc(0));
    this.committed.set(id, digest);
    return this.#info(digest, upload.offset);
  }

  #info(digest: Digest, length?: number): BlobInfo {
    const blob = this.#find(digest);
    const bytes = length ?? blob.length;
    const meta = { length: bytes, pieceLength: pieceLengthFor(bytes), root: '0'.repeat(64) };
    return { digest, meta, peer: { node: this.#node, host: '127.0.0.1', port: 1, role: 'origin', zone: '' } };
  }

  #blob(digest: Digest, request: IncomingMessage, response: ServerResponse): void {
    const blob = this.#find(digest);
    const asked = new URL(request.url ?? '', 'http://origin').searchParams.get('redirect');
    if (asked !== null) this.redirectsAsked.push(asked);
    if (asked !== null && this.redirect !== undefined)
      return void response.writeHead(307, { location: this.redirect, 'content-length': 0 }).end();
    if (request.method === 'DELETE') {
      this.blobs.delete(digest);
      return void response.writeHead(204).end();
    }
    const range = chooseRange(request.headers.range, blob.length);
    if (range.kind === 'unsatisfiable') throw new ApiError('RANGE_INVALID', 'outside');
    const part = range.kind === 'part' ? range : { start: 0, end: blob.length };
    const bytes = blob.subarray(part.start, part.end);
    this.given += bytes.length;
    const headers = { 'content-length': bytes.length, 'content-range': contentRange(part, blob.length) };
    response.writeHead(range.kind === 'part' ? 206 : 200, headers);
    if (this.faults.hangReadAt !== undefined) {
      this.faults.hang = true;
      response.write(bytes.subarray(0, this.faults.hangReadAt));
      return void this.#goOn(response, bytes.subarray(this.faults.hangReadAt));
    }
    if (this.faults.cutReadAt === undefined) return void response.end(bytes);
    response.write(bytes.subarray(0, this.faults.cutReadAt), () => response.destroy());
  }

  async #goOn(response: ServerResponse, rest: Buffer): Promise<void> {
    while (this.faults.hang && !response.destroyed) await sleep(10);
    response.end(rest);
  }

  #find(digest: Digest): Buffer {
    const blob = this.blobs.get(digest);
    if (blob === undefined) throw new ApiError('BLOB_UNKNOWN', `no blob ${digest}`);
    return blob;
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
