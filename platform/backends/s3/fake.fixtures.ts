/**
 * A server of S3 in memory that fails on purpose: what it is told to say or do comes before what it would do. It knows
 * objects, uploads in parts, and lists, and looks at no signature.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { type S3Settings, s3Schema } from './config.ts';
import { S3Backend } from './s3.ts';

export type FakeAsk = {
  readonly method: string;
  readonly key: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
};

/** What happens instead. `hang`: nothing, ever; `cut`: the answer's body ends after so many bytes. */
export type FakeFault =
  | {
      readonly status: number;
      readonly code?: string;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  | { readonly headers: Record<string, string> }
  | 'hang'
  | { readonly cut: number };

type FakeObject = {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly crc: string;
  readonly meta: Record<string, string>;
};
type FakeUpload = {
  readonly key: string;
  readonly meta: Record<string, string>;
  readonly parts: Map<number, FakeObject>;
};

export class FakeS3 implements AsyncDisposable {
  readonly objects = new Map<string, FakeObject>();
  readonly uploads = new Map<string, FakeUpload>();
  /** What was asked: `GET key`, `PUT key?partNumber`. */
  readonly asked: string[] = [];
  fault: (ask: FakeAsk) => FakeFault | undefined = () => undefined;
  /** It answers with no CRC-32, as old servers do. */
  old = false;
  readonly #server: Server;
  readonly sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((request, response) => this.serve(request, response));
    this.#server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  /** A backend on it, with keys that it does not look at; parts may be smaller than S3 takes them. */
  backend(
    { parts, shared, ...more }: { parts?: S3Settings['parts']; shared?: boolean; [key: string]: unknown } = {},
    stallMs = 5_000,
  ): S3Backend {
    const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
    const parsed = s3Schema.parse({ bucket: 'bucket', endpoint: this.endpoint, credentials, ...more });
    const settings = { ...parsed, parts: parts ?? parsed.parts };
    const log = createLog({ role: 'origin', level: 'silent', name: '' });
    return new S3Backend(settings, { name: 'main', stallMs, shared, env: {}, clock: realClock, log });
  }

  static async start(): Promise<FakeS3> {
    const fake = new FakeS3();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    void this.#answer(request, response);
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
    const key = decodeURIComponent(url.pathname).split('/').slice(2).join('/');
    const ask = {
      method: request.method ?? '',
      key,
      path: request.url ?? '',
      query: url.searchParams,
      headers: request.headers,
    };
    const names = [...url.searchParams.keys()].filter((name) => name !== 'x-id').join('&');
    this.asked.push(`${ask.method} ${key}${names === '' ? '' : `?${names}`}`);
    const fault = this.fault(ask);
    if (fault === 'hang') return;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (fault !== undefined && 'status' in fault) {
      response.writeHead(fault.status, { 'content-type': 'application/xml', ...fault.headers });
      response.end(fault.body ?? `<Error><Code>${fault.code}</Code><Message>on purpose</Message></Error>`);
      return;
    }
    const answer = this.#do(ask, Buffer.concat(chunks));
    const headers = { ...answer.headers, ...(fault !== undefined && 'headers' in fault && fault.headers) };
    response.writeHead(answer.status, { 'content-length': `${answer.length ?? answer.body.length}`, ...headers });
    if (fault === undefined || !('cut' in fault)) return void response.end(answer.body);
    response.write(answer.body.subarray(0, fault.cut), () => request.socket.destroy());
  }

  #do(ask: FakeAsk, body: Buffer): Answer {
    const { method, key, query } = ask;
    if (method === 'GET' && key === '') return query.has('uploads') ? this.#listUploads(query) : this.#list(query);
    if (method === 'POST' && query.has('uploads')) return this.#begin(ask);
    const upload = this.uploads.get(query.get('uploadId') ?? '');
    if (query.has('uploadId'))
      return upload === undefined ? failed(404, 'NoSuchUpload') : this.#inParts(ask, upload, body);
    if (method === 'PUT') return this.#put(ask, body);
    if (method === 'DELETE') {
      this.objects.delete(key);
      return { status: 204, body: Buffer.alloc(0) };
    }
    return this.#get(ask);
  }

  #put({ key, headers }: FakeAsk, bytes: Buffer): Answer {
    const there = this.objects.get(key)?.etag;
    if (headers['if-none-match'] === '*' && there !== undefined) return failed(412, 'PreconditionFailed');
    const match = headers['if-match'];
    if (match !== undefined && match !== there)
      return failed(there === undefined ? 404 : 412, there === undefined ? 'NoSuchKey' : 'PreconditionFailed');
    const object = stored(bytes, metaOf(headers));
    const wrong = this.#wrong(headers, object);
    if (wrong !== undefined) return wrong;
    this.objects.set(key, object);
    return { status: 200, body: Buffer.alloc(0), headers: this.#sums(object) };
  }

  #get({ method, key, headers }: FakeAsk): Answer {
    const object = this.objects.get(key);
    if (object === undefined) return failed(404, 'NoSuchKey', method);
    if (headers['if-match'] !== undefined && headers['if-match'] !== object.etag)
      return failed(412, 'PreconditionFailed');
    const meta = Object.fromEntries(Object.entries(object.meta).map(([name, value]) => [`x-amz-meta-${name}`, value]));
    const said = { etag: object.etag, ...meta };
    if (method === 'HEAD') return { status: 200, body: Buffer.alloc(0), headers: said, length: object.bytes.length };
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
    const { length } = object.bytes;
    if (from === undefined) return { status: 200, body: object.bytes, headers: said };
    if (Number(from) >= length) return failed(416, 'InvalidRange');
    const end = Math.min(Number(to) + 1, length);
    const range = { 'content-range': `bytes ${from}-${end - 1}/${length}` };
    return { status: 206, body: object.bytes.subarray(Number(from), end), headers: { ...said, ...range } };
  }

  #begin({ key, headers }: FakeAsk): Answer {
    const id = randomUUID();
    this.uploads.set(id, { key, meta: metaOf(headers), parts: new Map() });
    return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  }

  #inParts({ method, query, headers }: FakeAsk, { key, meta, parts }: FakeUpload, body: Buffer): Answer {
    if (method === 'PUT') {
      const part = stored(body, {});
      const wrong = this.#wrong(headers, part);
      if (wrong !== undefined) return wrong;
      parts.set(Number(query.get('partNumber')), part);
      return { status: 200, body: Buffer.alloc(0), headers: this.#sums(part) };
    }
    if (method === 'GET') return this.#listParts(parts);
    this.uploads.delete(query.get('uploadId') ?? '');
    if (method === 'DELETE') return { status: 204, body: Buffer.alloc(0) };
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, number]) =>
      Number(number),
    );
    const bytes = Buffer.concat(numbers.map((number) => parts.get(number)?.bytes ?? Buffer.alloc(0)));
    this.objects.set(key, { ...stored(bytes, meta), etag: `"${randomUUID()}-${numbers.length}"` });
    return xml(
      `<CompleteMultipartUploadResult><ETag>${this.objects.get(key)?.etag}</ETag></CompleteMultipartUploadResult>`,
    );
  }

  #listParts(parts: FakeUpload['parts']): Answer {
    const all = [...parts].map(
      ([number, { bytes, etag, crc }]) =>
        `<Part><PartNumber>${number}</PartNumber><Size>${bytes.length}</Size><ETag>${etag}</ETag>${this.old ? '' : `<ChecksumCRC32>${crc}</ChecksumCRC32>`}</Part>`,
    );
    return xml(`<ListPartsResult><IsTruncated>false</IsTruncated>${all.join('')}</ListPartsResult>`);
  }

  #listUploads(query: URLSearchParams): Answer {
    const all = [...this.uploads]
      .filter(([, { key }]) => key.startsWith(query.get('prefix') ?? ''))
      .map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
    return xml(
      `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${all.join('')}</ListMultipartUploadsResult>`,
    );
  }

  #list(query: URLSearchParams): Answer {
    const after = query.get('start-after') ?? '';
    const max = Number(query.get('max-keys') ?? 1000);
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? '') && byBytes(key, after) > 0)
      .sort(byBytes);
    const url = query.get('encoding-type') === 'url';
    const all = keys
      .slice(0, max)
      .map(
        (key) =>
          `<Contents><Key>${url ? encodeURIComponent(key) : key}</Key><Size>${this.objects.get(key)?.bytes.length}</Size></Contents>`,
      );
    return xml(
      `<ListBucketResult>${url ? '<EncodingType>url</EncodingType>' : ''}<IsTruncated>${keys.length > max}</IsTruncated>${all.join('')}</ListBucketResult>`,
    );
  }

  #sums({ etag, crc }: FakeObject): Record<string, string> {
    return { etag, ...(!this.old && { 'x-amz-checksum-crc32': crc }) };
  }

  #wrong(headers: FakeAsk['headers'], { etag, crc }: FakeObject): Answer | undefined {
    const md5 = headers['content-md5'];
    const wrongMd5 = typeof md5 === 'string' && `"${Buffer.from(md5, 'base64').toString('hex')}"` !== etag;
    const sum = headers['x-amz-checksum-crc32'];
    const wrongSum = !this.old && sum !== undefined && sum !== crc;
    return wrongMd5 || wrongSum ? failed(400, 'BadDigest') : undefined;
  }
}

type Answer = {
  readonly status: number;
  readonly body: Buffer;
  readonly headers?: Record<string, string>;
  readonly length?: number;
};

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));

function stored(bytes: Buffer, meta: Record<string, string>): FakeObject {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes));
  return { bytes, meta, etag: `"${createHash('md5').update(bytes).digest('hex')}"`, crc: crc.toString('base64') };
}

function metaOf(headers: FakeAsk['headers']): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'));
  return Object.fromEntries(own.map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)]));
}

function xml(body: string): Answer {
  return { status: 200, body: Buffer.from(body), headers: { 'content-type': 'application/xml' } };
}

function failed(status: number, code: string, method = 'GET'): Answer {
  return { ...xml(method === 'HEAD' ? '' : `<Error><Code>${code}</Code></Error>`), status };
}
