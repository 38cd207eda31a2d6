/** Bringing back what only backends have, in an origin's process: when it begins, what it asks, what it counts. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import type { Members } from '../../platform/members/members.ts';
import { replaceFile } from '../../platform/members/remembered.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { OpenedCold } from '../cold/open.ts';
import type { OriginConfig } from '../config.ts';
import type { Mending } from '../mending.ts';
import type { Repairing } from '../repair/open.ts';
import type { FetchingBy } from '../repair/pace.ts';
import { Restoring, type RestoringOptions } from './restoring.ts';
import { storedBlobs } from './stored.ts';

/** Repositories of a blob that are looked at for one that rests in the backend where it was found. */
const holdersMax = 64;

export type StartRestoringParts = FetchingBy & {
  readonly backends: Backends | undefined;
  readonly cold: OpenedCold | undefined;
  readonly index: Pick<IndexClient, 'holders'> | undefined;
  readonly origins: Pick<Members<OriginClient>, 'places' | 'onChange'>;
  readonly store: BlobStore;
  readonly mending: Mending;
  readonly repairing: Repairing;
  readonly leaving: () => boolean;
  /** This origin has just been given its id: what it had before, if anything, is lost. */
  readonly fresh: boolean;
};

/**
 * Closed with the stack. Nothing where there is no backend, where no index says what of it is needed, or where the
 * configuration does not want it.
 */
export async function startRestoring(
  { config, log, metrics }: Pick<RoleContext<OriginConfig>, 'config' | 'log' | 'metrics'>,
  o: StartRestoringParts,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { backends, cold, index, origins, store, mending, repairing, fresh } = o;
  if (backends === undefined || cold === undefined || index === undefined || !config.repair.restore) return;
  // Where something has to go, what nobody asks for is not worth its place.
  let full = false;
  store.watch({ unneeded: () => (full = true) });
  const restoring = stack.use(
    new Restoring({
      ...o,
      ...{ note: noteIn(join(config.data, 'restoring')), log, wallMs: Date.now },
      ring: repairing.ring,
      stored: (signal) => storedBlobs(backends, signal),
      here: (digest) => store.get(digest)?.complete === true,
      repoOf: repoBy(index, backends),
      bring: (blob, slowly) => cold.restore(blob, slowly),
      room: (bytes) => !full && store.usedBytes + bytes <= config.disk.budget,
      compared: () => isCompared(repairing),
    }),
  );
  mending.elsewhere = (digest) => restoring.one(digest);
  const compareAnew = mending.left;
  mending.left = () => {
    compareAnew();
    if (!restoring.active) void restoring.begin();
  };
  let before = placesOf(origins);
  stack.use(
    origins.onChange(() => {
      const now = placesOf(origins);
      const lost = [...before].some(([id, draining]) => !draining && !now.has(id));
      before = now;
      if (lost) void restoring.begin();
    }),
  );
  metrics.observed('repair_restoring', '1: what only backends have is being brought back', () =>
    restoring.active ? 1 : 0,
  );
  metrics.observed('repair_restored_blobs', 'Blobs of these that came, since the start', () => restoring.blobs);
  metrics.observed('repair_restore_failed_blobs', 'Of these, attempts that failed', () => restoring.failed);
  await restoring.resume(fresh && store.count === 0);
}

function isCompared({ repair }: Repairing): boolean {
  const { comparedMsAgo, lacking } = repair.state();
  return comparedMsAgo !== undefined && lacking.blobs === 0;
}

function placesOf(origins: StartRestoringParts['origins']): ReadonlyMap<string, boolean> {
  return new Map(origins.places.map(({ id, draining }) => [id, draining]));
}

function repoBy(index: Pick<IndexClient, 'holders'>, backends: Backends): RestoringOptions['repoOf'] {
  return async (digest: Digest, backend, signal) => {
    const { repositories } = await index.holders(digest, { n: holdersMax }, CallContext.begin({ signal }));
    return repositories.find((repo) => {
      const backed = backends.of(repo);
      return backed !== undefined && (backend === undefined || backed.name === backend);
    });
  };
}

function noteIn(file: string): RestoringOptions['note'] {
  return {
    read: async () => {
      const text = await readFile(file, 'utf8').catch(() => undefined);
      const sinceMs = Number.parseInt(text ?? '', 10);
      return Number.isSafeInteger(sinceMs) ? sinceMs : undefined;
    },
    write: (sinceMs) => (sinceMs === undefined ? rm(file, { force: true }) : replaceFile(file, `${sinceMs}\n`)),
  };
}
