/**
 * Values that are nobody's business: read from files of their own, and never said in a message.
 *
 * Rule 1: a problem with a secret names its file, and no part of what is in it.
 * Rule 2: what is a secret tells the place that it comes from (a file of secrets), the name of its key (`password`), or its
 *         form (the password within a URL).
 */

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Problems, Tree, WrittenAt } from './yaml.ts';

/** Of a key or a token; the largest have a few thousand. */
const secretBytesMax = 16 * 1024;
/** Shorter ones would be found in every word. */
const hiddenCharactersMin = 3;
const shown = '(secret)';

/** Keys whose values are secrets, wherever they stand. */
const secretKey =
  /(password|passphrase|secret|token|accesskey|accountkey|sharedkey|privatekey|sas|authorization|connectionstring|auth)s?$/i;
/** The form that a message shows, USER:PASSWORD, is no secret. */
const userOfUrl = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):(?!PASSWORD@)[^\s/@"]+@/gi;

/** Files of secrets as they are read, each relative to the directory of the file that names it. */
export class SecretFiles {
  readonly files: string[] = [];
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  /** The text of the file, without the line end that editors leave there; undefined: the problem has been named. */
  read(dir: string, path: string, place: WrittenAt): string | undefined {
    const file = resolve(dir, path);
    this.files.push(file);
    const text = this.#textOf(file);
    if (typeof text !== 'string') {
      this.#problems.errors.push(`${place}: the file ${file} of a secret ${text.why}`);
      return undefined;
    }
    return text;
  }

  #textOf(file: string): string | { readonly why: string } {
    try {
      // A pipe would be waited for; a device has no end.
      if (!statSync(file).isFile()) return { why: 'is no file' };
      const bytes = readFileSync(file);
      if (bytes.length > secretBytesMax) return { why: `has more than ${secretBytesMax} bytes` };
      const text = bytes.toString('utf8').replace(/\r?\n$/, '');
      if (text === '') return { why: 'is empty' };
      return text.includes('\0') ? { why: 'has bytes that are no text' } : text;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { why: code === 'ENOENT' ? 'is not there' : `cannot be read (${code})` };
    }
  }
}

/** All of it is secret. */
export function secretTree(tree: Tree): Tree {
  const { place, value } = tree;
  if (value instanceof Map)
    return { place, value: new Map([...value].map(([key, child]) => [key, secretTree(child)])) };
  if (Array.isArray(value)) return { place, value: value.map((child: Tree) => secretTree(child)) };
  return { place, value, secret: true };
}

/** Whether a value there may be said. `path`: the keys that lead to it. */
export function isSecret(path: readonly PropertyKey[], tree: Tree | undefined): boolean {
  if (tree?.secret === true) return true;
  const name = path.findLast((key) => !/^\d+$/.test(String(key)));
  return (name !== undefined && secretKey.test(String(name))) || path.includes('headers');
}

/** That of a URL, as it is written and as it is meant. */
function passwordOf(text: string, into: Set<string>): void {
  const password = URL.parse(text)?.password ?? '';
  if (password === '') return;
  into.add(password);
  into.add(decoded(password));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Of a signature's query, of a connection's text: what is worth keeping, which may be sent in another order. */
function partsOf(secret: string): string[] {
  return [...secret.matchAll(/=([^&;\s]{16,})/g)].map(([, part]) => part as string);
}

/** `line` without any secret of the tree. */
export function hidden(line: string, secrets: readonly string[]): string {
  const without = secrets.reduce((text, secret) => text.replaceAll(secret, shown), line);
  return without.replace(userOfUrl, `$1:${shown}@`);
}

/** The values that no message may say, the longest first; in quotes as well, as messages have them. */
export function secretsIn(tree: Tree, path: readonly string[] = []): string[] {
  const found = new Set<string>();
  gather(tree, path, found);
  return [...found].filter((text) => text.length >= hiddenCharactersMin).sort((a, b) => b.length - a.length);
}

function gather(tree: Tree, path: readonly string[], into: Set<string>): void {
  const { value } = tree;
  if (value instanceof Map)
    for (const [key, child] of value as ReadonlyMap<string, Tree>) gather(child, [...path, key], into);
  else if (Array.isArray(value))
    for (const [i, child] of (value as readonly Tree[]).entries()) gather(child, [...path, `${i}`], into);
  else if (value !== null && typeof value !== 'boolean' && isSecret(path, tree)) {
    into.add(String(value));
    for (const part of partsOf(String(value))) into.add(part).add(decoded(part));
    into.add(JSON.stringify(String(value)).slice(1, -1));
  } else if (typeof value === 'string') passwordOf(value, into);
}
