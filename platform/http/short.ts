/**
 * The short way of a GET that is asked for thousands of times a second: answered before the router, the hooks and the call
 * context that createHttp gives every other request, which cost several times what the answer does.
 *
 * Rule 1: it gives 200 or nothing. Whatever else may come of a request (a refusal, an absence, a failure, a drain, a path
 *   or a header that takes thought) goes the usual way, with what was found out so far (`begunOf`), and is told there.
 * Rule 2: it is open only at a door that has said who may ask (`open`), and a request goes it only where the door lets it.
 * Rule 3: thousands at once hold up nothing else: so many are answered, then whatever else has come has its turn.
 * Rule 4: what the usual way tells of a request is told of these, too, in the same words: request id, access log, metrics.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Histogram } from 'prom-client';
import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Method, Route } from '../../core/contracts/route.ts';
import { answeredOf, CallContext, deadlineIsOver } from '../clients/context.ts';
import type { Logger } from '../telemetry/log.ts';
import { Portions } from './portions.ts';

/** Addresses that are kept as they were read, about 1 KB each; beyond that all are forgotten, and read again. */
const knownMax = 10_000;

/** Of a turn of the event loop: some milliseconds, after which whatever else has come has its turn. */
const servedMax = 100;

/** What the short way needs to know of the door that it is open at. */
export type ShortDoor = {
  readonly log: Logger;
  readonly seconds: Histogram<'method' | 'route' | 'status'>;
  /** Whoever may not ask, or asks while the process stops, is not let in: undefined. Else what is called at the end. */
  readonly enter: (request: IncomingMessage, route: Served, cut: () => void) => (() => void) | undefined;
  /** Whether connections are to end with their next answer. */
  readonly closing: () => boolean;
};

type Served = { readonly method: Method; readonly pattern: string };
/** `find`: undefined where it is not there. */
type Often<At, R> = { readonly route: Route<At, undefined, R>; readonly find: (at: At) => Promise<R | undefined> };
/** An address that was asked for. `text`: of what was found last, which many get who asked together. */
type Known = {
  readonly route: Served;
  readonly find: () => Promise<object | undefined>;
  found: object | undefined;
  text: string;
};
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const ways = new WeakMap<FastifyInstance, ShortWay>();

export class ShortWay {
  readonly #app: FastifyInstance;
  readonly #known = new Map<string, Known>();
  readonly #routes: ((url: string) => Known | undefined)[] = [];
  readonly #begun = new WeakMap<IncomingMessage, Promise<object | undefined>>();
  readonly #portions = new Portions(servedMax);

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  /** That of the app, made for it if need be. */
  static of(app: FastifyInstance): ShortWay {
    const way = ways.get(app) ?? new ShortWay(app);
    ways.set(app, way);
    return way;
  }

  static ifAny(app: FastifyInstance): ShortWay | undefined {
    return ways.get(app);
  }

  /** From now on requests are shown to it first. */
  open(door: ShortDoor): void {
    const { server } = this.#app;
    const [usual] = server.listeners('request') as Handler[];
    assert(usual !== undefined, 'http: a server that answers nothing');
    server.off('request', usual);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (!this.#takes(request, response, { door, usual })) usual(request, response);
    });
  }

  add<At, R extends object>({ route, find }: Often<At, R>): void {
    const parts = route.pattern.split('/');
    this.#routes.push((url) => {
      const given = url.split('/');
      if (given.length !== parts.length || !route.matches('GET', url)) return undefined;
      const params = parts.flatMap((part, i) =>
        part.startsWith(':') ? [[part.slice(1), decodeURIComponent(given[i] as string)]] : [],
      );
      const at = route.at(Object.fromEntries(params), {});
      return { route, find: async () => await find(at), found: undefined, text: '' };
    });
  }

  /** What the short way has begun to look for, of a request that goes the usual way now. */
  begunOf(request: IncomingMessage): Promise<object | undefined> | undefined {
    return this.#begun.get(request);
  }

  /** Whether the request goes this way; `usual` is called with it where it is to go the other way after all. */
  #takes(
    request: IncomingMessage,
    response: ServerResponse,
    { door, usual }: { readonly door: ShortDoor; readonly usual: Handler },
  ): boolean {
    const known = request.method === 'GET' ? this.#lookUp(request.url as string) : undefined;
    if (known === undefined || takesThought(request)) return false;
    const end = door.enter(request, known.route, () => response.destroy());
    if (end === undefined) return false;
    const beganMs = performance.now();
    let finding: Promise<object | undefined>;
    const otherwise = (): void => {
      end();
      this.#begun.set(request, finding);
      usual(request, response);
    };
    const answer = (found: object | undefined): void => {
      // Where whoever asked has gone, nobody is to be told anything.
      const there = !request.socket.destroyed;
      if (found === undefined && there) return otherwise();
      if (found !== undefined && there) send(request, response, { text: textOf(known, found), last: door.closing() });
      end();
      tell(door, request, { route: known.route, ms: performance.now() - beganMs });
    };
    this.#portions.add(() => {
      finding = known.find();
      finding.then(answer, () => (request.socket.destroyed ? answer(undefined) : otherwise()));
    });
    return true;
  }

  #lookUp(url: string): Known | undefined {
    const known = this.#known.get(url);
    if (known !== undefined || this.#routes.length === 0 || url.includes('?')) return known;
    const read = this.#read(url);
    if (read === undefined) return undefined;
    if (this.#known.size >= knownMax) this.#known.clear();
    this.#known.set(url, read);
    return read;
  }

  /** Undefined: it is none of these, or cannot be read, which the usual way says. */
  #read(url: string): Known | undefined {
    try {
      for (const read of this.#routes) {
        const known = read(url);
        if (known !== undefined) return known;
      }
      return undefined;
    } catch (error) {
      if (error instanceof ApiError || error instanceof URIError) return undefined;
      throw error;
    }
  }
}

function send(
  { headers }: IncomingMessage,
  response: ServerResponse,
  { text, last }: { readonly text: string; readonly last: boolean },
): void {
  response.writeHead(200, [
    ...answeredOf(headers),
    ...['content-type', 'application/json; charset=utf-8', 'content-length', `${Buffer.byteLength(text)}`],
    ...(last ? ['connection', 'close'] : []),
  ]);
  response.end(text);
}

function tell(
  { log, seconds }: ShortDoor,
  { headers, url }: IncomingMessage,
  { route, ms }: { readonly route: Served; readonly ms: number },
): void {
  const { method, pattern } = route;
  seconds.observe({ method, route: pattern, status: '200' }, ms / 1000);
  if (!log.isLevelEnabled('info')) return;
  const { ids } = CallContext.received(headers, { signal: never, believed: false });
  log.info({ ...ids, method, path: url, status: 200, ms: Math.round(ms) }, 'request');
}

const never = new AbortController().signal;

/** A body, or a deadline that is over. */
function takesThought({ headers }: IncomingMessage): boolean {
  return (
    headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined || deadlineIsOver(headers)
  );
}

function textOf(known: Known, found: object): string {
  if (known.found !== found) {
    known.found = found;
    known.text = JSON.stringify(found);
  }
  return known.text;
}
