/**
 * The rules of size and of circles, each a function from a source tree to the list of what breaks it: how long a file
 * is, how many lie in a folder, how long the median one is, and that no import leads back to where it began. Biome
 * sees none of the last three: it knows one file at a time, and a circle of types is none to it.
 */
import { forTestsOnly } from '../../tools/tests-only.ts';
import { references, type Source } from './tree.ts';

/** Every line counts, blank or not, of tests as of the product: what does not fit a head is too long. */
export const fileLinesMax = 400;
/** More in one folder are not found any more by who does not know their names; tests beside them do not count. */
export const folderFilesMax = 20;
/** The half of all files is shorter: so that merging files is no way round a limit on their number. */
export const medianLinesBelow = 120;

const linesOf = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
const folderOf = (path: string): string => path.split('/').slice(0, -1).join('/') || '.';
const isSource = (path: string): boolean => path.endsWith('.ts') && !forTestsOnly(path);

/** No file over the limit. */
export function lengths(tree: readonly Source[]): string[] {
  return tree
    .map(({ path, text }) => ({ path, lines: linesOf(text) }))
    .filter(({ lines }) => lines > fileLinesMax)
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${fileLinesMax}: split it by purpose`);
}

/** No folder with more source files than a reader can hold. */
export function folders(tree: readonly Source[]): string[] {
  const counts = new Map<string, number>();
  for (const { path } of tree.filter((source) => isSource(source.path))) {
    counts.set(folderOf(path), (counts.get(folderOf(path)) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, files]) => files > folderFilesMax)
    .map(([folder, files]) => `${folder}: ${files} source files, at most ${folderFilesMax}: give it rooms`);
}

/** The median source file is short. */
export function median(tree: readonly Source[]): string[] {
  const lengthsInOrder = tree
    .filter(({ path }) => isSource(path))
    .map(({ text }) => linesOf(text))
    .sort((a, b) => a - b);
  const middle = lengthsInOrder[lengthsInOrder.length >> 1] ?? 0;
  return middle < medianLinesBelow ? [] : [`the median source file has ${middle} lines, under ${medianLinesBelow}`];
}

/**
 * No circle of imports, types counted: two files that need each other are one, or lack a third. A finding names the
 * folder that all files of a circle share.
 */
export function circles(tree: readonly Source[]): string[] {
  const files = new Set(tree.map(({ path }) => path));
  const imports = new Map(
    tree.map((source) => [
      source.path,
      references(source)
        .filter(({ kind, to }) => kind === 'import' && files.has(to))
        .map(({ to }) => to),
    ]),
  );
  return knots(imports).map((knot) => `${sharedFolder(knot)}: a circle of imports: ${knot.join(', ')}`);
}

function sharedFolder(paths: readonly string[]): string {
  const parts = paths.map((path) => folderOf(path).split('/'));
  const [first = []] = parts;
  const shared = first.filter((_, at) =>
    parts.every((other) => first.slice(0, at + 1).join() === other.slice(0, at + 1).join()),
  );
  return shared.join('/') || '.';
}

/** The sets of files that reach each other (Tarjan's strongly connected components), those of one file left out. */
function knots(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];
  const visit = (file: string): number => {
    const number = order.size;
    order.set(file, number);
    lowest.set(file, number);
    path.push(file);
    for (const next of imports.get(file) ?? []) {
      const reached = order.has(next) ? (path.includes(next) ? (order.get(next) ?? number) : number) : visit(next);
      lowest.set(file, Math.min(lowest.get(file) ?? number, reached));
    }
    const low = lowest.get(file) ?? number;
    if (low === number) {
      const knot = path.splice(path.indexOf(file));
      if (knot.length > 1) found.push(knot.sort());
    }
    return low;
  };
  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return found;
}
