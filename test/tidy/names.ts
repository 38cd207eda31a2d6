/**
 * What comments and documents name exists: a file that has moved takes the sentences about it along. A path may be
 * written from the root or by its end (`store/room/window.ts`, or `window.ts`).
 */
import { posix } from 'node:path';
import { commentsOf, type Source } from './tree.ts';

/** A path of a source file; a word in capitals before the dot stands for any name. */
const FILE = /(?<![\w./-])((?:[\w-]+\/)*[a-z][\w-]*(?:\.[\w-]+)*\.ts)\b/g;
/** A folder, with its slash; before a star it is a pattern of repositories. */
const FOLDER = /(?<![\w./:@-])((?:[a-z][\w-]*\/)+)(?![\w*])/g;
/** Between backticks, two parts at least; a file may lack its ending. */
const QUOTED = /`([a-z][\w-]*(?:\/[\w.-]+)+)`/g;
/** The target of a link within the repository. */
const LINK = /\]\((?!https?:|#)([^)#\s]+)/g;
/** Folders that only exist once somebody has made them. */
const MADE = ['dist', 'out'];

/** Files named in comments. */
export function namesInComments(tree: readonly Source[], paths: readonly string[]): string[] {
  const there = known(paths);
  return tree.flatMap((source) =>
    commentsOf(source.text)
      .split('\n')
      .flatMap((line, index) =>
        found(FILE, line)
          .filter((name) => !there(name))
          .map((name) => `${source.path}:${index + 1}: there is no ${name}`),
      ),
  );
}

/** Files and folders named in documents, and what their links lead to. */
export function namesInDocuments(documents: readonly Source[], paths: readonly string[]): string[] {
  const there = known(paths);
  return documents.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const names = [...found(FILE, line), ...found(FOLDER, line), ...found(QUOTED, line)];
      const links = found(LINK, line).map((to) => posix.normalize(posix.join(posix.dirname(path), to)));
      const missing = [
        ...names.filter((name) => !there(name)),
        ...links.filter((to) => !paths.includes(to.replace(/\/$/, ''))),
      ];
      return [...new Set(missing)].map((name) => `${path}:${index + 1}: there is no ${name}`);
    }),
  );
}

function found(pattern: RegExp, line: string): string[] {
  return [...line.matchAll(pattern)].map((match) => match[1] as string);
}

/** Whether a path ends so. */
function known(paths: readonly string[]): (name: string) => boolean {
  const ends = new Set(MADE);
  for (const path of paths) {
    for (let at = -1; ; ) {
      ends.add(path.slice(at + 1));
      at = path.indexOf('/', at + 1);
      if (at < 0) break;
    }
  }
  return (name) => ends.has(name.replace(/\/$/, '')) || ends.has(`${name}.ts`);
}
