/** The engine that an index's configuration names, opened; its library is loaded, and no other. */

import { join } from 'node:path';
import { library } from '../backends/library.ts';
import { openDataDir } from '../lifecycle/data-dir.ts';
import { StartError } from '../lifecycle/errors.ts';
import type { Logger } from '../telemetry/log.ts';
import type { StoreSettings } from './config.ts';
import type { OutboxOptions } from './outbox.ts';
import { openSqliteTags } from './sqlite/sqlite.ts';
import type { TagStore } from './store.ts';

/** Format of the data directory; the database in it has a schema version of its own. */
const dataVersion = 1;

export type OpenTagsOptions = {
  readonly store: StoreSettings;
  /** The directory for an engine that keeps files. */
  readonly data: string;
  /** Whose writes leave rows; undefined: no repository has a backend. */
  readonly backendOf: OutboxOptions['backendOf'] | undefined;
  readonly log: Logger;
};

export type OpenedTags = {
  readonly store: TagStore;
  /** What the engine's processes go by: one clock for all of them, milliseconds since 1970. */
  readonly nowMs: () => number;
};

/** Throws StartError where it cannot be used. */
export async function openTags({ store, data, backendOf, log }: OpenTagsOptions): Promise<OpenedTags> {
  if (store.kind === 'postgres') {
    const { openPostgresTags } = await library('pg', () => import('./postgres/postgres.ts'), 'store');
    return await openPostgresTags({ settings: store, backendOf, log });
  }
  if (store.kind !== 'sqlite')
    throw new StartError(`store: the engine ${store.kind} is not in this release: leave \`store\` out, for SQLite`);
  await openDataDir(data, 'index', dataVersion);
  const opened = openSqliteTags({
    file: join(data, 'tags.db'),
    outbox: backendOf && { backendOf, nowMs: Date.now },
    onBroken(error) {
      log.fatal({ err: error }, 'the index database failed: the process ends, the next one recovers from its log');
      setImmediate(() => {
        throw error;
      });
    },
  });
  return { store: opened, nowMs: Date.now };
}
