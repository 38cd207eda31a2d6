/**
 * How many origins are to hold what: told to origins and proxies by the index, which is the one place that knows both the
 * rules and which repositories have a digest.
 *
 * Rule: of a digest that more repositories have than are looked up, the most that any rule asks for is told: rather too
 *   many copies than too few.
 */

import type { FastifyInstance } from 'fastify';
import { INDEX } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { mostReplicas, type ReplicaRules, replicasAmong } from '../core/rendezvous/replicas.ts';
import { serve } from '../platform/http/serve.ts';
import type { TagStore } from '../platform/tags/store.ts';

/** Repositories of one digest that are looked up; only layers of a base image have more. */
const holdersMax = 64;

export function replicaRoutes(
  app: FastifyInstance,
  store: Pick<TagStore, 'holders'>,
  rules: ReplicaRules | undefined,
): void {
  const of = async (digest: Digest): Promise<number> => {
    if (rules === undefined) return 0;
    const { repositories, more } = await store.holders(digest, { n: holdersMax });
    return (more ? mostReplicas(rules) : replicasAmong(rules, repositories)) ?? 0;
  };
  serve(app, INDEX.replicas, async ({ body: { digests } }) => ({ replicas: await Promise.all(digests.map(of)) }));
  serve(app, INDEX.replicaRules, () => rules ?? { default: 0, rules: [] });
}
