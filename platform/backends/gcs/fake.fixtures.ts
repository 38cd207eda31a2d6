/**
 * A server of Google's JSON API in memory that fails on purpose: what it is told to say or do comes before what it would
 * do. It knows objects with generations, uploads that are gone on with, and lists; and it gives tokens.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import type { Opening } from '../kind.ts';
import type { Parts } from '../parts/config.ts';
import { gcsSchema } from './config.ts';
import { GcsBackend } from './gcs.ts';

export type FakeAsk = {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
};

/**
 * What happens instead. `hang`: nothing, ever; `cut`: the answer ends after so many bytes; `take`: the connection is cut
 * once so many bytes of the body have come, which are kept; `deaf`: all is done, and the connection is cut.
 */
export type FakeFault =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | { readonly cut: number }
  | { readonly take: number }
  | 'hang'
  | 'deaf';

type FakeObject = { readonly bytes: Buffer; readonly generation: number; readonly digest: string | undefined };
type FakeUpload = { readonly key: string; readonly said: Said; readonly chunks: Buffer[]; length: number };
type Said = { readonly name?: string; readonly md5Hash?: string; readonly metadata?: Record<string, string> };

export class FakeGcs implements AsyncDisposable {
  readonly objects = new Map<string, FakeObject>();
  readonly uploads = new Map<string, FakeUpload>();
  /** What was asked: `GET key`, `POST list`. */
  readonly asked: string[] = [];
  fault: (ask: FakeAsk) => FakeFault | undefined = () => undefined;
  /** The one that it takes; undefined: it looks at none. */
  token: string | undefined;
  bucket = true;
  /** Of finished uploads it says once more what became of them, as Google does for a while. */
  remembers = true;
  readonly #finished = new Map<string, FakeAnswer>();
  /** It looks at no condition. */
  unconditional = false;
  #generations = 1_700_000_000_000_000;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => this.serve(request, response));
  }

  /** A backend on it, without credentials unless said; parts may be smaller than a rule can say. */
  backend(
    { parts, ...more }: { parts?: Parts; [key: string]: unknown } = {},
    opening: Partial<Opening> = {},
  ): GcsBackend {
    const said = { bucket: 'bucket', endpoint: this.endpoint, credentials: 'anonymous', ...more };
    const parsed = gcsSchema.parse(said);
    const log = createLog({ role: 'origin', level: 'silent', name: '' });
    const usual = { name: 'main', stallMs: 5_000, env: {}, clock: realClock, log };
    return new GcsBackend({ ...parsed, parts: parts ?? parsed.parts }, { ...usual, ...opening });
  }

  static async start(): Promise<FakeGcs> {
    const fake = new FakeGcs();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
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
    const path = url.pathname.replace(/^.*?\bb\/bucket\/o\/?/, '');
    const key = path === '' ? (url.searchParams.get('name') ?? '') : decodeURIComponent(path);
    const ask = { method: request.method ?? '', key, query: url.searchParams, headers: request.headers };
    this.asked.push(`${ask.method} ${key === '' ? 'list' : key}`);
    const fault = this.fault(ask);
    if (fault === 'hang') return;
    const body = await this.#body(request, ask, fault);
    if (fault !== undefined && typeof fault === 'object' && 'status' in fault) {
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      response.end(fault.body ?? failed(fault.status, 'on purpose').body);
      return;
    }
    const answer = this.#do(ask, body);
    if (fault === 'deaf') return void request.socket.destroy();
    response.writeHead(answer.status, { 'content-length': `${answer.body.length}`, ...answer.headers });
    if (fault === undefined || !('cut' in fault)) return void response.end(answer.body);
    response.write(answer.body.subarray(0, fault.cut), () => request.socket.destroy());
  }

  /** What comes to an upload is kept as it comes. */
  async #body(request: IncomingMessage, { query, headers }: FakeAsk, fault: FakeFault | undefined): Promise<Buffer> {
    const takes = typeof fault === 'object' && 'take' in fault ? fault.take : Number.POSITIVE_INFINITY;
    const upload = this.uploads.get(query.get('upload_id') ?? '');
    const from = Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? Number.NaN);
    const chunks: Buffer[] = [];
    let came = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      const taken = chunk.subarray(0, takes - came);
      came += taken.length;
      chunks.push(taken);
      if (upload !== undefined && from + came - taken.length === upload.length) {
        upload.chunks.push(taken);
        upload.length += taken.length;
      }
      if (came >= takes) request.socket.destroy();
    }
    return Buffer.concat(chunks);
  }

  #do(ask: FakeAsk, body: Buffer): FakeAnswer {
    const { method, key, query, headers } = ask;
    if (!this.bucket) return failed(404, 'The specified bucket does not exist.');
    const id = query.get('upload_id');
    if (id !== null) return this.#upload(id, ask);
    if (this.token !== undefined && headers['authorization'] !== `Bearer ${this.token}`)
      return failed(401, 'Invalid Credentials', 'authError');
    if (key === '') return this.#list(query);
    if (method === 'POST')
      return query.get('uploadType') === 'multipart' ? this.#whole(ask, body) : this.#begin(key, body);
    const object = this.objects.get(key);
    if (object === undefined) return failed(404, `No such object: bucket/${key}`);
    const match = query.get('ifGenerationMatch');
    if (match !== null && match !== String(object.generation)) return failed(412, 'conditionNotMet');
    if (method === 'DELETE') {
      this.objects.delete(key);
      return { status: 204, body: Buffer.alloc(0) };
    }
    return query.get('alt') === 'media' ? ranged(object, headers['range']) : json(200, described(key, object));
  }

  #list(query: URLSearchParams): FakeAnswer {
    const from = query.get('pageToken') ?? query.get('startOffset') ?? '';
    const max = Number(query.get('maxResults') ?? 1000);
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? '') && byBytes(key, from) >= 0)
      .sort(byBytes);
    const items = keys.slice(0, max).map((name) => ({ name, size: String(this.objects.get(name)?.bytes.length) }));
    return json(200, { ...(items.length > 0 && { items }), ...(keys.length > max && { nextPageToken: keys[max] }) });
  }

  #whole({ key, query, headers }: FakeAsk, body: Buffer): FakeAnswer {
    const boundary = `--${/boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1]}`;
    const second = body.indexOf(boundary, boundary.length);
    const said = JSON.parse(body.subarray(body.indexOf('\r\n\r\n'), second).toString()) as Said;
    const start = body.indexOf('\r\n\r\n', second) + 4;
    const bytes = body.subarray(start, body.length - `\r\n${boundary}--\r\n`.length);
    const match = query.get('ifGenerationMatch');
    if (!this.unconditional && match !== null && Number(match) !== (this.objects.get(key)?.generation ?? 0))
      return failed(412, 'conditionNotMet');
    return this.#make(key, { said, bytes, md5: said.md5Hash });
  }

  #begin(key: string, body: Buffer): FakeAnswer {
    const id = `upload-${this.uploads.size + 1}`;
    this.uploads.set(id, { key, said: JSON.parse(body.toString()) as Said, chunks: [], length: 0 });
    const location = `${this.endpoint}/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id=${id}`;
    return { status: 200, body: Buffer.alloc(0), headers: { location } };
  }

  #upload(id: string, { method, headers }: FakeAsk): FakeAnswer {
    const upload = this.uploads.get(id);
    if (upload === undefined) return this.#finished.get(id) ?? failed(404, 'no such upload');
    if (method === 'DELETE') {
      this.uploads.delete(id);
      return { status: 499, body: Buffer.alloc(0) };
    }
    const size = Number(headers['content-range']?.split('/')[1]);
    const { key, said, length } = upload;
    if (length < size)
      return { status: 308, body: Buffer.alloc(0), headers: length === 0 ? {} : { range: `bytes=0-${length - 1}` } };
    this.uploads.delete(id);
    const md5 = /md5=(\S+)/.exec(String(headers['x-goog-hash'] ?? ''))?.[1];
    const answer = this.#make(key, { said, bytes: Buffer.concat(upload.chunks), md5 });
    if (this.remembers && answer.status === 200) this.#finished.set(id, answer);
    return answer;
  }

  #make(key: string, { said, bytes, md5 }: { said: Said; bytes: Buffer; md5: string | undefined }): FakeAnswer {
    if (md5 !== undefined && md5 !== md5Of(bytes))
      return failed(400, "Provided MD5 hash doesn't match calculated MD5 hash");
    const object = { bytes, generation: ++this.#generations, digest: said.metadata?.['shoal-digest'] };
    this.objects.set(key, object);
    return json(200, described(key, object));
  }
}

type FakeAnswer = { readonly status: number; readonly body: Buffer; readonly headers?: Record<string, string> };

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));

function md5Of(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('base64');
}

function described(name: string, { bytes, generation, digest }: FakeObject) {
  const said = { name, size: String(bytes.length), generation: String(generation), md5Hash: md5Of(bytes) };
  return { ...said, ...(digest !== undefined && { metadata: { 'shoal-digest': digest } }) };
}

function ranged({ bytes, generation }: FakeObject, range: string | undefined): FakeAnswer {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  const said = { 'x-goog-generation': String(generation) };
  if (from === undefined) return { status: 200, body: bytes, headers: said };
  if (Number(from) >= bytes.length) return failed(416, 'The requested range cannot be satisfied.');
  const end = Math.min(Number(to) + 1, bytes.length);
  const headers = { ...said, 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` };
  return { status: 206, body: bytes.subarray(Number(from), end), headers };
}

function json(status: number, value: unknown): FakeAnswer {
  return { status, body: Buffer.from(JSON.stringify(value)), headers: { 'content-type': 'application/json' } };
}

function failed(status: number, message: string, reason = 'on purpose'): FakeAnswer {
  return json(status, { error: { code: status, message, errors: [{ reason, message }] } });
}
