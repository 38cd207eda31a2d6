/** What an operator asks of the remotes: core/contracts/replicate/api.ts. */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { REPLICATE, type RemoteStatus } from '../../core/contracts/replicate/api.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import { callOf } from '../../platform/http/call.ts';
import { serve } from '../../platform/http/serve.ts';
import type { OutboxState } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { ReplicateConfig } from './config.ts';
import { diffStep } from './diff.ts';
import type { RemoteLane } from './lane.ts';
import type { RemoteRegistry } from './remote/remote.ts';

export type Following = { readonly remote: RemoteRegistry; readonly target: string; readonly lane: RemoteLane };

export type ReplicationApi = {
  readonly cluster: string;
  readonly rules: ReplicateConfig['rules'];
  /** By the name of the remote. */
  readonly remotes: ReadonlyMap<string, Following>;
  readonly store: Pick<TagStore, 'outbox' | 'backfill' | 'refill' | 'catalog' | 'tags' | 'tag' | 'pending'>;
};

export function addReplicationRoutes(app: FastifyInstance, api: ReplicationApi): void {
  const { store, remotes, cluster, rules } = api;
  serve(app, REPLICATE.status, async () => {
    const states = await store.outbox();
    return { cluster, remotes: [...remotes.values()].map((one) => statusOf(one, states)) };
  });
  serve(app, REPLICATE.backfill, async ({ body }) => {
    const { target, lane } = named(remotes, body.remote);
    await store.refill(target);
    let repositories = 0;
    for (let filled = await store.backfill(); filled.length > 0; filled = await store.backfill())
      repositories += filled.filter((one) => one.target === target).length;
    lane.wake();
    return { repositories };
  });
  serve(app, REPLICATE.diff, async ({ body, request }) => {
    const { remote, target } = named(remotes, body.remote);
    try {
      return await diffStep({ remote, target, rules, store, signal: callOf(request).signal }, body);
    } catch (error) {
      if (error instanceof BackendError) throw new ApiError('UNAVAILABLE', error.message);
      throw error;
    }
  });
}

function statusOf({ remote, target, lane }: Following, states: readonly OutboxState[]): RemoteStatus {
  const own = states.filter((state) => state.target === target);
  const [dead, live] = [own.filter((state) => state.dead), own.filter((state) => !state.dead)];
  const count = (all: readonly OutboxState[]): number => all.reduce((sum, { rows }) => sum + rows, 0);
  const { name, url, kind, cluster } = remote;
  return {
    ...{ name, url, kind, waiting: count(live), dead: count(dead) },
    ...(cluster === undefined ? {} : { cluster }),
    ...(lane.down === undefined ? {} : { down: { cause: lane.down.cause, message: lane.down.message } }),
    ...(live.length === 0 ? {} : { oldestMs: Math.min(...live.map(({ sinceMs }) => sinceMs)) }),
    causes: own.flatMap(({ cause, rows }) => (cause === null ? [] : [{ cause, rows }])),
  };
}

function named(remotes: ReadonlyMap<string, Following>, name: string): Following {
  const found = remotes.get(name);
  if (found !== undefined) return found;
  throw new ApiError(
    'REQUEST_INVALID',
    `${name} is no remote of this index: \`replicate.remotes\` has ${[...remotes.keys()].join(', ')}`,
  );
}
