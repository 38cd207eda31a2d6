/** What an index's configuration may say, and its defaults. */

import * as z from 'zod';
import { repositoryPatternValid } from '../core/oci/pattern.ts';
import { replicaRulesMax, replicasMax } from '../core/rendezvous/replicas.ts';
import { auditShape } from '../platform/audit/config.ts';
import { backendsShape } from '../platform/backends/config.ts';
import { commonShape } from '../platform/config/common.ts';
import { listenAt } from '../platform/config/listen.ts';
import { duration } from '../platform/config/units.ts';
import { memberEntries, membersShape } from '../platform/members/config.ts';
import { bucketProblems } from '../platform/tags/bucket/rule.ts';
import { storeShape } from '../platform/tags/config.ts';
import { eventsShape } from './events/config.ts';
import { deleteProblems, gcShape, retentionProblems } from './gc/config.ts';
import { krakenShape } from './kraken/config.ts';
import { quotaProblems, quotasShape } from './quotas/config.ts';
import { circleProblems, replicateShape } from './replication/config.ts';

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');
const replicas = z.int().min(1).max(replicasMax);

const replicaRules = z.strictObject({
  default: replicas.prefault(2),
  /** The first rule that matches a repository wins. A blob that several have gets the most of theirs. */
  rules: z
    .array(
      z.strictObject({
        repositories: z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(replicaRulesMax)]),
        replicas,
      }),
    )
    .max(replicaRulesMax)
    .prefault([]),
});

const settings = z.strictObject({
  ...commonShape('index'),
  ...storeShape,
  listen: listenAt(15_004),
  /** All origins, as the proxies have them; left out: it asks none, and tags by Kraken's paths only what it knows. What goes to other clusters is read from them. */
  origins: memberEntries().min(1).optional(),
  ...membersShape(),
  ...krakenShape(),
  /** What repositories may hold (docs/quotas.md). */
  quotas: quotasShape(),
  /** Who is told of pushes and deletions (docs/events.md). */
  events: eventsShape(),
  /** What operators change here is written down: docs/audit.md. */
  audit: auditShape(),
  /** Clients' writes are refused (405), and nothing is condemned: while its state is copied or moved. */
  readOnly: z.boolean().prefault(false),
  /**
   * How long the bytes of a digest that nothing links to any more are kept: pushes that are under way, and second
   * thoughts. After that an origin that needs the room may remove them.
   */
  keepUnlinked: duration('1h'),
  /** What goes by itself, though nobody needs the room. */
  gc: gcShape(),
  /** Where tags rest beyond this disk: the same rules as the origins have. */
  backends: backendsShape(),
  /** How many origins hold each blob, by the repositories that have it. Left out: what the origins' own `replicas` says. */
  replicas: replicaRules.optional(),
  /** Other clusters and registries, and what goes there: docs/replication.md. */
  replicate: replicateShape(),
  manifests: z
    .strictObject({
      /**
       * Repositories, by pattern (core/oci/pattern.ts), that take an index whose manifests are not all there: copies of
       * some platforms, `skopeo copy --multi-arch=index-only`. A pull of one that is missing answers 404.
       */
      allowMissingChildren: z.array(pattern).prefault([]),
    })
    .prefault({}),
});

/** What goes together is looked at once each part is right by itself. */
export const indexSchema = settings.superRefine(({ store, backends, replicate, origins, quotas, gc }, ctx) => {
  const problems = [
    ...(store.kind === 'bucket' ? bucketProblems(store.backend, backends) : []),
    ...(replicate === undefined ? [] : circleProblems(replicate, backends)),
    ...(replicate === undefined || origins !== undefined ? [] : [noOrigins]),
    ...deleteProblems({ store, backends, origins }),
    ...retentionProblems({ store, gc }),
    ...quotaProblems(quotas, store.kind),
  ];
  for (const { path, message } of problems) ctx.addIssue({ code: 'custom', path: [...path], message });
});

const noOrigins = {
  path: ['replicate'],
  message: 'what goes to other clusters is read from the origins: name them in `origins`, as the proxies do',
};
