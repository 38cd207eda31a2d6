/**
 * A route of an HTTP interface as one value: caller and server build paths and read parameters, bodies and answers with
 * it, so that neither knows more, or less, than the other.
 *
 * Rule 1: the server refuses what it cannot read with an ApiError that names the field; so does the caller with an answer.
 * Rule 2: nothing outside of core/contracts writes a path by hand (test/tidy.test.ts).
 */

import { ApiError, type ErrorCode } from './errors.ts';
import { type Parser, parse } from './parse.ts';

export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** One part of a path. `refused`: the code where it cannot be read. */
export type Param<T> = { readonly parser: Parser<T>; readonly refused: ErrorCode };

/** `At`: what the path says, parameters and query together. `Body`, `Reply`: undefined where they are no JSON, or empty. */
export type Route<At, Body, Reply> = {
  readonly method: Method;
  /** As a router takes it: `:digest` is one part, `*` at the end all that follows. */
  readonly pattern: string;
  path(at: At): string;
  /** Whether a request for `path`, without its query, is one of this route's. */
  matches(method: string, path: string): boolean;
  /** The way back, from what a router made of a path. Throws ApiError. */
  at(params: unknown, query: unknown): At;
  /** Throws ApiError. */
  body(value: unknown): Body;
  /** Throws ApiError UNAVAILABLE; `from` is who answered. */
  reply(value: unknown, from: string): Reply;
};

type Params = Readonly<Record<string, Param<string>>>;
/** A parser alone refuses with REQUEST_INVALID. */
type Queries = Readonly<Record<string, Parser<unknown> | Param<unknown>>>;
type ValueOf<S> = S extends Param<infer T> ? T : S extends Parser<infer T> ? T : never;
type ParamValues<S> = { readonly [K in keyof S]: ValueOf<S[K]> };
/** What may be absent may be left out. */
type QueryValues<S> = {
  readonly [K in keyof S as undefined extends ValueOf<S[K]> ? never : K]: ValueOf<S[K]>;
} & { readonly [K in keyof S as undefined extends ValueOf<S[K]> ? K : never]?: ValueOf<S[K]> };

type Spec<P, Q, B, R> = {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: Parser<B>;
  /** The code of a body that cannot be read; default: REQUEST_INVALID. */
  readonly refused?: ErrorCode;
  readonly reply?: Parser<R>;
};

// biome-ignore lint/complexity/noBannedTypes: a path without parameters takes {}.
type None = {};

export function route<P extends Params = None, Q extends Queries = None, B = undefined, R = undefined>(
  method: Method,
  pattern: string,
  spec: Spec<P, Q, B, R> = {},
): Route<ParamValues<P> & QueryValues<Q>, B, R> {
  type At = ParamValues<P> & QueryValues<Q>;
  const params = Object.entries(spec.params ?? {});
  const queries = Object.entries(spec.query ?? {});
  const parts = pattern.split('/');
  return {
    method,
    pattern,
    path(at) {
      const values = at as Readonly<Record<string, unknown>>;
      const path = parts.map((part) => written(part, values)).join('/');
      const query = queries.flatMap(([key]) => (values[key] === undefined ? [] : [`${key}=${encoded(values[key])}`]));
      return query.length === 0 ? path : `${path}?${query.join('&')}`;
    },
    matches(asked, path) {
      if (asked !== method) return false;
      const given = path.split('/');
      const rest = parts.at(-1) === '*';
      if (rest ? given.length < parts.length : given.length !== parts.length) return false;
      return parts.every((part, i) => part === '*' || part.startsWith(':') || part === given[i]);
    },
    at(rawParams, rawQuery) {
      const at: Record<string, unknown> = {};
      for (const [key, { parser, refused }] of params) {
        const value = own(rawParams, key);
        at[key] = valid(parser, value, { called: `'${String(value).slice(0, shownMax)}'`, refused });
      }
      for (const [key, of] of queries) {
        const { parser, refused } = typeof of === 'function' ? { parser: of, refused: undefined } : of;
        const value = valid(parser, own(rawQuery, key), { called: `${key}=`, refused });
        if (value !== undefined) at[key] = value;
      }
      return at as At;
    },
    body(value) {
      if (spec.body === undefined) return undefined as B;
      return valid(spec.body, value, { called: 'the body', refused: spec.refused });
    },
    reply(value, from) {
      if (spec.reply === undefined) return undefined as R;
      const parsed = parse(spec.reply, value, 'it');
      if (parsed.ok) return parsed.value;
      throw new ApiError('UNAVAILABLE', `${from} answered what is no answer: ${parsed.problem}`);
    },
  };
}

/** One part of a pattern as it stands in a path. */
function written(part: string, values: Readonly<Record<string, unknown>>): string {
  if (part === '*') return String(values['*']).split('/').map(encoded).join('/');
  return part.startsWith(':') ? encoded(values[part.slice(1)]) : part;
}

/** Characters of what cannot be read that a refusal shows. */
const shownMax = 200;

/** A digest's colon stays as it is, to be read by people: RFC 3986, 3.3 allows it. */
function encoded(value: unknown): string {
  return encodeURIComponent(String(value)).replaceAll('%3A', ':');
}

function own(values: unknown, key: string): unknown {
  return Object.hasOwn(values as object, key) ? (values as Record<string, unknown>)[key] : undefined;
}

function valid<T>(
  parser: Parser<T>,
  value: unknown,
  { called, refused = 'REQUEST_INVALID' }: { readonly called: string; readonly refused?: ErrorCode | undefined },
): T {
  const parsed = parse(parser, value, called);
  if (parsed.ok) return parsed.value;
  throw new ApiError(refused, parsed.problem);
}
