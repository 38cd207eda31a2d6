/** The engine that an index's configuration names, opened; its library is loaded, and no other. */

import { existsSync } from 'node:fs';
import type { QuotaRule } from '../../core/quota.ts';
import type { BackendRule } from '../backends/config.ts';
import { library } from '../backends/library.ts';
import type { Env } from '../config/yaml.ts';
import { StartError } from '../lifecycle/errors.ts';
import { realClock } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { StoreSettings } from './config.ts';
import type { DoomedStore } from './doomed.ts';
import type { OutboxOptions } from './outbox.ts';
import type { CountingTagStore } from './quotas/used.ts';
import { openTagsData, tagsFile } from './sqlite/data.ts';
import { openSqliteTags } from './sqlite/sqlite.ts';
import type { TagStore } from './store.ts';
import type { UntaggedStore } from './untagged.ts';

export type OpenTagsOptions = {
  readonly store: StoreSettings;
  /** The directory for an engine that keeps files. */
  readonly data: string;
  /** Whose writes leave rows; undefined: no repository has a target. */
  readonly targets: Omit<OutboxOptions, 'nowMs'> | undefined;
  readonly backends: readonly BackendRule[];
  readonly quotas: readonly QuotaRule[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly env: Env;
};

export type OpenedTags = {
  readonly store: TagStore;
  /** What tells what each repository holds; undefined: the engine does not count it. */
  readonly counted: Pick<CountingTagStore, 'used' | 'room'> | undefined;
  /** What was linked and is not any more; undefined: the engine does not know. */
  readonly doomed: DoomedStore | undefined;
  /** Since when manifests have no tag; undefined: as above. */
  readonly untagged: UntaggedStore | undefined;
  /** What the engine's processes go by: one clock for all of them, milliseconds since 1970. */
  readonly nowMs: () => number;
  /** How often it was written to, of an engine to which nobody else writes; undefined: others do. */
  readonly commits?: () => number;
};

/** Throws StartError where it cannot be used. */
export async function openTags(options: OpenTagsOptions): Promise<OpenedTags> {
  const { store, data, targets, log, quotas } = options;
  if (store.kind !== 'sqlite') refuseBeside(tagsFile(data), store.kind);
  if (store.kind === 'postgres') {
    const { openPostgresTags } = await library('pg', () => import('./postgres/postgres.ts'), 'store');
    const postgres = await openPostgresTags({ settings: store, targets, log, quotas });
    const { doomed, untagged } = postgres.store;
    return { ...postgres, counted: postgres.store, doomed, untagged };
  }
  if (store.kind === 'bucket') return { store: await inBucket(store, options), nowMs: Date.now, ...none };
  const opened = openSqliteTags({
    file: await openTagsData(data),
    quotas,
    outbox: targets && { ...targets, nowMs: Date.now },
    onBroken(error) {
      log.fatal({ err: error }, 'the index database failed: the process ends, the next one recovers from its log');
      setImmediate(() => {
        throw error;
      });
    },
  });
  const { doomed, untagged } = opened;
  return { store: opened, nowMs: Date.now, counted: opened, commits: () => opened.commits, doomed, untagged };
}

/** Of an engine that only a transaction could tell it. */
const none = { counted: undefined, doomed: undefined, untagged: undefined };

async function inBucket(
  { backend, prefix }: Extract<StoreSettings, { kind: 'bucket' }>,
  { backends, targets, ...given }: OpenTagsOptions,
): Promise<TagStore> {
  const rule = backends.find(({ name }) => name === backend);
  if (rule === undefined) throw new StartError(`store: there is no rule ${backend} of \`backends\``);
  const { openBucketTags } = await import('./bucket/open.ts');
  const outbox = targets && { ...targets, nowMs: Date.now };
  return await openBucketTags({ ...given, rule, prefix, outbox, clock: realClock });
}

/** Whoever names another engine expects its tags there, and would find none. */
function refuseBeside(file: string, kind: string): void {
  if (existsSync(file))
    throw new StartError(
      `store: ${file} holds what this index knew in SQLite, and is not read with \`kind: ${kind}\`: leave \`store\` out, or put that file away, or name another \`data\``,
    );
}
