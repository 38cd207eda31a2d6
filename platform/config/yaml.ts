/**
 * A YAML file as a plain tree in which every value knows the line it stands on.
 *
 * Rule 1: `${ENV}`, `${ENV:-default}` and `${file:PATH}` are expanded in scalars, after parsing, so that what comes from
 *         elsewhere can never change the structure of the file. `$${` is a literal `${`.
 * Rule 2: nothing is thrown for the content: every problem goes to the list, with its place.
 * Rule 3: a value that a file gave is a secret: it stays text, and no message says it.
 */

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parse, parseDocument, Scalar } from 'yaml';

/** Where a value was written: `file:line`, or `--set key`. */
export type WrittenAt = string;
/** `secret`: no message may say its value. */
export type Tree = { readonly place: WrittenAt; readonly value: TreeValue; readonly secret?: boolean };
export type TreeValue = string | number | boolean | null | readonly Tree[] | ReadonlyMap<string, Tree>;
export type Env = Readonly<Record<string, string | undefined>>;

export type Problems = { readonly errors: string[]; readonly warnings: string[] };

/** Where values come from that a file does not say itself. */
export type Sources = {
  readonly env: Env;
  /** The text of that file, as the configuration names it; undefined: a problem has been named. */
  readonly secret: (path: string, place: WrittenAt) => string | undefined;
};

/** How the problem of a variable that is not set begins, after its place. */
export const unsetText = 'the environment variable';
const treeDepthMax = 32;
/** Aliases may multiply a small file: a tree of more nodes is refused. */
const treeNodesMax = 20_000;

type Walk = {
  readonly file: string;
  readonly lines: LineCounter;
  readonly sources: Sources;
  readonly problems: Problems;
  nodes: number;
};

/** The tree of `text`, or undefined where it is no YAML at all. */
export function readTree(file: string, text: string, sources: Sources, problems: Problems): Tree | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  for (const error of document.errors) {
    // Some quote what stands there.
    problems.errors.push(`${file}:${lines.linePos(error.pos[0]).line}: ${error.message.replace(/: ".*$/s, '')}`);
  }
  if (document.errors.length > 0) return undefined;
  const walk: Walk = { file, lines, sources, problems, nodes: 0 };
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  return toTree(document.contents, walk, resolve, 0);
}

/** The tree of one `--set` value. */
export function setTree(place: WrittenAt, text: string, sources: Sources, problems: Problems): Tree | undefined {
  const inner: Problems = { errors: [], warnings: [] };
  const tree = readTree(place, text, sources, inner);
  for (const error of inner.errors) problems.errors.push(error.replace(/^(.*?):\d+: /, '$1: '));
  return tree === undefined ? undefined : replaced(tree, place);
}

function replaced(tree: Tree, place: WrittenAt): Tree {
  const { value } = tree;
  if (value instanceof Map)
    return { place, value: new Map([...value].map(([key, child]) => [key, replaced(child, place)])) };
  if (Array.isArray(value)) return { place, value: value.map((child) => replaced(child, place)) };
  return { ...tree, place };
}

function toTree(node: Node | null, walk: Walk, resolve: (node: unknown) => unknown, depth: number): Tree {
  const place = `${walk.file}:${node?.range ? walk.lines.linePos(node.range[0]).line : 1}`;
  walk.nodes += 1;
  if (depth > treeDepthMax || walk.nodes > treeNodesMax) {
    if (walk.nodes !== Number.POSITIVE_INFINITY) walk.problems.errors.push(`${place}: nested too deep, or too large`);
    walk.nodes = Number.POSITIVE_INFINITY;
    return { place, value: null };
  }
  const actual = resolve(node);
  if (isMap(actual)) {
    const entries = new Map<string, Tree>();
    for (const pair of actual.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : '?';
      const keyAt = (pair.key as Node).range;
      const keyPlace = keyAt ? `${walk.file}:${walk.lines.linePos(keyAt[0]).line}` : place;
      entries.set(key, { ...toTree(pair.value as Node | null, walk, resolve, depth + 1), place: keyPlace });
    }
    return { place, value: entries };
  }
  if (isSeq(actual))
    return { place, value: actual.items.map((item) => toTree(item as Node, walk, resolve, depth + 1)) };
  return isScalar(actual) ? scalarTree(actual, place, walk) : { place, value: null };
}

function scalarTree(scalar: Scalar, place: WrittenAt, { sources, problems }: Walk): Tree {
  const { value } = scalar;
  if (typeof value !== 'string')
    return { place, value: typeof value === 'number' || typeof value === 'boolean' ? value : null };
  const { text, secret } = expanded(value, place, sources, problems);
  if (secret) return { place, value: text, secret };
  if (text === value || scalar.type !== Scalar.PLAIN) return { place, value: text };
  // `port: ${PORT}` shall be a number: a plain scalar is read again, but only ever as a scalar.
  const again = parseScalar(text);
  return { place, value: typeof again === 'number' || typeof again === 'boolean' ? again : text };
}

function parseScalar(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

const fromFile = 'file:';

/** `text` with `${NAME}`, `${NAME:-default}` and `${file:PATH}` replaced. */
function expanded(
  text: string,
  place: WrittenAt,
  { env, secret: read }: Sources,
  problems: Problems,
): { readonly text: string; readonly secret: boolean } {
  let secret = false;
  const replacement = (whole: string, escaped: string, inner: string): string => {
    if (escaped !== '') return whole.slice(1);
    if (inner.startsWith(fromFile) && inner.length > fromFile.length) {
      secret = true;
      return read(inner.slice(fromFile.length), place) ?? '';
    }
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/.exec(inner);
    const name = match?.[1];
    if (name === undefined) {
      problems.errors.push(`${place}: \${${inner}} is no variable: write \${NAME}, \${NAME:-default} or \${file:PATH}`);
      return '';
    }
    const set = env[name];
    if (set !== undefined && set !== '') return set;
    if (match?.[2] !== undefined) return match[2];
    problems.errors.push(`${place}: ${unsetText} ${name} is not set: set it, or write \${${name}:-default}`);
    return '';
  };
  return { text: text.replace(/(\$?)\$\{([^}]*)\}/g, replacement), secret };
}
