/**
 * Rules over several values of a configuration, part of its schema: so whatever a start would refuse of the
 * configuration alone, `shoal config check` refuses, in the same words.
 *
 * Rule 1: a rule says which values it reads, and holds its tongue while one of them is wrong in itself; all others
 *         still speak, so that everything is named at once.
 * Rule 2: a rule is broken by values that somebody wrote. The line is that of the first of its values that is written.
 */

import type * as z from 'zod';
import type { DoorPlace, Endpoint } from '../net/net.ts';
import { type Listens, placesListened } from './listen.ts';

export type Rule<C> = {
  /** The value that is named where the rule is broken: `push.required`. */
  readonly at: string;
  /** Others that it reads. */
  readonly of: readonly string[];
  /** What is wrong with `at`, and what to do; undefined: nothing. */
  readonly problem: (config: C) => string | undefined;
};

type RuleParams = { readonly places: readonly string[] };

/** The schema, with these rules for what it gives. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  return rules.reduce((checked, rule) => withRule(checked, rule), schema);
}

function withRule<S extends z.ZodType>(schema: S, { at, of, problem }: Rule<z.output<S>>): S {
  const places = [at, ...of];
  const params: RuleParams = { places };
  return schema.refine((config) => problem(config) === undefined, {
    path: at.split('.'),
    error: (issue) => problem(issue.input as z.output<S>) ?? '',
    params,
    when: ({ issues }) => !issues.some((issue) => places.some((place) => concerns(issue, place))),
  });
}

/** Of an issue that comes from a rule: where its line may stand, the best place first. */
export function placesOf(issue: z.core.$ZodRawIssue | z.core.$ZodIssue): readonly string[] | undefined {
  return issue.code === 'custom' ? (issue['params'] as RuleParams | undefined)?.places : undefined;
}

/** Whether the issue is with `place`, or with something above or below it. */
function concerns(issue: z.core.$ZodRawIssue, place: string): boolean {
  // An unknown key is no value, and that another rule is broken is no reason to be silent about this one.
  if (issue.code === 'unrecognized_keys' || placesOf(issue) !== undefined) return false;
  const wrong = (issue.path ?? []).map(String);
  const parts = place.split('.');
  return parts.every((part, i) => i >= wrong.length || wrong[i] === part);
}

/** The value at `path` of what a schema gave. */
function at(config: unknown, path: string): unknown {
  return path.split('.').reduce((value, key) => (value as Record<string, unknown> | undefined)?.[key], config);
}

/** Two places to listen on must not be the same one. Port 0 is whichever is free. */
export function portsApart<C>(...listens: readonly string[]): Rule<C>[] {
  return listens.flatMap((later, i) =>
    listens.slice(0, i).map((earlier): Rule<C> => {
      const of = [`${earlier}.port`, `${later}.host`, `${earlier}.host`];
      return { at: `${later}.port`, of, problem: (config) => sharedPort(config, earlier, later) };
    }),
  );
}

function sharedPort(config: unknown, earlier: string, later: string): string | undefined {
  const [first, second] = [placesAt(config, earlier), placesAt(config, later)];
  for (const one of first)
    for (const other of second) {
      const shared = sharedPlace(one, other);
      if (shared !== undefined) return `${shared} of \`${earlier}\`: give each its own`;
    }
  return undefined;
}

function sharedPlace(one: DoorPlace, other: DoorPlace): string | undefined {
  if ('socket' in one || 'socket' in other)
    return 'socket' in one && 'socket' in other && one.socket === other.socket
      ? `unix:${one.socket} is also a socket`
      : undefined;
  if (one.port !== other.port || one.port === 0 || !overlap(one.host, other.host)) return undefined;
  return `${one.port} is also the port`;
}

/** All that the listener at `path` listens on. One that is not there listens on nothing. */
function placesAt(config: unknown, path: string): readonly DoorPlace[] {
  const found = at(config, path) as Listens | undefined;
  return found === undefined ? [] : placesListened(found);
}

const everyAddress = ['0.0.0.0', '::'];
const loopback = ['localhost', '127.0.0.1', '::1'];

function overlap(a: string, b: string): boolean {
  if (a === b || a === '::' || b === '::') return true;
  const [v4, v6] = [a, b].map((host) => !host.includes(':') || host === 'localhost') as [boolean, boolean];
  if (a === '0.0.0.0' || b === '0.0.0.0') return v4 && v6;
  return (a === 'localhost' || b === 'localhost') && loopback.includes(a) && loopback.includes(b);
}

/** A component that this one calls is not itself. `urls`: the path of one URL, or of a list. */
export function elsewhere<C>(urls: string, ...listens: readonly string[]): Rule<C> {
  const of = listens.flatMap((listen) => [`${listen}.port`, `${listen}.host`]);
  const problem = (config: C): string | undefined => {
    const named = [at(config, urls)].flat() as string[];
    const own = listens.flatMap((listen) =>
      placesAt(config, listen).flatMap((where) => ('port' in where ? [{ listen, where }] : [])),
    );
    for (const url of named) {
      const found = own.find(({ where }) => isHere(url, where));
      if (found !== undefined) return `${url} is where this process listens itself (\`${found.listen}\`)`;
    }
    return undefined;
  };
  return { at: urls, of, problem };
}

function isHere(url: string, { host, port }: Endpoint): boolean {
  const { hostname, port: named, protocol } = new URL(url);
  if (port === 0 || Number(named || (protocol === 'https:' ? 443 : 80)) !== port) return false;
  const called = hostname.replace(/^\[|\]$/g, '');
  if (called === host) return true;
  return loopback.includes(called) && (loopback.includes(host) || everyAddress.includes(host));
}
