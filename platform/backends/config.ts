/**
 * `backends:` of an origin's or index's configuration: rules from repositories to a backend. The first rule that matches
 * wins; where none does, blobs rest on the origins' own disks only.
 */

import * as z from 'zod';
import { repositoryPatternCovers, repositoryPatternValid } from '../../core/oci/pattern.ts';
import { duration, rate } from '../config/units.ts';
import { deletesProblems } from './deletes.ts';
import { keysInVain, keysSchema } from './keys.ts';
import type { BackendKind } from './kind.ts';
import { kindNamed, kinds } from './kinds.ts';

/** Each has a table of its own in the metrics, and a probe. */
const rulesMax = 64;
const patternsMax = 1000;
const nameLengthMax = 64;
/** More at once help no backend, and each holds memory here. */
const requestsMax = 1024;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');

const limits = z
  .strictObject({
    /** Reads, and writes, under way at once; more wait. */
    reads: z.int().min(1).max(requestsMax).prefault(16),
    writes: z.int().min(1).max(requestsMax).prefault(8),
    /** Bytes to the backend, and from it. Unset: no limit. */
    up: rate(undefined, { min: '1kB/s' }).optional(),
    down: rate(undefined, { min: '1kB/s' }).optional(),
    /** Whose limits these are: of each origin, or of all of them together, each live one getting its part. */
    of: z.enum(['origin', 'cluster']).prefault('origin'),
  })
  .prefault({});

const { settings, kindNames } = those('blobs');
const oneOf = `one of ${kindNames.join(', ')}`;

const tagsAt = z.strictObject(those('tags').settings).transform((given, ctx) => {
  const named = Object.entries(given).filter(([, said]) => said !== undefined);
  const [found] = named;
  if (found !== undefined && named.length === 1) return { kind: found[0], settings: found[1] as unknown };
  ctx.addIssue({ code: 'custom', message: `give it exactly one of ${those('tags').kindNames.join(', ')}` });
  return z.NEVER;
});

/** The kinds that may hold `what`, and what may be said of each. Those that may not are known, and refused. */
function those(what: 'blobs' | 'tags') {
  const may = ({ holds }: BackendKind): boolean => holds === 'all' || holds === what;
  const other = (name: string): string =>
    what === 'tags'
      ? `${name} holds blobs only: tags need one that is written to, and lists`
      : `${name} holds tags only: say it in the \`tags\` of a rule with another kind for its blobs`;
  const all = Object.entries(kinds).map(
    ([name, kind]) => [name, (may(kind) ? kind.schema : z.never(other(name))).optional()] as const,
  );
  return {
    settings: Object.fromEntries(all),
    kindNames: Object.keys(kinds).filter((name) => may(kindNamed(name))),
  };
}

const rule = z
  .strictObject({
    repositories: z
      .union(
        // None: it is for something else, as a bucket that an index keeps its tags in.
        [pattern, z.array(pattern).max(patternsMax)],
        'expected a pattern of repositories, or a list of them',
      )
      .prefault('**'),
    /** In messages and metrics, and what is remembered is remembered under it: do not rename one that has blobs. */
    name: z
      .string()
      .max(nameLengthMax)
      .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'expected letters, digits, and . _ - between them'),
    /** Readiness depends on it. */
    required: z.boolean().prefault(false),
    /** When a push is acknowledged: once the origins have it, with a note to write it back, or once the backend does. */
    durability: z.enum(['origins', 'backend']).prefault('origins'),
    limits,
    /** Nothing is written to it: it is read, and pushes rest on the origins' disks. */
    readOnly: z.boolean().prefault(false),
    /** Others write to it as well: nothing is ever removed from it, not even what a probe wrote. Unset: not so, for all but an import. */
    shared: z.boolean().optional(),
    /** What no repository of this cluster has any more is deleted there as well (docs/gc.md): it is this cluster's alone. */
    delete: z.boolean().prefault(false),
    /** Where links, tags and records rest, if not beside the blobs. */
    tags: tagsAt.optional(),
    /** How what lies there is called. Unset: as a Docker registry has it. */
    keys: keysSchema.optional(),
    /** A request in which no byte moves for so long has failed. */
    stall: duration('30s', { min: '1s', why: 'as a backend may pause' }),
    ...settings,
  })
  .transform((given, ctx) => {
    const { repositories, name, required, durability, limits, stall, readOnly, shared, tags, keys, ...others } = given;
    const { delete: deletes, ...rest } = others;
    const said: Readonly<Record<string, unknown>> = rest;
    const named = kindNames.filter((kind) => said[kind] !== undefined);
    const [kind] = named;
    if (kind === undefined || named.length > 1) {
      const found = kind === undefined ? 'has no backend' : `has ${named.join(' and ')}`;
      const path = named.slice(1, 2);
      ctx.addIssue({ code: 'custom', path, message: `the rule ${name} ${found}: give it exactly ${oneOf}` });
      return z.NEVER;
    }
    if ((readOnly || kindNamed(kind).readOnly) && durability === 'backend') {
      const message = readOnly
        ? 'a backend that is `readOnly` confirms no push: leave out one of the two'
        : `a backend of kind ${kind} is never written, and confirms no push: leave this out`;
      ctx.addIssue({ code: 'custom', path: ['durability'], message });
    }
    const blobs = kindNamed(kind).paths(said[kind]);
    for (const message of deletes ? deletesProblems({ kind, shared, readOnly }) : [])
      ctx.addIssue({ code: 'custom', path: ['delete'], message });
    const has = { blobs, tags: tags === undefined ? blobs : kindNamed(tags.kind).paths(tags.settings) };
    for (const { path, message } of keys === undefined ? [] : keysInVain(keys, has))
      ctx.addIssue({ code: 'custom', path, message });
    const patterns = [repositories].flat();
    for (const part of [{ kind, settings: said[kind] }, ...(tags === undefined ? [] : [tags])])
      for (const message of kindNamed(part.kind).problems(part.settings, patterns))
        ctx.addIssue({ code: 'custom', path: ['repositories'], message });
    const at = { kind, settings: said[kind], tags, keys };
    return { patterns, name, required, durability, readOnly, shared, deletes, limits, stallMs: stall, ...at };
  });

export type BackendRule = z.output<typeof rule>;

/** A rule as it was written, or what it became: a list is looked at even where one of its rules is wrong in itself. */
type Written = { readonly name?: unknown; readonly repositories?: unknown; readonly patterns?: unknown };

export const backendsShape = () =>
  z
    .array(rule)
    .max(rulesMax)
    .superRefine(
      (rules, ctx) => {
        const written: readonly Written[] = rules.map((one: unknown) => Object(one) as Written);
        for (const [i, { name }] of written.entries()) {
          const first = written.findIndex((earlier) => earlier.name === name);
          if (typeof name === 'string' && first < i) {
            const message = `${name} is the name of backends.${first} too: give each its own`;
            ctx.addIssue({ code: 'custom', path: [i, 'name'], message });
          }
          for (const { pattern, earlier, by } of neverReached(written, i)) {
            const message = `${pattern} is never reached: ${by} has ${earlier}, and the first that matches wins`;
            ctx.addIssue({ code: 'custom', path: [i], message });
          }
        }
      },
      { when: ({ value }) => Array.isArray(value) },
    )
    .prefault([]);

/** Patterns of rule `i` that an earlier rule takes everything of. */
function neverReached(rules: readonly Written[], i: number) {
  return patternsOf(rules[i]).flatMap((pattern) => {
    for (const [by, rule] of rules.slice(0, i).entries()) {
      const earlier = patternsOf(rule).find((one) => repositoryPatternCovers(one, pattern));
      if (earlier !== undefined) return { pattern, earlier, by: `backends.${by}` };
    }
    return [];
  });
}

function patternsOf({ patterns, repositories }: Written = {}): string[] {
  const all = [patterns ?? repositories].flat();
  return all.filter((one): one is string => typeof one === 'string' && repositoryPatternValid(one));
}
