/**
 * The call context of a request: made once, as the first thing that happens to it, and asked for by its handler; and
 * whom it comes from, for limits that are per client.
 *
 * Rule 1: its signal is aborted when whoever asks has gone before the answer was complete, or its deadline is over.
 * Rule 2: a request whose deadline is over when it comes is answered at once: nobody waits for more.
 * Rule 3: an address that somebody claims counts only where who claims it is trusted to know.
 * Rule 4: whoever has one address of an IPv6 network has all of its /64: they are one client.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { BlockList, isIP, type Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { VerifiedCaller } from '../../core/access/identity.ts';
import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { CallContext, tooLate } from '../clients/context.ts';

type Begun = { readonly call: CallContext; readonly gone: AbortController; left: boolean };

const begun = new WeakMap<IncomingMessage, Begun>();

/** `believed`: whether the other side may say for whom it calls. `from`: who that is, by its certificate. */
export function receiveCall(
  request: IncomingMessage,
  { believed, from }: { readonly believed: boolean; readonly from?: VerifiedCaller | undefined },
): CallContext {
  const gone = new AbortController();
  const call = CallContext.received(request.headers, { signal: gone.signal, believed, from });
  begun.set(request, { call, gone, left: false });
  return call;
}

/** Ends the call with its client, or its deadline. The error: it is over already. */
export function watchCall(request: IncomingMessage, response: ServerResponse): ApiError | undefined {
  const now = beginning(request);
  const { call, gone } = now;
  const { leftMs } = call;
  const bounded = leftMs !== Number.POSITIVE_INFINITY;
  if (bounded && leftMs <= 0) return tooLate(0);
  const timer = bounded ? setTimeout(() => gone.abort(tooLate(leftMs)), leftMs) : undefined;
  response.once('close', () => {
    clearTimeout(timer);
    if (response.writableFinished) return;
    now.left = true;
    gone.abort(new ApiError('REQUEST_INVALID', 'the client closed the connection'));
  });
  return undefined;
}

/** For the lines that are logged of it. */
export function idsOf(request: IncomingMessage): CallContext['ids'] {
  return beginning(request).call.ids;
}

/** The call that this request is, of an app that createHttp made. */
export function callOf(request: FastifyRequest): CallContext {
  return beginning(request.raw).call;
}

/** Whether whoever asked has gone, and no answer is of any use. */
export function hasLeft(request: FastifyRequest): boolean {
  return beginning(request.raw).left;
}

/** Nobody of ours sends a second request before the first is answered; some clients of others send a few. */
const pipelinedMax = 32;

export type InFlightLimits = {
  /** Requests of one client that are not answered yet. */
  readonly perClientMax: number;
  /** Who may say for whom it asks. */
  readonly trusted: Trusted;
};

/** Requests that are not answered yet, by client and by connection. */
export class InFlight {
  readonly #limits: InFlightLimits;
  readonly #clients = new Map<string, number>();
  readonly #held = new WeakMap<Socket, Map<string, number>>();

  constructor(limits: InFlightLimits = { perClientMax: Number.POSITIVE_INFINITY, trusted: trustedOf([]) }) {
    this.#limits = limits;
  }

  /** Counts it until its answer is over, or its connection. The error: there are too many. */
  take(request: IncomingMessage, response: ServerResponse): ApiError | undefined {
    const { perClientMax, trusted } = this.#limits;
    const { socket } = request;
    const held = this.#heldBy(socket);
    const client = clientOf(request, trusted);
    if ([...held.values()].reduce((sum, count) => sum + count, 0) >= pipelinedMax) {
      socket.destroy();
      return new ApiError('TOOMANYREQUESTS', `more than ${pipelinedMax} requests wait on one connection`);
    }
    if ((this.#clients.get(client) ?? 0) >= perClientMax)
      return new ApiError('TOOMANYREQUESTS', `${perClientMax} requests of ${client} are not answered yet`);
    count(held, client, 1);
    count(this.#clients, client, 1);
    response.once('close', () => {
      if (!held.has(client)) return;
      count(held, client, -1);
      count(this.#clients, client, -1);
    });
    return undefined;
  }

  /** Answers that wait behind others are told nothing where their connection ends. */
  #heldBy(socket: Socket): Map<string, number> {
    const known = this.#held.get(socket);
    if (known !== undefined) return known;
    const held = new Map<string, number>();
    this.#held.set(socket, held);
    socket.once('close', () => {
      for (const [client, number] of held) count(this.#clients, client, -number);
      held.clear();
    });
    return held;
  }
}

function count(map: Map<string, number>, key: string, by: number): void {
  const now = (map.get(key) ?? 0) + by;
  if (now === 0) map.delete(key);
  else map.set(key, now);
}

function beginning(request: IncomingMessage): Begun {
  const found = begun.get(request);
  assert(found !== undefined, 'http: a request that was not received');
  return found;
}

export type Trusted = BlockList;

/** `addresses`: of proxies, or networks of them, as 10.0.0.0/8. */
export function trustedOf(addresses: readonly string[]): Trusted {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = '', bits] = one.split('/');
    if (bits === undefined) list.addAddress(address, family(address));
    else list.addSubnet(address, Number(bits), family(address));
  }
  return list;
}

/** Of a request: who sent it, and for whom, as that one says. */
type Forwarded = Pick<IncomingMessage, 'headers'> & { readonly socket: Pick<Socket, 'remoteAddress'> };

/** The nearest address that no trusted proxy has. */
export function clientOf(request: Forwarded, trusted: Trusted): string {
  const forwarded = request.headers['x-forwarded-for'];
  const hops = (Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? '')).split(',');
  let client = plain(request.socket.remoteAddress ?? '');
  while (isIP(client) !== 0 && trusted.check(client, family(client))) {
    const before = plain(hops.pop()?.trim() ?? '');
    if (isIP(before) === 0) break;
    client = before;
  }
  return isIP(client) === 6 ? network(client) : client;
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** IPv4 as it is; without brackets, port, and zone. */
function plain(address: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(address) ?? [];
  const bare = (bracketed ?? address).split('%', 1)[0] as string;
  const [, mapped, withPort] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(:\d+)?$/i.exec(bare) ?? [];
  return mapped === undefined || (withPort !== undefined && bare.startsWith(':')) ? bare : mapped;
}

/** The first 64 bits of an IPv6 address. */
function network(address: string): string {
  const [head = '', tail] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...first, ...new Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0'), ...last];
  const numbers = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${numbers.join(':')}::/64`;
}
