/**
 * Who may put a file in the place of one of a certain version: a file system replaces a name whatever it stands for, and a
 * lock outlives who held it.
 *
 * Rule 1: a claim is a mark named after the version that is to be succeeded, and a number; it says which file its owner
 *         is about to put there. A name can be marked once, so each number has one owner.
 * Rule 2: who comes next, and has waited in vain for the owner, takes the next number, and removes the files of all
 *         before it: their renames fail from then on. Only then it looks whether the version is still there, and renames.
 *         So of all who claim a version one succeeds it at most, whoever is killed or sleeps meanwhile, and no clock is asked.
 * Rule 3: claims matter while their version is there, and versions do not come again: whoever finds that it is not removes them.
 */

import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Files } from './files.ts';
import { codeOf, stateNow, unlessGone, unlessThere } from './now.ts';
import { underWay } from './paths.ts';
import { inTurn } from './turns.ts';

/** A rename takes two calls; a server that has not answered them by then is asked about somebody dead. */
const ownerMs = 2_000;
const lookMs = 20;
/** Owners of one version that died or slept, one after the other. */
const ownersMax = 16;

export type Claiming = {
  readonly files: Files;
  /** What is to be put there, a file of ours alone, and its id. */
  readonly from: string;
  readonly id: string;
  readonly target: string;
  /** What is there now, or this fails. */
  readonly version: string;
  readonly signal: AbortSignal;
};

/** Whether `from` took the place of that version. */
export async function succeed(claiming: Claiming): Promise<boolean> {
  const { files, from, id, target, version, signal } = claiming;
  const before: string[] = [];
  try {
    for (let n = 0; n < ownersMax; n++) {
      const name = `${claimName(target, version)}-${n}`;
      if (!(await marked(claiming, name))) {
        if (!(await waited(claiming))) return false;
        before.push(name);
        continue;
      }
      for (const earlier of before) await fence(claiming, earlier);
      const there = (await stateNow(files, target, signal))?.id;
      if (there !== version) return there === id;
      const renamed = await inTurn(signal, () => files.rename(from, target)).then(() => true, unlessGone);
      // A network's file system that asked twice is refused by what it did itself.
      return renamed ?? (await stateNow(files, target, signal))?.id === id;
    }
    return false;
  } finally {
    await tidied(claiming).catch(() => undefined);
  }
}

/** Whether the claim of that name is ours. */
async function marked({ files, from, signal }: Claiming, name: string): Promise<boolean> {
  const mark = (): Promise<boolean> =>
    files.mark(name, from).then(
      () => true,
      (error) => unlessThere(error) ?? false,
    );
  if (await inTurn(signal, mark)) return true;
  return (await inTurn(signal, () => files.marked(name)).catch(unlessGone)) === from;
}

/** The owner of the claim before has its time; false: the version is gone. */
async function waited({ files, target, version, signal }: Claiming): Promise<boolean> {
  for (let ms = 0; ms <= ownerMs; ms += lookMs) {
    if ((await stateNow(files, target, signal))?.id !== version) return false;
    await pause(lookMs, undefined, { signal });
  }
  return true;
}

async function fence({ files, signal }: Claiming, name: string): Promise<void> {
  const file = await inTurn(signal, () => files.marked(name)).catch(unlessGone);
  if (file !== undefined) await inTurn(signal, () => files.unlink(file)).catch(unlessGone);
}

async function tidied({ files, target, version, signal }: Claiming): Promise<void> {
  if ((await stateNow(files, target, signal))?.id === version) return;
  for (let n = 0; n < ownersMax; n++) {
    const removing = inTurn(signal, () => files.unlink(`${claimName(target, version)}-${n}`));
    const gone = await removing.then(
      () => false,
      (error) => codeOf(error) === 'ENOENT',
    );
    if (gone) return;
  }
}

function claimName(target: string, version: string): string {
  const slash = target.lastIndexOf('/');
  const hash = createHash('sha256')
    .update(`${target.slice(slash + 1)}\n${version}`)
    .digest('hex');
  return `${target.slice(0, slash)}/${underWay}claim-${hash.slice(0, 32)}`;
}
