/**
 * Where the entry file of a process or a thread lies, as a URL to spawn.
 *
 * A checkout runs `.ts` files; the published package is the same tree with the types stripped and `.js` in their
 * place (tools/pack.ts). A path is therefore written `.ts` and given the extension of the file that asks.
 */

/**
 * The URL of `relative` (for example '../agent/main.ts') seen from the file `from` (an `import.meta.url`), with the
 * extension that this tree has. The path may be put together at run time. Throws a TypeError where it names no source
 * file.
 */
export function entryUrl(relative: string, from: string): URL {
  // tools/pack.ts rewrites literals, so that in the published tree a path may arrive with either extension.
  const stem = /^(.+)\.[tj]s$/.exec(relative)?.[1];
  if (stem === undefined) throw new TypeError(`an entry is named by its source file, not '${relative}'`);
  return new URL(`${stem}${from.endsWith('.js') ? '.js' : '.ts'}`, from);
}
