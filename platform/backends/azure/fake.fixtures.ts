/**
 * A server of Azure's REST API in memory that fails on purpose: what it is told to say or do comes before what it would do.
 * It knows block blobs, blocks that are not in one yet, and lists.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import type { Opening } from '../kind.ts';
import type { Parts } from '../parts/config.ts';
import { AzureBackend } from './azure.ts';
import { azureSchema } from './config.ts';

export type FakeAsk = {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
};

/** What happens instead. `hang`: nothing, ever; `deaf`: all is done, and the connection is cut. */
export type FakeFault =
  | {
      readonly status: number;
      readonly code?: string;
      readonly body?: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly headers: Record<string, string> }
  | 'hang'
  | 'deaf';

type FakeBlob = {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly digest: string | undefined;
  readonly blocks: ReadonlyMap<string, Buffer>;
};

export class FakeAzure implements AsyncDisposable {
  readonly blobs = new Map<string, FakeBlob>();
  /** Blocks that are in no blob yet, by key and name. */
  readonly blocks = new Map<string, Map<string, Buffer>>();
  /** What was asked: `GET key`, `PUT key?block`, `GET ?list`. */
  readonly asked: string[] = [];
  fault: (ask: FakeAsk) => FakeFault | undefined = () => undefined;
  /** The authorization that it takes; undefined: it looks at none. */
  allows: ((ask: FakeAsk) => boolean) | undefined;
  /** Names on a page, at most. */
  page = 5_000;
  /** How it orders names. */
  order: (one: string, other: string) => number = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => this.serve(request, response));
  }

  /** A backend on it; parts may be smaller than a rule can say. */
  backend(
    { parts, ...more }: { parts?: Parts; [key: string]: unknown } = {},
    opening: Partial<Opening> = {},
  ): AzureBackend {
    const credentials = { sharedKey: Buffer.from('key').toString('base64') };
    const said = { container: 'images', account: 'acct', endpoint: this.endpoint, credentials, ...more };
    const parsed = azureSchema.parse(said);
    const log = createLog({ role: 'origin', level: 'silent', name: '' });
    const usual = { name: 'main', stallMs: 5_000, env: {}, clock: realClock, log };
    return new AzureBackend({ ...parsed, parts: parts ?? parsed.parts }, { ...usual, ...opening });
  }

  static async start(): Promise<FakeAzure> {
    const fake = new FakeAzure();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}/acct`;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, response).catch(() => request.destroy());
  }

  count(start: string): number {
    return this.asked.filter((one) => one.startsWith(start)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const key = url.pathname.split('/').slice(3).map(decodeURIComponent).join('/');
    const ask = { method: request.method ?? '', key, query: url.searchParams, headers: request.headers };
    const comp = url.searchParams.get('comp');
    this.asked.push(`${ask.method} ${key}${comp === null ? '' : `?${comp}`}`);
    const fault = this.fault(ask);
    if (fault === 'hang') return;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (typeof fault === 'object' && 'status' in fault) {
      const { status, code = 'OnPurpose', body } = fault;
      const answer = failed(status, code);
      response.writeHead(status, { ...(body === undefined && answer.headers), ...fault.headers });
      response.end(ask.method === 'HEAD' ? '' : (body ?? answer.body));
      return;
    }
    const answer =
      this.allows?.(ask) === false ? failed(403, 'AuthenticationFailed') : this.#do(ask, Buffer.concat(chunks));
    if (fault === 'deaf') return void request.socket.destroy();
    const length = answer.length ?? answer.body.length;
    response.writeHead(answer.status, { 'content-length': `${length}`, ...answer.headers, ...fault?.headers });
    response.end(ask.method === 'HEAD' ? '' : answer.body);
  }

  #do(ask: FakeAsk, body: Buffer): FakeAnswer {
    const { method, key, query, headers } = ask;
    const comp = query.get('comp');
    if (comp === 'list') return this.#list(query);
    const md5 = headers['content-md5'];
    if (method === 'PUT' && md5 !== undefined && md5 !== md5Of(body)) return failed(400, 'Md5Mismatch');
    if (comp === 'block') {
      const blocks = this.blocks.get(key) ?? new Map<string, Buffer>();
      this.blocks.set(key, blocks.set(query.get('blockid') ?? '', body));
      return { status: 201, body: Buffer.alloc(0), headers: { 'content-md5': md5Of(body) } };
    }
    if (comp === 'blocklist') return method === 'GET' ? this.#uncommitted(key) : this.#commit(ask, body);
    if (method === 'PUT') return this.#put(ask, { bytes: body, blocks: new Map() });
    const blob = this.blobs.get(key);
    if (blob === undefined) return failed(404, 'BlobNotFound');
    if (headers['if-match'] !== undefined && headers['if-match'] !== blob.etag) return failed(412, 'ConditionNotMet');
    if (method !== 'DELETE') return ranged(blob, headers['range']);
    this.blobs.delete(key);
    return { status: 202, body: Buffer.alloc(0) };
  }

  #put({ key, headers }: FakeAsk, { bytes, blocks }: Pick<FakeBlob, 'bytes' | 'blocks'>): FakeAnswer {
    const there = this.blobs.get(key);
    if (headers['if-none-match'] === '*' && there !== undefined) return failed(409, 'BlobAlreadyExists');
    const match = headers['if-match'];
    if (match !== undefined && match !== there?.etag) return failed(412, 'ConditionNotMet');
    const digest = headers['x-ms-meta-shoal_digest'];
    const blob = {
      bytes,
      blocks,
      etag: `"0x${randomUUID()}"`,
      digest: digest === undefined ? undefined : String(digest),
    };
    this.blobs.set(key, blob);
    this.blocks.delete(key);
    return { status: 201, body: Buffer.alloc(0), headers: { etag: blob.etag, 'content-md5': md5Of(bytes) } };
  }

  #uncommitted(key: string): FakeAnswer {
    const blocks = this.blocks.get(key);
    if (blocks === undefined && !this.blobs.has(key)) return failed(404, 'BlobNotFound');
    const all = [...(blocks ?? [])].map(
      ([id, { length }]) => `<Block><Name>${id}</Name><Size>${length}</Size></Block>`,
    );
    return xml(`<BlockList><UncommittedBlocks>${all.join('')}</UncommittedBlocks></BlockList>`);
  }

  #commit(ask: FakeAsk, body: Buffer): FakeAnswer {
    const known = new Map([...(this.blobs.get(ask.key)?.blocks ?? []), ...(this.blocks.get(ask.key) ?? [])]);
    const ids = [...body.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g)].map(([, id = '']) => id);
    const blocks = new Map(ids.map((id) => [id, known.get(id) ?? Buffer.alloc(0)]));
    if (ids.some((id) => !known.has(id))) return failed(400, 'InvalidBlockList');
    return this.#put(ask, { bytes: Buffer.concat(ids.map((id) => known.get(id) ?? Buffer.alloc(0))), blocks });
  }

  #list(query: URLSearchParams): FakeAnswer {
    const max = Math.min(Number(query.get('maxresults') ?? this.page), this.page);
    const keys = [...this.blobs.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '')).sort(this.order);
    const from = Number(query.get('marker') ?? 0);
    const blobs = keys.slice(from, from + max).map((key) => {
      const name = key.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
      const size = `<Content-Length>${this.blobs.get(key)?.bytes.length}</Content-Length>`;
      return `<Blob><Name>${name}</Name><Properties>${size}</Properties></Blob>`;
    });
    const next = from + max < keys.length ? `<NextMarker>${from + max}</NextMarker>` : '<NextMarker />';
    return xml(`<EnumerationResults><Blobs>${blobs.join('')}</Blobs>${next}</EnumerationResults>`);
  }
}

type FakeAnswer = {
  readonly status: number;
  readonly body: Buffer;
  readonly headers?: Record<string, string>;
  readonly length?: number;
};

function md5Of(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('base64');
}

function ranged({ bytes, etag, digest }: FakeBlob, range: string | undefined): FakeAnswer {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  const said = { etag, ...(digest !== undefined && { 'x-ms-meta-shoal_digest': digest }) };
  if (from === undefined) return { status: 200, body: bytes, headers: said };
  if (Number(from) >= bytes.length) return failed(416, 'InvalidRange');
  const end = Math.min(Number(to) + 1, bytes.length);
  const headers = { ...said, 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` };
  return { status: 206, body: bytes.subarray(Number(from), end), headers };
}

function xml(body: string): FakeAnswer {
  const text = `<?xml version="1.0" encoding="utf-8"?>${body}`;
  return { status: 200, body: Buffer.from(text), headers: { 'content-type': 'application/xml' } };
}

function failed(status: number, code: string): FakeAnswer {
  const answer = xml(`<Error><Code>${code}</Code><Message>on purpose</Message></Error>`);
  return { ...answer, status, headers: { ...answer.headers, 'x-ms-error-code': code } };
}
