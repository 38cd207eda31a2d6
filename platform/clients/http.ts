/**
 * The HTTP client for calls between components, and of the shell's commands. One per base URL, over a transport.
 *
 * Rule 1: limits of transfers are on silence, never on wall-clock time: 2 s to connect, `stallMs` without any byte.
 *         A call that only has to be answered says `withinMs`; one that may take long, but not from a process that
 *         hangs, says `watched` (pulse.ts).
 * Rule 2: an ErrorBody becomes its ApiError; a failure of the network becomes UNAVAILABLE, naming the URL.
 * Rule 3: calls that may be repeated (GET, HEAD, PUT, DELETE with a body that can be sent again) are, with
 *         back-off; a body that streams is sent once.
 * Rule 4: whoever gets a Reply reads its body to the end, or calls `discard()`.
 */

import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ErrorCode, errorIn } from '../../core/contracts/errors.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import type { Method } from '../../core/contracts/route.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { type RetryCause, retryDefaults, retryDelayMs } from '../../core/retry/retry.ts';
import {
  connectTimeout,
  type HttpAnswer,
  type HttpCall,
  type HttpConnections,
  type HttpTransport,
  httpConnectMs,
  tcpHttp,
} from '../net/http.ts';
import { CallContext } from './context.ts';
import { CallLimits, stalled } from './limits.ts';
import { NoAnswer, Pulse } from './pulse.ts';

export type StreamBody = AsyncIterable<Uint8Array>;

export type CallOptions = {
  readonly ctx?: CallContext | undefined;
  /** Text and bytes are sent as they are; a stream is sent in chunks, or with `length`; any other value as JSON. */
  readonly body?: unknown;
  /** Bytes of a streamed body, where known. */
  readonly length?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Statuses of 300 and more that are answers, not errors. */
  readonly expect?: readonly number[] | undefined;
  /** Silence that ends the call, milliseconds; default `callStallMsDefault`. */
  readonly stallMs?: number | undefined;
  /** Until the answer's head, all attempts together, milliseconds; then it is NoAnswer. Default: no limit. */
  readonly withinMs?: number | undefined;
  /** The other side is pinged until the last byte of the answer, or only until its head; NoAnswer where it hangs. */
  readonly watched?: boolean | 'head' | undefined;
  /** At most so many attempts; default: as core/retry says for calls that may be repeated, else 1. */
  readonly tries?: number | undefined;
};

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Breaks off with UNAVAILABLE where the connection does. */
  readonly body: StreamBody;
  /** The whole body; SIZE_INVALID beyond `bytesMax` (default 8 MiB). */
  bytes(bytesMax?: number): Promise<Uint8Array>;
  json<T>(): Promise<T>;
  /** Gives the connection back without reading a large body. */
  discard(): Promise<void>;
};

export const callStallMsDefault = 10_000;
export const wholeBytesMax = 8 * 1024 * 1024;
const connectionsMax = 64;
/** A longer wait than this is not ours to sit out: the caller is told. */
const retryAfterMsMax = 5_000;
const REPEATABLE: ReadonlySet<Method> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

type Outcome =
  | { readonly reply: Reply }
  | { readonly error: unknown; readonly cause: RetryCause; readonly afterMs?: number | undefined };
const STATUS_CAUSES: Readonly<Record<number, RetryCause>> = {
  429: 'busy',
  502: 'unavailable',
  503: 'unavailable',
  504: 'stalled',
};
const STALL_CODES: ReadonlySet<string> = new Set([...Object.values(stalled), connectTimeout]);

export type ClientOptions = {
  readonly base: string;
  /** The name that it is called by (`Host`, and whose certificate it has) where `base` is one of its addresses. */
  readonly host?: string | undefined;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
  readonly connections?: number | undefined;
  /** Every call is `watched`. */
  readonly watched?: boolean | undefined;
  /** How long a ping may be unanswered; default: that of pulse.ts. */
  readonly silenceMs?: number | undefined;
};

export class HttpClient {
  readonly base: string;
  readonly #calls: HttpConnections;
  readonly #origin: string;
  readonly #named: Readonly<Record<string, string>>;
  /** Pings have a connection of their own: they never wait for one. */
  readonly #pings: HttpConnections;
  /** What is known of the other side. */
  readonly pulse: Pulse;
  readonly #watched: boolean;
  readonly #open = new Set<CallLimits>();
  readonly #prng: Prng = prng(randomInt(2 ** 31));

  /** `base`: `http://host:port`, perhaps with a path. Calls beyond `connections` (default 64) wait for a free one. */
  constructor(options: ClientOptions) {
    this.base = options.base.replace(/\/+$/, '');
    this.#origin = new URL(this.base).origin;
    this.#named = options.host === undefined ? {} : { host: options.host };
    const transport = options.transport ?? tcpHttp;
    const name = options.host;
    this.#calls = transport.to(this.#origin, { connections: options.connections ?? connectionsMax, name });
    this.#pings = transport.to(this.#origin, { connections: 1, name });
    this.#watched = options.watched === true;
    this.pulse = new Pulse({ url: this.base, ping: (signal) => this.#ping(signal), silenceMs: options.silenceMs });
  }

  /** Calls whose answer has not been read to its end. */
  get underWay(): number {
    return this.#open.size;
  }

  /** Sends a call whose answer is JSON, or empty (undefined). */
  async json<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
    const reply = await this.stream(method, path, options);
    return reply.json<T>();
  }

  /** Sends a call; resolves with the answer's head, its body unread. Rejects with ApiError for unexpected statuses. */
  async stream(method: Method, path: string, options: CallOptions = {}): Promise<Reply> {
    const repeatable = REPEATABLE.has(method) && !isStream(options.body);
    const tries = options.tries ?? (repeatable ? Number.POSITIVE_INFINITY : 1);
    const signal = options.ctx?.signal;
    const begun = performance.now();
    for (let attempts = 1; ; attempts++) {
      const leftMs = (options.withinMs ?? Number.POSITIVE_INFINITY) - (performance.now() - begun);
      const outcome = await this.#once(method, path, { ...options, withinMs: leftMs });
      if ('reply' in outcome) return outcome.reply;
      const { cause, afterMs, error } = outcome;
      const elapsedMs = performance.now() - begun;
      const delayMs = retryDelayMs(retryDefaults, { cause, attempts, elapsedMs, afterMs }, this.#prng);
      if (attempts >= tries || delayMs === undefined || signal?.aborted === true) throw error;
      if (elapsedMs + delayMs >= (options.withinMs ?? Number.POSITIVE_INFINITY)) throw error;
      await pause(delayMs, signal);
    }
  }

  async #once(method: Method, path: string, options: CallOptions): Promise<Outcome> {
    const url = this.base + path;
    const stallMs = options.stallMs ?? callStallMsDefault;
    const signal = options.ctx?.signal;
    const ended = (): void => void this.#open.delete(limits);
    const limits = new CallLimits(this.pulse, { watched: this.#watched, ...options, stallMs, url, signal, ended });
    this.#open.add(limits);
    try {
      const answer = await this.#calls.request({
        path: url.slice(this.#origin.length) || '/',
        method,
        headers: { ...headersOf(options), ...this.#named },
        body: bodyOf(options.body, limits),
        signal: limits.signal,
        begun: () => limits.wait(),
      });
      limits.answered();
      const reply = replyOf(answer, { url, signal, limits });
      if (answer.status < 300 || options.expect?.includes(answer.status) === true) return { reply };
      const error = await refusal(reply, method, url);
      return { error, cause: STATUS_CAUSES[answer.status] ?? 'refused', afterMs: retryAfterMs(reply) };
    } catch (thrown) {
      limits[Symbol.dispose]();
      const error = networkError(thrown, url, signal);
      if (error instanceof NoAnswer && error.url.startsWith(this.base)) this.pulse.missed();
      const ours = error instanceof ApiError && error !== thrown;
      const code = (thrown as NodeJS.ErrnoException).code ?? '';
      return { error, cause: ours ? (STALL_CODES.has(code) ? 'stalled' : 'network') : 'refused' };
    }
  }

  /** Resolves where the other side answers at all, and says that it is well. */
  async alive(signal: AbortSignal): Promise<void> {
    const reply = await this.stream('GET', PROBES.health.pattern, { ctx: CallContext.begin({ signal }), tries: 1 });
    await reply.discard();
  }

  async #ping(signal: AbortSignal): Promise<void> {
    const path = new URL(this.base).pathname.replace(/\/$/, '');
    const where = { path: path + PROBES.health.pattern, headers: this.#named };
    const answer = await this.#pings.request({ ...where, method: 'GET', signal });
    await answer.discard();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pulse[Symbol.dispose]();
    await Promise.all([this.#calls.destroy(), this.#pings.destroy()]);
  }
}

function isStream(body: unknown): body is StreamBody {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

function isRaw(body: unknown): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array;
}

function bodyOf(body: unknown, limits: CallLimits): NonNullable<HttpCall['body']> | null {
  if (body === undefined || body === null) return null;
  if (isRaw(body)) return body;
  return isStream(body) ? limits.sent(body) : JSON.stringify(body);
}

function headersOf(options: CallOptions): Record<string, string> {
  const headers: Record<string, string> = options.ctx?.sent() ?? {};
  if (isStream(options.body) || isRaw(options.body)) headers['content-type'] = 'application/octet-stream';
  else if (options.body !== undefined && options.body !== null) headers['content-type'] = 'application/json';
  if (options.length !== undefined) headers['content-length'] = String(options.length);
  return { ...headers, ...options.headers };
}

type Call = { readonly url: string; readonly signal: AbortSignal | undefined; readonly limits: CallLimits };

function replyOf(answer: HttpAnswer, call: Call): Reply {
  const { url, limits } = call;
  const reply: Reply = {
    status: answer.status,
    headers: answer.headers,
    body: guarded(answer.body, call),
    async bytes(bytesMax = wholeBytesMax) {
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of reply.body) {
        length += chunk.length;
        if (length > bytesMax) throw new ApiError('SIZE_INVALID', `${url} answered more than ${bytesMax} bytes`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks, length);
    },
    async json<T>() {
      const text = Buffer.from(await reply.bytes()).toString('utf8');
      if (text === '') return undefined as T;
      try {
        return JSON.parse(text) as T;
      } catch {
        throw new ApiError('UNAVAILABLE', `${url} answered no JSON: ${text.slice(0, 80)}`);
      }
    },
    async discard() {
      limits.wait();
      await answer.discard();
      limits[Symbol.dispose]();
    },
  };
  return reply;
}

async function* guarded(body: AsyncIterable<Uint8Array>, { url, signal, limits }: Call): AsyncGenerator<Uint8Array> {
  try {
    limits.wait();
    for await (const chunk of body) {
      limits.rest();
      yield chunk;
      limits.wait();
    }
  } catch (error) {
    throw networkError(error, url, signal);
  } finally {
    limits[Symbol.dispose]();
  }
}

/** The answer's own error, or one that tells its status. */
async function refusal(reply: Reply, method: Method, url: string): Promise<ApiError> {
  const text = Buffer.from(await reply.bytes(64 * 1024).catch(() => new Uint8Array())).toString('utf8');
  const told = errorIn(jsonOf(text));
  if (told !== undefined) return told;
  const message = `${method} ${url} answered ${reply.status}${text === '' ? '' : `: ${text.slice(0, 200)}`}`;
  return new ApiError(codeFor(reply.status), message);
}

function retryAfterMs(reply: Reply): number | undefined {
  const seconds = Number(reply.headers['retry-after']);
  return seconds > 0 ? Math.min(seconds * 1000, retryAfterMsMax) : undefined;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** For answers without an ErrorBody: a HEAD, or a server that is not ours. */
function codeFor(status: number): ErrorCode {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'DENIED';
  if (status === 404) return 'NOT_FOUND';
  if (status === 416) return 'RANGE_INVALID';
  if (status === 429) return 'TOOMANYREQUESTS';
  if (status === 507) return 'STORAGE_FULL';
  if (status === 502 || status === 503 || status === 504) return 'UNAVAILABLE';
  return status >= 400 && status < 500 ? 'REQUEST_INVALID' : 'UNKNOWN';
}

/** A failure of the network as UNAVAILABLE; a caller's abort, an ApiError of a streamed body, a Bug: unchanged. */
function networkError(error: unknown, url: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (error instanceof ApiError || code === undefined || code === 'ERR_INVALID_ARG_TYPE') return error;
  const known = NETWORK_WORDS[code] ?? (error as Error).message;
  return new NoAnswer(url, known, UNSENT.has(code));
}

const UNSENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', connectTimeout]);
const NETWORK_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: is it running?',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host name cannot be resolved now',
  UND_ERR_SOCKET: 'the connection was cut',
  [connectTimeout]: `no connection within ${httpConnectMs} ms`,
  [stalled.head]: 'no answer in time',
  [stalled.body]: 'the answer stalled',
};

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {
    throw signal?.reason;
  });
}
