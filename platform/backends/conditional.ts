/**
 * Small objects that are written under conditions: of a backend, what may stand in for a database (platform/tags/bucket/).
 *
 * Rule 1: a write is made only if the object is at the version that its writer has read, or not there: else BackendError
 *   `changed`, and nothing has happened. There is no conditional removal: not every server has one.
 * Rule 2: a read, and a list, that begins after a write was acknowledged shows it.
 * Rule 3: nobody is believed: `proveConditions` races writers, and refuses a server that lets two of them win.
 */

import { randomUUID } from 'node:crypto';
import { type Backend, BackendError, type WriteCondition } from './backend.ts';

export type ConditionalObjects = Pick<Backend, 'name' | 'list' | 'remove'> & {
  readonly load: NonNullable<Backend['load']>;
  put(key: string, bytes: Uint8Array, signal: AbortSignal, condition: WriteCondition): Promise<{ version: string }>;
};

/** As many as a proof has writers of one object at once: where conditions are looked up before they are kept, few slip through. */
const racers = 50;
/** What the objects of a proof are called: a process that is killed leaves its own. */
export const PROOF = 'prove-';

/** `unsupported` where it lacks what is needed. What it says of itself is not proved by this. */
export function conditionalObjects(backend: Backend): ConditionalObjects {
  const { name, can, load } = backend;
  const lacks = [
    ...(can.writes && can.records ? [] : ['any key may be written']),
    ...(can.conditions ? [] : ['writes are made under a condition']),
    ...(can.list ? [] : ['keys are listed']),
    ...(load === undefined ? ['an object is read whole with its version'] : []),
  ];
  if (load === undefined || lacks.length > 0) throw unfit(name, `a backend is needed where ${lacks.join(', and ')}`);
  return {
    name,
    load: (key, signal) => load.call(backend, key, signal),
    put: (...args) => backend.put(...args),
    list: (...args) => backend.list(...args),
    remove: (...args) => backend.remove(...args),
  };
}

/** Throws `unsupported` where conditions do not hold under a key below `prefix`, which it removes again. */
export async function proveConditions(objects: ConditionalObjects, prefix: string, signal: AbortSignal): Promise<void> {
  const key = `${prefix}${PROOF}${randomUUID()}`;
  try {
    const created = await race(objects, { key, version: null, what: 'make' }, signal);
    const replaced = await race(objects, { key, version: created, what: 'replace' }, signal);
    await refuses(objects, { key, version: created }, signal);
    const { objects: listed } = await objects.list(key, { max: 2 }, signal);
    if (listed.length !== 1) throw unfit(objects.name, 'an object that was written is not in the list');
    await race(objects, { key, version: replaced, what: 'replace' }, signal);
  } finally {
    await objects.remove(key, signal).catch(() => undefined);
  }
}

type Race = { readonly key: string; readonly version: string | null; readonly what: string };

/** Of so many writers one wins, and is read: its version. */
async function race(objects: ConditionalObjects, { key, version, what }: Race, signal: AbortSignal): Promise<string> {
  const racer = async (no: number) => {
    try {
      return { no, ...(await objects.put(key, Buffer.from(`racer ${no}, ${randomUUID()}`), signal, { version })) };
    } catch (error) {
      if (error instanceof BackendError && error.why === 'changed') return undefined;
      throw error;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: racers }, (_, no) => racer(no)));
  // Who was told to come again, or got no answer, proves nothing; of the others one may have won.
  const answers = ended.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  const failed = ended.find((end) => end.status === 'rejected');
  const won = answers.filter((answer) => answer !== undefined);
  const [winner] = won;
  if (won.length > 1)
    throw unfit(objects.name, `${won.length} of ${racers} that ${what} one object at once are all told that they did`);
  if (failed !== undefined && (answers.length < 2 || winner === undefined)) throw failed.reason;
  if (winner === undefined) throw unfit(objects.name, `of ${racers} that ${what} one object at once none may`);
  const read = await objects.load(key, signal);
  if (read?.version !== winner.version || !String(Buffer.from(read.bytes)).startsWith(`racer ${winner.no},`))
    throw unfit(objects.name, `what was written last is not what is read`);
  return winner.version;
}

/** A write that comes after an old version. */
async function refuses(
  objects: ConditionalObjects,
  { key, version }: { readonly key: string; readonly version: string },
  signal: AbortSignal,
): Promise<void> {
  try {
    await objects.put(key, Buffer.from(`late, ${randomUUID()}`), signal, { version });
  } catch (error) {
    if (error instanceof BackendError && error.why === 'changed') return;
    throw error;
  }
  throw unfit(objects.name, 'a write after a version that is there no more is made all the same');
}

function unfit(name: string, words: string): BackendError {
  const remedy = 'take one that keeps to If-None-Match and If-Match (docs/backends.md), or another engine';
  return new BackendError('unsupported', `${name}: it cannot hold what the index knows: ${words}: ${remedy}`);
}
