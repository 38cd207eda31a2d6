/**
 * Who asks, until when, and as part of what: goes with every call, from the edge where it began to its last hop.
 *
 * Rule 1: it is begun here (`begin`), or read off a request (`received`), and derived by the methods below. Nobody
 *         copies fields: whoever did would lose the next one that is added. A literal does not compile.
 * Rule 2: work that goes on after the request, or that others wait for as well, is `detached`: its caller's leaving,
 *         and its caller's deadline, end nothing of it.
 * Rule 3: each call that is sent is a span of its own; what is not ours to judge (flags, tracestate) is passed on.
 */

import { randomUUID } from 'node:crypto';
import type { VerifiedCaller } from '../../core/access/identity.ts';
import {
  CALL_HEADERS,
  type Caller,
  callerIn,
  deadlineIn,
  requestIdIn,
  type Trace,
  traceparentIn,
  traceparentOf,
  tracestateIn,
} from '../../core/contracts/call.ts';
import { ApiError } from '../../core/contracts/errors.ts';

/** Nobody records what begins here, as far as we know. */
const unrecorded = '00';

type Fields = {
  readonly requestId: string;
  /** undefined: nothing ends it. */
  readonly signal: AbortSignal | undefined;
  readonly caller: Caller | undefined;
  /** The process that calls, where it showed a certificate. */
  readonly from: VerifiedCaller | undefined;
  /** By performance.now(); infinity: none. */
  readonly deadlineMs: number;
  readonly trace: Trace;
};

type Received = {
  /** Aborted when whoever asks has gone. */
  readonly signal: AbortSignal;
  /** Whether the other side is believed when it says for whom it calls. */
  readonly believed: boolean;
  readonly from?: VerifiedCaller | undefined;
};

export class CallContext {
  readonly #fields: Fields;
  #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(fields: Fields) {
    this.#fields = fields;
  }

  /** A call of this process's own. */
  static begin(of: { requestId?: string; signal?: AbortSignal; caller?: Caller } = {}): CallContext {
    const { requestId = randomUUID(), signal, caller } = of;
    const deadlineMs = Number.POSITIVE_INFINITY;
    return new CallContext({ requestId, signal, caller, from: undefined, deadlineMs, trace: traceOf({}) });
  }

  /** What a request's headers say; what they leave out is made here. */
  static received(headers: Readonly<Record<string, unknown>>, { signal, believed, from }: Received): CallContext {
    const leftMs = deadlineIn(headers[CALL_HEADERS.deadline]);
    return new CallContext({
      requestId: requestIdIn(headers[CALL_HEADERS.requestId]) ?? randomUUID(),
      signal,
      caller: believed ? callerIn(headers[CALL_HEADERS.client]) : undefined,
      from,
      deadlineMs: leftMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + leftMs,
      trace: traceOf(headers),
    });
  }

  /** The headers of one call that is made for this. */
  sent(): Record<string, string> {
    const { requestId, caller, deadlineMs, trace } = this.#fields;
    const headers: Record<string, string> = {
      [CALL_HEADERS.requestId]: requestId,
      [CALL_HEADERS.traceparent]: traceparentOf(trace, drawSpanId()),
    };
    if (trace.state !== undefined) headers[CALL_HEADERS.tracestate] = trace.state;
    if (caller !== undefined) headers[CALL_HEADERS.client] = caller.name;
    if (deadlineMs !== Number.POSITIVE_INFINITY)
      headers[CALL_HEADERS.deadline] = String(Math.max(0, Math.ceil(this.leftMs)));
    return headers;
  }

  /** What the answer says: which request it answers. */
  answered(): Record<string, string> {
    return { [CALL_HEADERS.requestId]: this.#fields.requestId };
  }

  get requestId(): string {
    return this.#fields.requestId;
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal(): AbortSignal {
    // Made when it is asked for: whatever waits for its turn for long may be many.
    this.#signal ??= this.#fields.signal ?? new AbortController().signal;
    return this.#signal;
  }

  get caller(): Caller | undefined {
    return this.#fields.caller;
  }

  /** Which process calls, as its certificate says; undefined: it showed none, or certificates are off. */
  get from(): VerifiedCaller | undefined {
    return this.#fields.from;
  }

  /** Until the deadline; infinity where there is none. */
  get leftMs(): number {
    return this.#fields.deadlineMs - performance.now();
  }

  /** For log lines. */
  get ids(): { requestId: string; traceId: string; spanId: string; parentId?: string } {
    const { requestId, trace } = this.#fields;
    const { traceId, spanId, parentId } = trace;
    return parentId === undefined ? { requestId, traceId, spanId } : { requestId, traceId, spanId, parentId };
  }

  /** On behalf of `caller`, as the edge found out. */
  by(caller: Caller): CallContext {
    return new CallContext({ ...this.#fields, caller });
  }

  /** Also ended by `signal`. */
  withSignal(signal: AbortSignal): CallContext {
    return new CallContext({ ...this.#fields, signal: this.#orAlso(signal) });
  }

  /**
   * To be answered within `ms`, unless the deadline is sooner: then it is aborted with UNAVAILABLE. What is disposed of
   * before leaves no timer behind.
   */
  within(ms: number): CallContext {
    const { deadlineMs } = this.#fields;
    const limit = new AbortController();
    const untilMs = Math.min(deadlineMs, performance.now() + ms);
    const made = new CallContext({ ...this.#fields, deadlineMs: untilMs, signal: this.#orAlso(limit.signal) });
    const late = (): void => limit.abort(tooLate(ms));
    made.#timer = setTimeout(late, Math.max(0, untilMs - performance.now()));
    made.#timer.unref();
    return made;
  }

  /** For work that outlives the request, or is shared: the same request and trace, without its signal and deadline. */
  detached(): CallContext {
    return new CallContext({ ...this.#fields, signal: undefined, deadlineMs: Number.POSITIVE_INFINITY });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #orAlso(signal: AbortSignal): AbortSignal {
    return this.#fields.signal === undefined ? signal : AbortSignal.any([this.#fields.signal, signal]);
  }
}

/** What the answer to a request says that is given no context: as `answered`, name and value. */
export function answeredOf(headers: Readonly<Record<string, unknown>>): readonly [name: string, id: string] {
  return [CALL_HEADERS.requestId, requestIdIn(headers[CALL_HEADERS.requestId]) ?? randomUUID()];
}

/** Whether a request comes when nobody waits for its answer any more. */
export function deadlineIsOver(headers: Readonly<Record<string, unknown>>): boolean {
  return deadlineIn(headers[CALL_HEADERS.deadline]) === 0;
}

/** What a call ends with whose time is over. */
export function tooLate(ms: number): ApiError {
  return new ApiError('UNAVAILABLE', `there was no answer within ${Math.round(ms)} ms`);
}

function traceOf(headers: Readonly<Record<string, unknown>>): Trace {
  const spanId = drawSpanId();
  const from = traceparentIn(headers[CALL_HEADERS.traceparent]);
  if (from === undefined)
    return { traceId: drawTraceId(), spanId, parentId: undefined, flags: unrecorded, state: undefined };
  const state = tracestateIn(headers[CALL_HEADERS.tracestate]);
  return { traceId: from.traceId, spanId, parentId: from.spanId, flags: from.flags, state };
}

/** Of UUIDs, since Node draws those in bulk: bytes of their own would cost a call of the kernel's each time. */
function drawTraceId(): string {
  return randomUUID().replaceAll('-', '');
}

/** Its first and last eight digits, which are all random: the version and the variant lie between. */
function drawSpanId(): string {
  const id = randomUUID();
  return id.slice(0, 8) + id.slice(-8);
}
