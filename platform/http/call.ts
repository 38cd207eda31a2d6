/**
 * The call context of a request: made once, as the first thing that happens to it, and asked for by its handler.
 *
 * Rule 1: its signal is aborted when whoever asks has gone before the answer was complete, or its deadline is over.
 * Rule 2: a request whose deadline is over when it comes is answered at once: nobody waits for more.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { CallContext, tooLate } from '../clients/context.ts';

type Begun = { readonly call: CallContext; readonly gone: AbortController; left: boolean };

const begun = new WeakMap<IncomingMessage, Begun>();

/** `believed`: whether the other side may say for whom it calls. */
export function receiveCall(request: IncomingMessage, believed: boolean): CallContext {
  const gone = new AbortController();
  const call = CallContext.received(request.headers, { signal: gone.signal, believed });
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

function beginning(request: IncomingMessage): Begun {
  const found = begun.get(request);
  assert(found !== undefined, 'http: a request that was not received');
  return found;
}
