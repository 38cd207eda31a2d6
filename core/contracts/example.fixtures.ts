/** A request and an answer of one route, for tests: as a caller sends it, as a server answers. */

import type { Route } from './route.ts';

type Example<A, B, R> = {
  readonly route: Route<A, B, R>;
  readonly at: A;
  readonly body: B;
  readonly reply: R;
  /** Fields that read anything, by their last name: a flag that is not set, a failure of one of many. */
  readonly lenient: readonly string[];
};
export type AnyExample = Example<unknown, unknown, unknown>;

/** One whose types are checked against each other, and then forgotten. */
export function example<A, B, R>(
  route: Route<A, B, R>,
  at: A,
  { body, reply, lenient = [] }: { body?: B; reply?: R; lenient?: string[] } = {},
): AnyExample {
  return { route, at, body, reply, lenient } as AnyExample;
}
