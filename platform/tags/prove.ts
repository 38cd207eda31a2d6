/**
 * What cannot be known of an index's `store` from the configuration alone (`config check --online`): that it can be reached, the
 * rights, whether what lies there is ours, and of a release that this one knows.
 *
 * Rule: nothing is made or changed by it. In a bucket an object is written, and removed again: whether its conditions hold shows
 *   in no other way.
 */

import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BackendRule } from '../backends/config.ts';
import { library } from '../backends/library.ts';
import type { Env } from '../config/yaml.ts';
import { StartError } from '../lifecycle/errors.ts';
import type { OnlineProof } from '../lifecycle/proof.ts';
import type { StoreSettings } from './config.ts';
import type { StoreProof } from './proof.ts';

/** Somebody waits before a terminal. */
const proveMsMax = 20_000;

type Settings = { readonly store: StoreSettings; readonly data: string; readonly backends: readonly BackendRule[] };

export async function proveStore(settings: Settings, env: Env): Promise<OnlineProof> {
  const begunMs = performance.now();
  const about = { what: 'store', kind: settings.store.kind };
  const timer = AbortSignal.timeout(proveMsMax);
  const late = new Promise<never>((_, reject) => {
    timer.addEventListener('abort', () => reject(new StartError(`no answer within ${proveMsMax / 1000} s`)));
  });
  try {
    const found = await Promise.race([proofOf(settings, env, timer), late]);
    return { ...about, ms: Math.round(performance.now() - begunMs), ...found, problem: undefined };
  } catch (error) {
    const ms = Math.round(performance.now() - begunMs);
    const cause = timer.aborted ? 'stalled' : 'refused';
    return { ...about, ms, proven: undefined, lacks: [], problem: { cause, message: (error as Error).message } };
  }
}

async function proofOf({ store, data, backends }: Settings, env: Env, signal: AbortSignal): Promise<StoreProof> {
  switch (store.kind) {
    case 'sqlite':
      return await proveFile(data);
    case 'postgres': {
      const { provePostgres } = await library('pg', () => import('./postgres/prove.ts'), 'store');
      return await provePostgres(store);
    }
    case 'bucket': {
      const { proveBucket } = await import('./bucket/prove.ts');
      return await proveBucket(store, { backends, env, signal });
    }
  }
}

async function proveFile(data: string): Promise<StoreProof> {
  const { tagsFile } = await import('./sqlite/data.ts');
  const file = tagsFile(data);
  if (await may(file, constants.F_OK)) {
    const { proveTagsFile } = await import('./sqlite/prove.ts');
    proveTagsFile(file);
    if (await may(file, constants.W_OK)) return { proven: 'read', lacks: [] };
    throw new StartError(`${file} may not be written to by this user: run the check as the user of the index`);
  }
  let there = data;
  while (!(await may(there, constants.F_OK)) && there !== dirname(there)) there = dirname(there);
  if (!(await may(there, constants.W_OK)))
    throw new StartError(`${data}: ${there} may not be written to by this user: name another \`data\`, or make it`);
  return { proven: 'read', lacks: [`${file} yet, which the first start makes`] };
}

async function may(path: string, mode: number): Promise<boolean> {
  return await access(path, mode).then(
    () => true,
    () => false,
  );
}
