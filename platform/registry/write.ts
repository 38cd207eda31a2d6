/** Writes a reply: headers of OCI distribution 1.1, conditional and range requests of RFC 9110. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '../../core/contracts/errors.ts';
import { chooseRange, contentRange, unsatisfiedRange } from '../../core/oci/range.ts';
import { allowedMethods } from '../../core/oci/request.ts';
import { errorBody } from '../http/server.ts';
import { hasBody, linger } from './body.ts';
import { type PumpResult, pump } from './pump.ts';
import type { Content, Headers, OciReply } from './reply.ts';
import type { SlowReaders } from './slow.ts';

/** Where a reply goes. `headers` are those that the server sets on every answer. */
export type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: Headers;
  readonly slow: SlowReaders;
  /** Who asks (client.ts). */
  readonly client: string;
  readonly lingerMs: number;
};

const VERSION: Headers = { 'docker-distribution-api-version': 'registry/2.0' };
/** Content under a digest never changes. */
const immutable = 'max-age=31536000, immutable';
const retryAfterS = '1';

const SENT: PumpResult = { kind: 'sent' };

/** Throws the ApiError of a source that fails before its first byte: nothing is written then. */
export async function writeReply(reply: OciReply, exchange: Exchange): Promise<PumpResult> {
  switch (reply.kind) {
    case 'empty':
      await finish(exchange, { status: reply.status, headers: { 'content-length': '0', ...reply.headers } });
      return SENT;
    case 'json': {
      const headers = { 'content-type': 'application/json; charset=utf-8', ...reply.headers };
      await finish(exchange, { status: 200, headers, body: Buffer.from(JSON.stringify(reply.value)) });
      return SENT;
    }
    case 'error': {
      const { error } = reply;
      const headers = { 'content-type': 'application/json; charset=utf-8', ...errorHeaders(error), ...reply.headers };
      await finish(exchange, { status: error.status, headers, body: Buffer.from(JSON.stringify(errorBody(error))) });
      return SENT;
    }
    case 'content':
      return writeContent(reply.content, exchange);
  }
}

function errorHeaders(error: ApiError): Headers {
  const allow = allowedMethods(error);
  if (allow !== undefined) return { allow: allow.join(', ') };
  return error.code === 'UNAVAILABLE' || error.code === 'TOOMANYREQUESTS' ? { 'retry-after': retryAfterS } : {};
}

async function writeContent(content: Content, exchange: Exchange): Promise<PumpResult> {
  const { request } = exchange;
  const etag = `"${content.digest}"`;
  const common = { etag, 'docker-content-digest': content.digest, 'cache-control': immutable };
  if (matches(request.headers['if-none-match'], etag)) {
    await finish(exchange, { status: 304, headers: common });
    return SENT;
  }
  const full = {
    ...common,
    'content-type': content.mediaType,
    ...(content.ranges ? { 'accept-ranges': 'bytes' } : {}),
  };
  const range = chooseRange(content.ranges ? wantedRange(request, etag) : undefined, content.size);
  switch (range.kind) {
    case 'unsatisfiable': {
      const error = new ApiError('RANGE_INVALID', `the range lies outside of the blob's ${content.size} bytes`);
      return writeReply(
        { kind: 'error', error, headers: { 'content-range': unsatisfiedRange(content.size) } },
        exchange,
      );
    }
    case 'whole':
      return send(content, exchange, { status: 200, headers: full, start: 0, end: content.size });
    case 'part': {
      const headers = { ...full, 'content-range': contentRange(range, content.size) };
      return send(content, exchange, { status: 206, headers, start: range.start, end: range.end });
    }
  }
}

type Part = { readonly status: number; readonly headers: Headers; readonly start: number; readonly end: number };

async function send(content: Content, exchange: Exchange, part: Part): Promise<PumpResult> {
  const { request, response } = exchange;
  const length = part.end - part.start;
  const headers = { ...VERSION, ...exchange.headers, ...part.headers, 'content-length': String(length) };
  if (request.method === 'HEAD' || length === 0) {
    response.writeHead(part.status, headers).end();
    return SENT;
  }
  const head = (): void => void response.writeHead(part.status, headers);
  const open = (from: number) => content.open(part.start + from, part.end);
  const { slow, client } = exchange;
  return pump(open, response, { length, slow, client, head });
}

/** Ends the exchange; a client that is still sending is heard out first, so that it reads the answer. */
export async function finish(
  exchange: Omit<Exchange, 'slow' | 'client'>,
  { status, headers, body }: { status: number; headers?: Headers | undefined; body?: Buffer | undefined },
): Promise<void> {
  const { request, response } = exchange;
  const sized = body === undefined ? headers : { ...headers, 'content-length': String(body.length) };
  const all = { ...VERSION, ...exchange.headers, ...sized };
  if (request.complete || !hasBody(request)) {
    response.writeHead(status, all).end(request.method === 'HEAD' ? undefined : body);
    return;
  }
  response.writeHead(status, { ...all, connection: 'close' });
  if (body === undefined) response.flushHeaders();
  else response.write(body);
  await linger(request, exchange.lingerMs);
  response.end();
}

/** If-Range with another ETag (or a date) asks for the whole. */
function wantedRange(request: IncomingMessage, etag: string): string | undefined {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === etag ? request.headers.range : undefined;
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '') === etag);
}
