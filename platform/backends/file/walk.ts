/**
 * The keys of a directory in the order of their bytes, a page at a time, in memory that is bounded whatever the directory
 * holds.
 *
 * Rule: a directory is read from its beginning for each `batchMax` names that are taken of it, since no file system gives
 *       names in order; of those only the first are kept.
 */

import type { BackendPage } from '../backend.ts';
import { pageKeysMax } from '../backend.ts';
import type { Files } from './files.ts';
import { unlessGone } from './now.ts';
import { keyPartOf } from './paths.ts';
import { inTurn } from './turns.ts';

/** Names of one directory in memory. */
const batchMax = 4096;

export type Walking = { readonly files: Files; readonly root: string; readonly signal: AbortSignal };
type Wanted = { readonly prefix: Buffer; readonly after: Buffer };
/** `key`: of a file; what all keys begin with, of a directory. */
type Entry = { readonly path: string; readonly key: Buffer; readonly directory: boolean };

export async function pageOf(
  walking: Walking,
  prefix: string,
  { after = '', max }: { after?: string | undefined; max: number },
): Promise<BackendPage> {
  const count = Math.min(max, pageKeysMax);
  const objects: { key: string; size: number }[] = [];
  const wanted = { prefix: Buffer.from(prefix), after: Buffer.from(after) };
  const from = { path: walking.root, key: Buffer.alloc(0), directory: true };
  for await (const { path, key } of keysBelow(walking, from, wanted)) {
    if (objects.length === count) return { objects, next: objects.at(-1)?.key };
    const is = await inTurn(walking.signal, () => walking.files.state(path)).catch(unlessGone);
    if (is !== undefined && !is.directory) objects.push({ key: key.toString(), size: is.size });
  }
  return { objects, next: undefined };
}

async function* keysBelow(walking: Walking, directory: Entry, wanted: Wanted): AsyncGenerator<Entry> {
  for (let last: Buffer | undefined; ; ) {
    const { first, more } = await firstOf(walking, directory, wanted, last);
    for (const entry of first) {
      if (entry.directory) yield* keysBelow(walking, entry, wanted);
      else yield entry;
    }
    if (!more) return;
    last = first.at(-1)?.key;
  }
}

/** The first entries of the directory that lead to keys which are wanted, after the entry `last`, in order. */
async function firstOf(walking: Walking, directory: Entry, wanted: Wanted, last: Buffer | undefined) {
  const { files, signal } = walking;
  let kept: Entry[] = [];
  let more = false;
  const cut = (): void => {
    kept.sort((one, two) => Buffer.compare(one.key, two.key));
    if (kept.length > batchMax) {
      kept = kept.slice(0, batchMax);
      more = true;
    }
  };
  const names = files.names(directory.path)[Symbol.asyncIterator]();
  for (;;) {
    const some = await inTurn(signal, () => names.next()).catch(unlessGone);
    if (some === undefined || some.done === true) break;
    for (const { name, directory: below } of some.value) {
      const part = keyPartOf(name);
      if (part === undefined) continue;
      const key = Buffer.concat([directory.key, Buffer.from(below ? `${part}/` : part)]);
      const beyond = last === undefined || Buffer.compare(key, last) > 0;
      if (beyond && isWanted(key, below, wanted))
        kept.push({ path: `${directory.path}/${name}`, key, directory: below });
    }
    if (kept.length >= 2 * batchMax) cut();
  }
  cut();
  return { first: kept, more };
}

/** Whether the key, or of a directory one that begins with it, is wanted. */
function isWanted(key: Buffer, directory: boolean, { prefix, after }: Wanted): boolean {
  const within = beginsWith(key, prefix) || (directory && beginsWith(prefix, key));
  return within && (Buffer.compare(key, after) > 0 || (directory && beginsWith(after, key)));
}

function beginsWith(whole: Buffer, first: Buffer): boolean {
  return whole.subarray(0, first.length).equals(first);
}
