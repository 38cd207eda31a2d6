/** Every route of every interface: what one side writes the other reads, and whatever else comes is refused by name. */

import { describe, expect, test } from 'vitest';
import { prng } from '../prng.ts';
import { ApiError } from './errors.ts';
import type { AnyExample } from './example.fixtures.ts';
import type { Route } from './route.ts';
import { EXAMPLES } from './routes.fixtures.ts';

const all: [string, AnyExample][] = Object.entries(EXAMPLES).flatMap(([api, examples]) =>
  Object.entries(examples).map(([route, one]): [string, AnyExample] => [`${api} ${route}`, one]),
);
const seeds = 200;
const over = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** As a router takes a path apart. */
function routed({ pattern }: Pick<Route<unknown, unknown, unknown>, 'pattern'>, path: string) {
  const url = new URL(path, 'http://x');
  const parts = url.pathname.split('/');
  const params: Record<string, string> = {};
  for (const [i, part] of pattern.split('/').entries()) {
    if (part === '*') params['*'] = decodeURIComponent(parts.splice(i, parts.length - i, '*').join('/'));
    else if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(parts[i] as string);
    else expect(parts[i]).toBe(part);
  }
  expect(parts).toHaveLength(pattern.split('/').length);
  return { params, query: Object.fromEntries(url.searchParams) };
}

/** Every place in `value`, the whole included. */
function places(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => places(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: readonly (string | number)[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[key] = replaced(copy[key], rest, by);
  return copy;
}

const junk: readonly unknown[] = [
  undefined,
  null,
  true,
  -1,
  1.5,
  Number.NaN,
  1e300,
  '',
  'x y',
  '../..',
  'sha256:',
  '\u0000',
  'ä'.repeat(5_000),
  [],
  [null],
  {},
  { toString: 1 },
  '__proto__',
  Array(60_000).fill(0),
];

/** What reading gives: the value, or the refusal. Anything else that is thrown fails the test. */
function outcome(read: () => unknown): unknown {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

describe.each(all)('%s', (_name, { route, at, body, reply, lenient }) => {
  const strict = (path: readonly (string | number)[]): boolean => !path.some((key) => lenient.includes(String(key)));

  test('what one side writes the other reads', () => {
    const { params, query } = routed(route, route.path(at));
    expect(route.at(params, query)).toEqual(at);
    expect(route.body(over(body))).toEqual(body);
    expect(route.reply(over(reply), 'x')).toEqual(reply);
  });

  test('a part of its path that is wrong is refused with its code, naming it', () => {
    const { params, query } = routed(route, route.path(at));
    for (const key of Object.keys(params)) {
      for (const wrong of ['', 'x'.repeat(2_000), undefined]) {
        const refused = outcome(() => route.at({ ...params, [key]: wrong }, query)) as ApiError;
        expect(refused).toBeInstanceOf(ApiError);
        expect(refused.status).toBe(400);
        expect(refused.code).not.toBe('REQUEST_INVALID');
        expect(refused.message.length).toBeLessThan(500);
      }
    }
    for (const key of Object.keys(query)) {
      if (lenient.includes(`?${key}`)) continue;
      const refused = outcome(() => route.at(params, { ...query, [key]: ['1', '2'] }));
      expect(refused).toMatchObject({ status: 400, message: expect.stringContaining(`${key}=`) });
    }
  });

  test.each([
    ['body', body, (value: unknown) => route.body(value)],
    ['answer', reply, (value: unknown) => route.reply(value, 'http://o1:1')],
  ] as const)('a %s with anything wrong in it is refused, and the field named', (which, right, read) => {
    if (right === undefined) return expect(read({ any: 1 })).toBeUndefined();
    let refusals = 0;
    for (const path of places(right)) {
      for (const bad of junk) {
        const found = outcome(() => read(replaced(right, path, bad)));
        if (!(found instanceof ApiError)) continue;
        refusals++;
        expect(found.message.length).toBeLessThan(500);
        expect(found.status).toBe(which === 'body' ? 400 : 503);
        if (which === 'answer') expect(found.message).toContain('http://o1:1 answered what is no answer');
        const top = path[0];
        if (typeof top === 'string') expect(found.message).toContain(top);
      }
      // No field takes everything.
      if (strict(path))
        expect(
          outcome(() => read(replaced(right, path, { toString: 1 }))),
          path.join('.'),
        ).toBeInstanceOf(ApiError);
    }
    expect(refusals).toBeGreaterThan(5 * places(right).filter(strict).length);
    return undefined;
  });

  test('whatever comes is read or refused, and what is read is within the contract', () => {
    for (let seed = 0; seed < seeds; seed++) {
      const random = prng(seed);
      const value = (depth: number): unknown => {
        const kind = random.below(depth > 3 ? 3 : 6);
        if (kind < 3) return junk[random.below(junk.length - 1)];
        if (kind === 3) return Array.from({ length: random.below(4) }, () => value(depth + 1));
        const keys = [...places(body), ...places(reply)].flat().filter((key) => typeof key === 'string');
        return Object.fromEntries(
          Array.from({ length: random.below(6) }, () => [keys[random.below(keys.length)] ?? 'x', value(depth + 1)]),
        );
      };
      const some = value(0);
      for (const read of [(it: unknown) => route.body(it), (it: unknown) => route.reply(it, 'x')]) {
        const found = outcome(() => read(some)) as { value?: unknown };
        // What was read once is read again, unchanged: it has nothing that the contract does not know.
        if ('value' in found) expect(read(over(found.value))).toEqual(over(found.value));
      }
    }
  });
});
