/**
 * Loads a configuration file: YAML, `extends`, environment, `--set`, then the role's schema.
 *
 * Rule 1: every bad value and every unknown key is reported at once, each with `file:line`.
 * Rule 2: later wins: the extended file, the file, files of secrets, then `--set` in order. Maps merge, everything else
 *         replaces.
 * Rule 3: an empty value (`key:`) is as if the key were absent, and is warned of.
 */

import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import { neverSay } from '../telemetry/unsaid.ts';
import { placesOf } from './rules.ts';
import { hidden, isSecret, SecretFiles, secretsIn, secretTree } from './secrets.ts';
import { type Env, type Problems, readTree, type Sources, setTree, type Tree, unsetText } from './yaml.ts';

const fileBytesMax = 1024 * 1024;
const extendsMax = 16;

/** A configuration that cannot be used. `problems` has one line each; the message is all of them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

export type LoadOptions<T> = {
  readonly file: string;
  /** `key.path=value`, the value in YAML. */
  readonly sets?: readonly string[] | undefined;
  readonly env?: Env | undefined;
  /** Files that are merged over it, whose values no message says. */
  readonly secrets?: readonly string[] | undefined;
  readonly schema: z.ZodType<T>;
};
export type Loaded<T> = {
  readonly config: T;
  readonly warnings: readonly string[];
  /** All that it was read from. */
  readonly files: readonly string[];
};

/** The configuration, or a ConfigError that names everything that is wrong with it. */
export function loadConfig<T>(options: LoadOptions<T>): Loaded<T> {
  const { tree, problems, files } = gather(options);
  const secrets = secretsIn(tree);
  neverSay(...secrets);
  // What is no YAML has no keys: to name those that are missing would hide the reason.
  if (tree.value instanceof Map && tree.value.size === 0 && problems.errors.length > 0)
    throw new ConfigError(byLine(problems.errors));
  const plain = toPlain(tree, '', problems);
  const parsed = options.schema.safeParse(plain ?? {});
  if (!parsed.success) {
    // A variable that is not set has been named: what its place lacks without it says nothing more.
    const unset = new Set(problems.errors.filter((line) => line.includes(unsetText)).map(placeOfLine));
    const lines = parsed.error.issues.flatMap((issue) => issueLines(issue, tree));
    problems.errors.push(...lines.filter((line) => !unset.has(placeOfLine(line))));
  }
  if (problems.errors.length > 0 || !parsed.success)
    throw new ConfigError(byLine(problems.errors).map((line) => hidden(line, secrets)));
  return { config: parsed.data, warnings: problems.warnings.map((line) => hidden(line, secrets)), files };
}

/** `file:line` of a problem. */
function placeOfLine(line: string): string {
  return /^.*?:\d+(?=: )/.exec(line)?.[0] ?? line;
}

/** Each once: file by file as they were met, each by line, and last what stands in none. */
function byLine(errors: readonly string[]): string[] {
  const files: string[] = [];
  const placed = [...new Set(errors)].map((error) => {
    const [, file, line] = /^(.*?):(\d+): /.exec(error) ?? [];
    if (file !== undefined && !files.includes(file)) files.push(file);
    return {
      error,
      file: file === undefined ? Number.POSITIVE_INFINITY : files.indexOf(file),
      line: Number(line ?? 0),
    };
  });
  return placed.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file - b.file)).map(({ error }) => error);
}

/** Only the `role` of a file, so that the right schema can be chosen. Throws a ConfigError where it cannot be read. */
export function readRole(file: string, env: Env): string | undefined {
  const { tree, problems } = gather({ file, env });
  const role = tree.value instanceof Map ? tree.value.get('role')?.value : undefined;
  // Empty where its variable is not set, which is a problem of its own.
  if (typeof role === 'string' && role !== '') return role;
  if (problems.errors.length > 0) throw new ConfigError(problems.errors);
  return undefined;
}

/** The JSON Schema of what a user may write. */
export function jsonSchema(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

type Gathering = Pick<LoadOptions<unknown>, 'file' | 'sets' | 'env' | 'secrets'>;
type Reading = {
  readonly env: Env;
  readonly problems: Problems;
  readonly secretFiles: SecretFiles;
  readonly files: string[];
};

function gather({ file, env = {}, secrets = [], sets = [] }: Gathering): {
  tree: Tree;
  problems: Problems;
  files: readonly string[];
} {
  const problems: Problems = { errors: [], warnings: [] };
  const reading: Reading = { env, problems, secretFiles: new SecretFiles(problems), files: [] };
  let tree = readChain(file, reading);
  for (const secret of secrets) tree = merge(tree, secretLayer(secret, reading));
  for (const set of sets) tree = applySet(tree, set, { sources: sourcesIn('.', reading), problems });
  return { tree, problems, files: [...reading.files, ...reading.secretFiles.files] };
}

/** Of a file in `dir`. */
function sourcesIn(dir: string, { env, secretFiles }: Reading): Sources {
  return { env, secret: (path, place) => secretFiles.read(dir, path, place) };
}

/** A list of the configuration's takes values of a map, by number: `backends: { 0: { secretAccessKey: ... } }`. */
function secretLayer(file: string, reading: Reading): Tree {
  const { problems } = reading;
  const layer = readTree(file, readText(file, ''), sourcesIn(dirname(file), reading), problems);
  reading.files.push(resolve(file));
  if (layer?.value instanceof Map) return secretTree(layer);
  if (layer !== undefined && layer.value !== null)
    problems.errors.push(`${layer.place}: secrets are a map of key: value`);
  return { place: `${file}:1`, value: new Map() };
}

function readChain(file: string, reading: Reading): Tree {
  const { problems } = reading;
  const seen = new Map<string, string>();
  const layers: Tree[] = [];
  for (let next: { file: string; from: string } | undefined = { file, from: '' }; next !== undefined; ) {
    const path = resolve(next.file);
    const shown = next.from === '' ? file : path;
    if (seen.has(path))
      throw new ConfigError([`${next.from}: extends ${next.file}, which is extended already: a cycle`]);
    if (seen.size >= extendsMax)
      throw new ConfigError([`${next.from}: more than ${extendsMax} files extend one another`]);
    seen.set(path, shown);
    const layer = readTree(shown, readText(shown, next.from), sourcesIn(dirname(path), reading), problems);
    reading.files.push(path);
    next = undefined;
    if (layer === undefined) continue;
    if (!(layer.value instanceof Map)) {
      if (layer.value !== null) problems.errors.push(`${layer.place}: a configuration is a map of key: value`);
      continue;
    }
    const { extended, rest } = takeExtends(layer, problems);
    layers.unshift(rest);
    if (extended !== undefined) next = { file: resolve(dirname(path), extended.file), from: extended.from };
  }
  return layers.reduce(merge, { place: `${file}:1`, value: new Map() });
}

function readText(file: string, from: string): string {
  const prefix = from === '' ? '' : `${from}: extends `;
  try {
    if (statSync(file).size > fileBytesMax)
      throw new ConfigError([`${prefix}${file}: larger than 1 MiB: not a configuration`]);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'is a directory' : `cannot be read (${code})`;
    throw new ConfigError([`${prefix}${file}: ${why}`]);
  }
}

function takeExtends(layer: Tree, problems: Problems): { extended?: { file: string; from: string }; rest: Tree } {
  const entries = new Map(layer.value as ReadonlyMap<string, Tree>);
  const extended = entries.get('extends');
  if (extended === undefined) return { rest: layer };
  entries.delete('extends');
  const rest = { place: layer.place, value: entries };
  if (typeof extended.value === 'string') return { extended: { file: extended.value, from: extended.place }, rest };
  problems.errors.push(`${extended.place}: extends: expected the path of one file`);
  return { rest };
}

function merge(base: Tree, over: Tree): Tree {
  if (Array.isArray(base.value) && over.value instanceof Map && isByNumber(over.value, base.value.length)) {
    const items = [...(base.value as readonly Tree[])];
    for (const [key, child] of over.value as ReadonlyMap<string, Tree>)
      items[Number(key)] = merge(items[Number(key)] as Tree, child);
    return { place: base.place, value: items };
  }
  if (!(base.value instanceof Map) || !(over.value instanceof Map)) return over;
  const entries = new Map<string, Tree>(base.value);
  for (const [key, child] of over.value as ReadonlyMap<string, Tree>) {
    const below = entries.get(key);
    entries.set(key, below === undefined ? child : merge(below, child));
  }
  return { place: over.place, value: entries };
}

/** Whether each key is the number of an item of a list that long. */
function isByNumber(map: ReadonlyMap<string, unknown>, length: number): boolean {
  return map.size > 0 && [...map.keys()].every((key) => /^\d{1,6}$/.test(key) && Number(key) < length);
}

function applySet(
  tree: Tree,
  set: string,
  { sources, problems }: { readonly sources: Sources; readonly problems: Problems },
): Tree {
  const equals = set.indexOf('=');
  const path = set.slice(0, Math.max(equals, 0));
  if (equals < 1 || path.split('.').some((part) => part === '')) {
    problems.errors.push(`--set ${set}: expected key.path=value`);
    return tree;
  }
  const place = `--set ${path}`;
  const value = setTree(place, set.slice(equals + 1), { ...sources, env: {} }, problems);
  return value === undefined ? tree : setAt(tree, path.split('.'), { ...value, place });
}

function setAt(tree: Tree | undefined, path: readonly string[], leaf: Tree): Tree {
  const [key, ...rest] = path;
  if (key === undefined) return leaf;
  if (Array.isArray(tree?.value) && /^\d+$/.test(key) && Number(key) <= tree.value.length) {
    const items = [...(tree.value as readonly Tree[])];
    items[Number(key)] = setAt(items[Number(key)], rest, leaf);
    return { place: tree.place, value: items };
  }
  const entries = new Map(tree?.value instanceof Map ? (tree.value as ReadonlyMap<string, Tree>) : []);
  entries.set(key, setAt(entries.get(key), rest, leaf));
  return { place: tree?.place ?? leaf.place, value: entries };
}

function toPlain(tree: Tree, path: string, problems: Problems): unknown {
  const { value } = tree;
  if (value instanceof Map) {
    const plain: Record<string, unknown> = {};
    for (const [key, child] of value as ReadonlyMap<string, Tree>) {
      const at = path === '' ? key : `${path}.${key}`;
      if (key === '__proto__') problems.errors.push(`${child.place}: ${at}: unknown key`);
      else if (child.value === null) problems.warnings.push(`${child.place}: ${at}: empty, so the default is used`);
      else plain[key] = toPlain(child, at, problems);
    }
    return plain;
  }
  if (Array.isArray(value)) return value.map((child: Tree, i) => toPlain(child, `${path}.${i}`, problems));
  return value;
}

type Issue = z.core.$ZodIssue;

function issueLines(issue: Issue, tree: Tree): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return `${placeOf(tree, path)}: ${path.join('.')}: unknown key`;
    });
  }
  const meant = meantOf(issue);
  if (meant !== undefined) return meant.flatMap((one) => issueLines(one, tree));
  const path = issue.path.join('.');
  const found = valueAt(tree, issue.path);
  const shown = path === '' ? '' : `${path}: `;
  const places = placesOf(issue);
  if (places !== undefined) return [`${placeOfRule(tree, places)}: ${shown}${issue.message}`];
  if (found === undefined) return [`${placeOf(tree, issue.path)}: ${shown}is needed, and is not there`];
  const text = issueText(issue, isSecret(issue.path, found) ? 'a secret' : gotOf(found));
  return [`${placeOf(tree, issue.path)}: ${shown}${text}`];
}

/** zod's names of types, as a user calls them. */
const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/** What zod says of a value that is none of several forms, where the schema has no words of its own for it. */
const unionDefault = 'Invalid input';

/** Of several forms of a value: whether it is of another kind altogether than `issues` would have. */
const isOther = (issues: readonly Issue[]): boolean =>
  issues.some(({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_value'));

/** The value has one of several forms, and what is wrong is within that one: what is wrong. */
function meantOf(issue: Issue): Issue[] | undefined {
  if (issue.code !== 'invalid_union' || issue.message !== unionDefault) return undefined;
  const alike = issue.errors.filter((issues) => !isOther(issues));
  if (alike.length !== 1) return undefined;
  return alike[0]?.map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
}

/** The forms that it may have, as a user calls them. */
function kindsOf(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const { options } = issue as { options?: readonly unknown[] };
  const kinds = issue.errors.flatMap(([first]) => {
    if (first?.code === 'invalid_type') return [KINDS[first.expected] ?? first.expected];
    return first?.code === 'invalid_value' ? first.values.map((value) => JSON.stringify(value)) : [];
  });
  return (options?.map((value) => JSON.stringify(value)) ?? [...new Set(kinds)]).join(' or ');
}

function gotOf({ value }: Tree): string {
  return value instanceof Map ? 'a map' : Array.isArray(value) ? 'a list' : JSON.stringify(value);
}

function issueText(issue: Issue, got: string): string {
  if (issue.code === 'custom') return issue.message;
  if (issue.code === 'invalid_type') return `expected ${KINDS[issue.expected] ?? issue.expected}, got ${got}`;
  if (issue.code === 'too_small' && issue.minimum === 1 && issue.origin !== 'number') return 'must not be empty';
  if (issue.code === 'too_small') return `expected at least ${issue.minimum}, got ${got}`;
  if (issue.code === 'too_big' && issue.origin === 'string') return `expected at most ${issue.maximum} characters`;
  if (issue.code === 'too_big') return `expected at most ${issue.maximum}, got ${got}`;
  if (issue.code === 'invalid_union')
    return `${issue.message === unionDefault || 'options' in issue ? `expected ${kindsOf(issue)}` : issue.message}, got ${got}`;
  if (issue.code === 'invalid_value')
    return `expected ${issue.values.map((v) => JSON.stringify(v)).join(' or ')}, got ${got}`;
  return `${issue.message.replace(/^Invalid input: /, '').replace(/^./, (c) => c.toLowerCase())}, got ${got}`;
}

function valueAt(tree: Tree, path: readonly PropertyKey[]): Tree | undefined {
  let at: Tree | undefined = tree;
  for (const key of path) {
    const value: Tree['value'] | undefined = at?.value;
    if (value instanceof Map) at = (value as ReadonlyMap<string, Tree>).get(String(key));
    else if (Array.isArray(value)) at = (value as readonly Tree[])[Number(key)];
    else return undefined;
  }
  return at?.value === null ? undefined : at;
}

/** The place of the first of a rule's values that is written. */
function placeOfRule(tree: Tree, places: readonly string[]): string {
  const written = places.map((path) => path.split('.')).find((path) => valueAt(tree, path) !== undefined);
  return placeOf(tree, written ?? []);
}

/** The place of the value at `path`, or of what is nearest above it. */
function placeOf(tree: Tree, path: readonly PropertyKey[]): string {
  for (let length = path.length; length > 0; length--) {
    const found = valueAt(tree, path.slice(0, length));
    if (found !== undefined) return found.place;
  }
  return tree.place;
}
