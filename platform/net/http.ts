/**
 * HTTP's part in the seam of the network: requests and answers with streamed bodies, over whatever dials, and servers
 * that are dialled.
 *
 * Rule 1: only this file names undici, and makes pools of connections: who calls somebody is given a Transport.
 * Rule 2: the one time limit here is that of idle connections, and that of a connection that does not come about;
 *         both are timers of Node, as all others are those of the caller (clients/limits.ts). undici's own, which no
 *         test can turn, are off.
 */

import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import type { DoorPlace, LetsIn, Listener } from './net.ts';

export type HttpCall = {
  readonly path: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | null;
  readonly signal: AbortSignal;
  /** Told once there is a connection for it, and it goes out. */
  readonly begun?: () => void;
};

export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Breaks off with an error where the connection does. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection back; one with a large body that nobody wants is closed. */
  discard(): Promise<void>;
};

/** Connections to one other side. */
export interface HttpConnections {
  /** Rejects as a socket does, with a `code`, or with the signal's reason. */
  request(call: HttpCall): Promise<HttpAnswer>;
  /** Breaks off whatever is under way. */
  destroy(): Promise<void>;
}

export interface HttpTransport {
  /** `origin`: `http://host:port`; `name`: whose address that is. Calls beyond `connections` wait for a free one. */
  to(origin: string, o: { readonly connections: number; readonly name?: string | undefined }): HttpConnections;
}

/** Where servers are reached; the other half of a transport. */
export interface HttpDoors {
  /**
   * Who dials `at` from now on is connected to `server`, which may be dialled at several. `letsIn` is not asked of who comes by
   * a file. Rejects as a Net's `listen`.
   */
  listen(server: Server, at: DoorPlace, letsIn?: LetsIn): Promise<Listener>;
}

type Made = (error: Error | null, socket: Duplex | null) => void;
/** Makes a connection; the socket may be destroyed before it is there. */
export type Dial = (to: buildConnector.Options, made: Made) => Duplex | undefined;

export const httpConnectMs = 2_000;
/** `code` of a connection that was not there by then. */
export const connectTimeout = 'CONNECT_TIMEOUT';
const keepAliveMs = 30_000;
/** Of an answer that nobody wants, so much is read so that the connection can be used again. */
const discardBytesMax = 64 * 1024;

export class DialledHttp implements HttpTransport {
  readonly #dial: Dial;

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  to(origin: string, { connections }: { readonly connections: number }): HttpConnections {
    return new Pool(origin, connections, this.#dial);
  }
}

class Pool implements HttpConnections {
  readonly #origin: string;
  readonly #agent: ToldAgent;

  constructor(origin: string, connections: number, dial: Dial) {
    this.#origin = origin;
    this.#agent = new ToldAgent({
      allowH2: false,
      connections,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: inTime(dial) as buildConnector.connector,
    });
  }

  async request(call: HttpCall): Promise<HttpAnswer> {
    const { headers: given = {}, body = null, ...rest } = call;
    const answer: Dispatcher.ResponseData = await this.#agent.request({
      origin: this.#origin,
      headers: given,
      // It reads an iterable as it is; its types only know Readable.
      body: body as Exclude<typeof body, AsyncIterable<Uint8Array>> | Readable,
      ...rest,
    });
    const headers: Record<string, string | undefined> = {};
    for (const [name, value] of Object.entries(answer.headers))
      headers[name] = Array.isArray(value) ? value.join(', ') : value;
    return {
      status: answer.statusCode,
      headers,
      body: answer.body,
      discard: () => answer.body.dump({ limit: discardBytesMax }).catch(() => undefined),
    };
  }

  destroy(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Tells of a request that goes out, which undici tells only to its handler. */
class ToldAgent extends Agent {
  override dispatch(call: Dispatcher.DispatchOptions & Pick<HttpCall, 'begun'>, handler: Dispatcher.DispatchHandler) {
    const { begun } = call;
    if (begun === undefined) return super.dispatch(call, handler);
    const start = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      begun();
      start?.(controller, context);
    };
    return super.dispatch(call, handler);
  }
}

/** `dial`, with a limit on how long it may take. */
function inTime(dial: Dial): Dial {
  return (to, made) => {
    let settled = false;
    const settle: Made = (error, connected) => {
      if (settled) return void connected?.destroy();
      settled = true;
      clearTimeout(late);
      made(error, connected);
    };
    const late = setTimeout(() => {
      settle(Object.assign(new Error(`no connection within ${httpConnectMs} ms`), { code: connectTimeout }), null);
      socket?.destroy();
    }, httpConnectMs);
    const socket = dial(to, settle);
    return socket;
  };
}

/** It gives the socket back as well, which its type does not say. */
const connect = buildConnector({ allowH2: false, timeout: 0 }) as Dial;

/** Over TCP. */
export const tcpHttp: HttpTransport = new DialledHttp(connect);

/** Over a socket of this host; who is called has any name. */
export function unixHttp(socketPath: string): HttpTransport {
  return new DialledHttp(buildConnector({ allowH2: false, timeout: 0, socketPath }) as Dial);
}

export const tcpDoors: HttpDoors = {
  async listen(server, at, letsIn) {
    const asks = 'socket' in at ? undefined : letsIn;
    const own = !server.listening && asks === undefined;
    const taking = own ? server : letting(server, asks);
    const port = await bind(taking, at);
    // Node's server looks after slow clients once it listens, as it does in effect.
    if (!own && !server.listening) server.emit('listening');
    return { port, close: () => new Promise((resolve) => taking.close(() => resolve())) };
  },
};

/** Resolves with the port; of a file 0. */
export async function bind(taking: Server, at: DoorPlace): Promise<number> {
  if ('socket' in at) {
    await (await import('./socket-file.ts')).listenOnFile(taking, at);
    return 0;
  }
  await new Promise<void>((resolve, reject) => {
    taking.once('error', reject);
    taking.listen({ host: at.host, port: at.port }, () => {
      taking.off('error', reject);
      resolve();
    });
  });
  return (taking.address() as AddressInfo).port;
}

/** Takes connections as an HTTP server of Node does, and hands on to `inner` who may connect; who may not gets no further. */
export function letting(inner: Server, letsIn: LetsIn | undefined): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (letsIn?.(socket.remoteAddress ?? '') === false) socket.destroy();
    else inner.emit('connection', socket);
  });
}
