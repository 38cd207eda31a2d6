/** Reads a source tree as text for the tidy rules: files, the code in them without comments, what they import. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';

/** One source file: its path from the root, with '/', and its text. */
export type Source = { readonly path: string; readonly text: string };

/** A reference from one file to another file of the tree, or to a package or a Node module (`to` has no slash rule). */
export type Reference = {
  readonly from: string;
  readonly to: string;
  /** 'import' runs in the same thread; 'url' names an entry of another process or thread. */
  readonly kind: 'import' | 'url';
  readonly inTree: boolean;
};

const SKIPPED = new Set(['node_modules', '.git', 'dist', 'coverage']);

/** Every TypeScript and JavaScript file under `root`. */
export function readTree(root: string): Source[] {
  const found: Source[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) walk(path);
      else if (/\.[tj]s$/.test(entry.name))
        found.push({ path: relative(root, path), text: readFileSync(path, 'utf8') });
    }
  };
  walk(root);
  return found;
}

/** The text with comments blanked, line for line. Strings stay: the rules below look for identifiers that no string has. */
export function withoutComments(text: string): string {
  let inBlock = false;
  return text
    .split('\n')
    .map((line) => {
      const trimmed = line.trimStart();
      if (inBlock) {
        inBlock = !trimmed.includes('*/');
        return '';
      }
      if (trimmed.startsWith('/*')) {
        inBlock = !trimmed.includes('*/');
        return '';
      }
      return trimmed.startsWith('//') ? '' : line.replace(/\s\/\/\s.*$/, '');
    })
    .join('\n');
}

const IMPORT = /\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g;
const URL_OF = /\b(?:entryUrl|new URL)\(\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g;

/** What a file imports, and the entries that it names by URL. */
export function references(source: Source): Reference[] {
  const code = withoutComments(source.text);
  const resolve = (kind: Reference['kind'], specifier: string): Reference => {
    const inTree = specifier.startsWith('.');
    const to = inTree ? posix.normalize(posix.join(posix.dirname(source.path), specifier)) : specifier;
    return { from: source.path, to, kind, inTree };
  };
  return [
    ...[...code.matchAll(IMPORT)].map((match) => resolve('import', match[2] ?? '')),
    ...[...code.matchAll(URL_OF)].map((match) => resolve('url', match[2] ?? '')),
  ];
}
