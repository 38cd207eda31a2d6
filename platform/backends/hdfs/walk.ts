/**
 * The keys of HDFS in the order of their bytes, a page at a time, in memory that is bounded whatever there is.
 *
 * Rule 1: a directory is read in the order of its names, which is that of the keys' parts (names.ts). A directory comes
 *         where its key with a slash does: behind the names that go on with what sorts before a slash (`a-b` before `a/`).
 * Rule 2: a page begins where it is to begin: nothing before is read but what cannot be told otherwise.
 * Rule 3: a page that takes too long ends early, perhaps without a key, and says where to go on.
 */

import type { Clock } from '../../net/clock.ts';
import { type BackendPage, pageKeysMax } from '../backend.ts';
import { Directory, type Entry, type HdfsWalking } from './directory.ts';
import { escaped } from './names.ts';

type Wanted = { readonly prefix: string; readonly after: string };
/** `size` undefined: a directory whose keys come next. */
type Step = { readonly key: string; readonly size: number | undefined };

export async function keysPage(
  walking: HdfsWalking,
  root: string,
  { prefix, after = '', max }: { readonly prefix: string; readonly after?: string | undefined; readonly max: number },
  { clock, withinMs }: { readonly clock: Clock; readonly withinMs: number },
): Promise<BackendPage> {
  const count = Math.min(max, pageKeysMax);
  const objects: { key: string; size: number }[] = [];
  const lateMs = clock.nowMs() + withinMs;
  const wanted = { prefix, after };
  for await (const { key, size } of stepsBelow(
    new Directory(walking, { path: root, key: '', depth: 0 }),
    wanted,
    walking,
  )) {
    const late = clock.nowMs() > lateMs && byBytes(key, after) > 0;
    if (objects.length === count || (late && objects.length > 0)) return { objects, next: objects.at(-1)?.key };
    if (size !== undefined) objects.push({ key, size });
    else if (late) return { objects, next: key };
  }
  return { objects, next: undefined };
}

async function* stepsBelow(directory: Directory, wanted: Wanted, walking: HdfsWalking): AsyncGenerator<Step> {
  /** Each one's name begins with the one's before. */
  const later: Entry[] = [];
  for await (const entry of wantedEntries(directory, wanted, walking)) {
    for (let top = later.at(-1); top !== undefined && byBytes(top.key, entry.key) < 0; top = later.at(-1)) {
      later.pop();
      yield* stepsOf(top, wanted, walking);
    }
    if (entry.directory !== undefined) later.push(entry);
    else yield entry;
  }
  for (const entry of later.toReversed()) yield* stepsOf(entry, wanted, walking);
}

/** Only a directory that is there is a place to go on at. */
async function* stepsOf({ key, size, directory }: Entry, wanted: Wanted, walking: HdfsWalking): AsyncGenerator<Step> {
  if (directory === undefined) return;
  if (size !== undefined) yield { key, size: undefined };
  yield* stepsBelow(directory, wanted, walking);
}

/** Those that lead to keys which are wanted, in the order of their names. */
async function* wantedEntries(
  directory: Directory,
  { prefix, after }: Wanted,
  { names }: HdfsWalking,
): AsyncGenerator<Entry> {
  const { key, depth } = directory;
  const [begin, ...more] = (prefix.startsWith(key) ? prefix.slice(key.length) : '').split('/');
  const start = begin ?? '';
  const named = (part: string): Entry => {
    const below = directory.below(part);
    return { name: names.ofPart(part, depth), key: below.key, size: undefined, directory: below };
  };
  if (more.length > 0) {
    if (leads(`${key}${start}/`, after)) yield named(start);
    return;
  }
  let from = start === '' ? undefined : before(escaped(start));
  if (after.startsWith(key) && after !== '') {
    const [part = ''] = after.slice(key.length).split('/');
    const way = [...startsOf(part), part].filter((one) => one.startsWith(start));
    for (const one of way) yield named(one);
    const name = names.ofPart(part, depth);
    from = from === undefined || name > from ? name : from;
  }
  const beginning = escaped(start);
  for await (const entry of directory.entries(from)) {
    if (entry.name.startsWith(beginning)) {
      if (leads(entry.key, after)) yield entry;
    } else if (entry.name > beginning) return;
  }
}

/** Whether it is a key after `after`, or such keys begin with it. */
function leads(key: string, after: string): boolean {
  return byBytes(key, after) > 0 || (key.endsWith('/') && after.startsWith(key));
}

/** Beginnings of `part` whose directories come after it, as what follows in it sorts before a slash. */
function startsOf(part: string): string[] {
  return [...part].flatMap((char, at, all) => (char < '/' ? [all.slice(0, at).join('')] : []));
}

/** A name behind which `name`, and what begins with it, comes: of others only those that are passed over. */
function before(name: string): string {
  return `${name.slice(0, -1)}${String.fromCharCode(name.charCodeAt(name.length - 1) - 1)}~`;
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
