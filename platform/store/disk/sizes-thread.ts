/** A thread's entry file: looks up the lengths of files of one directory. */

import { statSync } from 'node:fs';

export type SizesAsked = { readonly dir: string; readonly names: readonly string[] };
/** An Error would lose its code on its way between threads. */
export type SizesTold = { readonly sizes: readonly number[] } | { readonly code: string; readonly path: string };

/** In the order of the names; or the first that the system refuses. */
export function sizes({ dir, names }: SizesAsked): SizesTold {
  const found: number[] = [];
  for (const name of names) {
    const path = `${dir}/${name}`;
    try {
      found.push(statSync(path).size);
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
      return { code: error.code, path };
    }
  }
  return { sizes: found };
}
