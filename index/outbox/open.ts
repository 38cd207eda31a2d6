/**
 * The outbox of an index at its start: what is older than the configuration is brought in line with it, and who tries its
 * rows (a lane for each target) is known to those who ask what waits. Loaded only where there are targets, or rows.
 */

import type { FastifyInstance } from 'fastify';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { OutboxHeard } from './heard.ts';
import { addOutboxRoutes } from './queue.ts';
import type { Targeting } from './targets.ts';

export type OutboxParts = {
  readonly store: TagStore;
  /** Undefined: none is configured. */
  readonly targets: Targeting | undefined;
  readonly heard: OutboxHeard;
  readonly log: Logger;
};

export type OpenedOutbox = {
  readonly addRoutes: (app: FastifyInstance) => void;
};

/** Before any lane is begun. */
export async function openOutbox({ store, targets, heard, log }: OutboxParts): Promise<OpenedOutbox> {
  const names = new Set(targets?.names);
  await store.reroute();
  for (let filled = await store.backfill(); filled.length > 0; filled = await store.backfill())
    for (const { repo, target } of filled)
      log.info({ repo, target }, 'what the repository holds is queued for its target');
  for (const { target, rows } of await store.outbox())
    if (!names.has(target))
      log.warn(
        { target, rows },
        `writes wait for ${target}, which the configuration does not name any more: name it again, or they stay here until \`shoal index queue drop --target ${target}\``,
      );
  const configured = (name: string): boolean => names.has(name);
  return { addRoutes: (app) => addOutboxRoutes(app, { store, heard, configured }) };
}
