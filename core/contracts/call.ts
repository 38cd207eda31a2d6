/**
 * What goes with every call between processes, beside what is asked: headers, in one place for both sides.
 *
 * Rule 1: what cannot be read is as if it had not been sent: a call is made for its answer, not for its headers.
 * Rule 2: a deadline travels as what is left of it, since no two hosts have the same clock.
 */

/** Read and written by platform/clients/context.ts only. */
export const CALL_HEADERS = {
  requestId: 'x-request-id',
  /** For whom the call is made. Older origins read it as well, when an upload begins. */
  client: 'x-shoal-client',
  /** Whole milliseconds until nobody waits for the answer any more. */
  deadline: 'x-shoal-deadline',
  /** W3C Trace Context, level 1. */
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;

const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/;
/** An address, or the name of a user. */
const clientPattern = /^[\x21-\x7e]{1,128}$/;
/** A day at most: nobody waits for longer, and the number stays one that a timer takes. */
const deadlinePattern = /^\d{1,8}$/;
const traceparentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** As the standard asks of whoever passes it on; what is longer is dropped whole. */
const tracestatePattern = /^[\x20-\x7e]{1,512}$/;

/**
 * For whom a call is made. Nothing is verified yet: it is what the edge saw (an address), told on by those that are
 * believed. An identity that was verified is to be another kind of this.
 */
export type Caller = { readonly kind: 'unverified'; readonly name: string };

/** Where a call stands in its trace. `flags`: two hex digits, 01 where somebody records. */
export type Trace = {
  readonly traceId: string;
  readonly spanId: string;
  /** The span of whoever called us. */
  readonly parentId: string | undefined;
  readonly flags: string;
  readonly state: string | undefined;
};

export function requestIdIn(text: unknown): string | undefined {
  return typeof text === 'string' && requestIdPattern.test(text) ? text : undefined;
}

export function callerIn(text: unknown): Caller | undefined {
  return typeof text === 'string' && clientPattern.test(text) ? { kind: 'unverified', name: text } : undefined;
}

/** Milliseconds that are left. */
export function deadlineIn(text: unknown): number | undefined {
  return typeof text === 'string' && deadlinePattern.test(text) ? Number(text) : undefined;
}

/** The caller's place in its trace; later versions of the header may end in more than this one. */
export function traceparentIn(text: unknown): { traceId: string; spanId: string; flags: string } | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = traceparentPattern.exec(String(text)) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags };
}

export function tracestateIn(text: unknown): string | undefined {
  return typeof text === 'string' && tracestatePattern.test(text) ? text : undefined;
}

/** `spanId`: of the call that is made. */
export function traceparentOf({ traceId, flags }: Trace, spanId: string): string {
  return `00-${traceId}-${spanId}-${flags}`;
}
