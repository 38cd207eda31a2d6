/** The engine that an index's configuration names, as a source or a target of a move; its library is loaded, and no other. */

import type { BackendRule } from '../../backends/config.ts';
import { library } from '../../backends/library.ts';
import type { Env } from '../../config/yaml.ts';
import { StartError } from '../../lifecycle/errors.ts';
import { realClock } from '../../net/clock.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { MovingBucket } from '../bucket/moving/moving.ts';
import type { StoreSettings } from '../config.ts';
import type { MoveSource, MoveTarget } from './engine.ts';

export type MovePlace = {
  readonly store: StoreSettings;
  readonly data: string;
  readonly backends: readonly BackendRule[];
  readonly env: Env;
  readonly signal: AbortSignal;
};

export async function openMoveSource(place: MovePlace): Promise<MoveSource> {
  const { store, data } = place;
  switch (store.kind) {
    case 'sqlite':
      return await (await import('../sqlite/moving/moving.ts')).sqliteMoveSource(data);
    case 'postgres':
      return await (await postgres()).postgresMoveSource(store);
    case 'bucket':
      return await (await import('../bucket/moving/moving.ts')).bucketMoveSource(await bucketOf(store, place));
  }
}

/** `database`: the identity of the source. */
export async function openMoveTarget(place: MovePlace, database: string): Promise<MoveTarget> {
  const { store, data } = place;
  switch (store.kind) {
    case 'sqlite':
      return await (await import('../sqlite/moving/moving.ts')).sqliteMoveTarget(data, database);
    case 'postgres':
      return await (await postgres()).postgresMoveTarget(store, database);
    case 'bucket':
      return await (await import('../bucket/moving/moving.ts')).bucketMoveTarget(
        await bucketOf(store, place),
        database,
      );
  }
}

const postgres = () => library('pg', () => import('../postgres/moving/moving.ts'), 'store');

async function bucketOf(
  { backend, prefix }: Extract<StoreSettings, { kind: 'bucket' }>,
  { backends, env, signal }: MovePlace,
): Promise<MovingBucket> {
  const rule = backends.find(({ name }) => name === backend);
  if (rule === undefined) throw new StartError(`store: there is no rule ${backend} of \`backends\``);
  const { bucketObjects } = await import('../bucket/open.ts');
  const opened = await bucketObjects(rule, { env, clock: realClock, log: silentLog(), metrics: new Metrics() });
  return { ...opened, prefix, signal };
}
