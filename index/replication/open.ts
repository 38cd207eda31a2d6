/** An index's remotes at work; only where its configuration names any is this loaded. */

import { randomInt } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { prng } from '../../core/prng.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import { NewestKnown } from '../../platform/backends/registry/shelf.ts';
import { Origins } from '../../platform/clients/origins.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { Recent } from '../backing/lane/write.ts';
import type { IndexOrigins } from '../origins.ts';
import type { TargetLane } from '../outbox/queue.ts';
import { atStart } from '../patience.ts';
import { sendAgain } from './again.ts';
import { addReplicationRoutes, type Following } from './api.ts';
import type { ReplicateConfig } from './config.ts';
import { RowSender } from './copy/row.ts';
import { BlobTurns } from './copy/turns.ts';
import { RemoteLane } from './lane.ts';
import { replicationMetrics } from './metrics.ts';
import { RemoteRegistry } from './remote/remote.ts';
import { remoteTarget } from './targets.ts';

/** A remote that does not say who it is within this is asked again before anything goes there: no start waits for it. */
const introducedMsMax = 3_000;
/** Of each remote: what it was seen to hold, and where. 200 bytes each. */
const seenMax = 50_000;
const seedMax = 2 ** 32;

export type FollowParts = Pick<RoleContext<unknown>, 'log' | 'metrics' | 'env'> & {
  readonly replicate: ReplicateConfig;
  readonly origins: Pick<Origins, 'read'>;
  readonly store: TagStore;
  /** By the name of the target: each remote's is added. */
  readonly lanes: Map<string, TargetLane>;
  /** Of the engine. */
  readonly nowMs: () => number;
};
export type ReplicationParts = Omit<FollowParts, 'replicate' | 'origins'> & {
  /** Undefined: nothing goes anywhere. */
  readonly replicate: ReplicateConfig | undefined;
  readonly origins: IndexOrigins | undefined;
};
export type Replication = {
  readonly addRoutes: (app: FastifyInstance) => void;
  /** Has a tag sent where the rules say, whatever was sent. */
  readonly again: (repo: string, tag: string) => Promise<void>;
};

/** Throws StartError where a remote is this very cluster. Lanes end with the stack. */
export async function openReplication(
  { replicate, origins, ...parts }: ReplicationParts,
  stack: AsyncDisposableStack,
): Promise<Replication | undefined> {
  if (replicate === undefined || origins === undefined || Object.keys(replicate.remotes).length === 0) return undefined;
  // Nothing is pushed by an index.
  const { members } = origins;
  return await follow({ ...parts, replicate, origins: new Origins({ members, copies: 1, required: 1 }) }, stack);
}

export async function follow(parts: FollowParts, stack: AsyncDisposableStack): Promise<Replication> {
  const { store, replicate, log, env, nowMs, lanes, origins } = parts;
  const { remotes: named, rules } = replicate;
  const { index: cluster } = await atStart(() => store.unlinked([]));
  const opened = Object.entries(named).map(([name, settings]) =>
    stack.use(new RemoteRegistry({ name, settings, cluster, env, clock: realClock })),
  );
  await Promise.all(opened.map((remote) => introduced(remote, { cluster, log })));
  const metricsOf = replicationMetrics(parts.metrics);
  const random = prng(randomInt(seedMax));
  const remotes = new Map<string, Following>();
  for (const remote of opened) {
    const [metrics, target] = [metricsOf(remote.name), remoteTarget(remote.name)];
    const seen = { there: new Recent(seenMax), seenIn: new NewestKnown<string>(seenMax), turns: new BlobTurns() };
    const sender = new RowSender({ remote, store, rules, origins, ...seen, told: metrics });
    const lane = stack.use(new RemoteLane({ target, remote, store, sender, log, metrics, nowMs, random }));
    remotes.set(remote.name, { remote, target, lane });
    lanes.set(target, lane);
  }
  return {
    addRoutes: (app) => addReplicationRoutes(app, { cluster, rules, remotes, store }),
    again: (repo, tag) => sendAgain({ rules, remotes, store }, repo, tag),
  };
}

async function introduced(
  remote: RemoteRegistry,
  { cluster, log }: { readonly cluster: string; readonly log: FollowParts['log'] },
): Promise<void> {
  try {
    await remote.introduced(AbortSignal.timeout(introducedMsMax));
  } catch (error) {
    if (remote.cluster === cluster)
      throw new StartError(
        `replicate.remotes.${remote.name}: ${remote.url} is this very cluster: what is written here would be sent here`,
      );
    const late = error instanceof Error && error.name === 'TimeoutError';
    if (!late && !(error instanceof BackendError)) throw error;
    const why = late ? `no answer in ${introducedMsMax / 1000} s` : error.message;
    log.warn({ remote: remote.name, why }, 'nothing goes to the remote yet: it is asked again');
  }
}
