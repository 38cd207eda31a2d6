/**
 * One request to a server that is not Shoal's, by Node's own client, since that goes through proxies and by authorities as
 * they are named (agents.ts); its body streams both ways.
 *
 * Rule 1: no time limit is set here, and none is Node's: a signal ends everything. What moves is told, for who watches.
 * Rule 2: a chunk of a body is its source's again once the socket has taken it.
 * Rule 3: an answer that comes before the body has gone out ends the body.
 * Rule 4: once there is an answer, or an error, nothing more is told to who watches: Node calls back for what was to go out
 *         after the connection has failed, too.
 */

import { type ClientRequest, type IncomingMessage, request as plain } from 'node:http';
import { request as secure } from 'node:https';
import type { Agents } from './agents.ts';

export type Outgoing = {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Of the answer's head; Node fails with HPE_HEADER_OVERFLOW beyond. */
  readonly headBytesMax: number;
  readonly signal: AbortSignal;
  readonly watch: OutgoingWatch;
};

/** What is waited for from now on. place: one of the connections; source: nothing of the other side's. */
export type OutgoingPhase = 'place' | 'connection' | 'sending' | 'source' | 'head';
export type OutgoingWatch = (phase: OutgoingPhase) => void;

export type Answered = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Breaks off with an error where the connection does; who stops reading closes the connection. */
  readonly body: AsyncIterable<Uint8Array>;
  drop(): void;
};

/** The connection was one that had been used before, and ended before any answer: the server may have closed it idle. */
export const staleConnection = 'SHOAL_STALE';

export async function send(agents: Agents, out: Outgoing): Promise<Answered> {
  const { url, method, headers, headBytesMax, signal } = out;
  let over = false;
  const watch: OutgoingWatch = (phase) => {
    if (!over) out.watch(phase);
  };
  const https = url.protocol === 'https:';
  const request = (https ? secure : plain)(url, {
    method,
    headers,
    agent: https ? agents.https : agents.http,
    maxHeaderSize: headBytesMax,
    signal,
  });
  watch('place');
  const answer = answerOf(request);
  answer.catch(() => undefined);
  request.once('socket', (socket) => {
    if (request.reusedSocket || !socket.connecting) return watch('sending');
    watch('connection');
    socket.once(https ? 'secureConnect' : 'connect', () => watch('sending'));
  });
  const sent = sendBody(request, { ...out, watch }, answer);
  // An answer counts however the sending ends; of two errors, the one of the source is its own.
  const response = await Promise.race([answer, sent.then(() => answer)])
    .catch((error: unknown) => {
      request.destroy();
      throw error;
    })
    .finally(() => {
      over = true;
    });
  sent.catch(() => undefined);
  return {
    status: response.statusCode ?? 0,
    headers: joined(response.headers),
    body: response,
    drop: () => void response.destroy(),
  };
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once('response', resolve);
  request.on('error', (error: NodeJS.ErrnoException) => {
    const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
    reject(stale ? Object.assign(new Error(error.message, { cause: error }), { code: staleConnection }) : error);
  });
  request.once('close', () => reject(Object.assign(new Error('closed without an answer'), { code: 'ECONNRESET' })));
  return promise;
}

async function sendBody(request: ClientRequest, { body, watch }: Outgoing, answer: Promise<unknown>): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) {
    request.end(body, () => watch('head'));
    return;
  }
  let over = false;
  const end = (): void => {
    over = true;
  };
  const ended = answer.then(end, end);
  // Before the first byte there is a connection: a source is not read for a server that cannot be reached.
  await Promise.race([connected(request), ended]);
  watch('source');
  for await (const chunk of body) {
    if (over) return;
    watch('sending');
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    request.write(chunk, () => resolve());
    await Promise.race([taken, ended]);
    if (over) return;
    watch('source');
  }
  watch('sending');
  request.end(() => watch('head'));
}

function connected(request: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  request.once('socket', (socket) => {
    if (request.reusedSocket || !socket.connecting) resolve();
    else socket.once('connect', () => resolve());
  });
  return promise;
}

function joined(headers: IncomingMessage['headers']): Record<string, string | undefined> {
  const all: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(headers)) all[name] = Array.isArray(value) ? value.join(', ') : value;
  return all;
}
