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

/** Made, or fetched; folders that begin with a dot are tools', or a test's that runs beside this one. */
const isSkipped = (name: string): boolean =>
  name.startsWith('.') || ['node_modules', 'dist', 'coverage'].includes(name);

/** Every file and folder under `root`, from there, but for what is fetched or made. */
export function pathsIn(root: string): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (isSkipped(entry.name)) continue;
      const path = join(folder, entry.name);
      found.push(relative(root, path));
      if (entry.isDirectory()) walk(path);
    }
  };
  walk(root);
  return found;
}

const read = (root: string, wanted: RegExp): Source[] =>
  pathsIn(root)
    .filter((path) => wanted.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

/** Every TypeScript and JavaScript file under `root`. */
export const readTree = (root: string): Source[] => read(root, /\.[tj]s$/);

/** Every document for people. */
export const readDocuments = (root: string): Source[] => read(root, /\.md$/);

/** The text with comments blanked, line for line. Strings stay: the rules below look for identifiers that no string has. */
export const withoutComments = (text: string): string =>
  split(text)
    .map(({ code }) => code)
    .join('\n');

/** Only the comments, line for line. */
export const commentsOf = (text: string): string =>
  split(text)
    .map(({ comment }) => comment)
    .join('\n');

function split(text: string): { code: string; comment: string }[] {
  let inBlock = false;
  return text.split('\n').map((line) => {
    const trimmed = line.trimStart();
    if (inBlock || trimmed.startsWith('/*')) {
      inBlock = !trimmed.includes('*/');
      return { code: '', comment: line };
    }
    if (trimmed.startsWith('//')) return { code: '', comment: line };
    const [end = ''] = /\s\/\/\s.*$/.exec(line) ?? [];
    return { code: line.slice(0, line.length - end.length), comment: end };
  });
}

/** However a module is named: imported, there or later, for its types or its effects, or required. */
const IMPORT = /\b(?:from|import|require|getBuiltinModule)\s*\(?\s*(['"`])([^'"`\n]+)\1/g;
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

/** The modules that a file names, each with the statement that does: from the `import` before it, where there is one. */
export function modulesNamed({ text }: Source): { module: string; statement: string }[] {
  const code = withoutComments(text);
  return [...code.matchAll(IMPORT)].map((match) => {
    const before = code.slice(0, match.index);
    const begin = Math.max(before.lastIndexOf('\nimport '), before.lastIndexOf('\nexport '), before.lastIndexOf(';'));
    return { module: match[2] ?? '', statement: code.slice(begin + 1, match.index + match[0].length).trim() };
  });
}
