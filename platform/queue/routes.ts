/** A queue over HTTP (core/contracts/queue.ts), for its operators. */

import type { FastifyInstance } from 'fastify';
import { QUEUE, type QueuedRow } from '../../core/contracts/queue.ts';
import { serve } from '../http/serve.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Queue } from './queue.ts';
import type { Row } from './row.ts';

export type QueueApi = {
  readonly queue: Pick<Queue, 'list' | 'stats' | 'retry' | 'drop'>;
  /** Rows are due now. */
  readonly wake: () => void;
  readonly log: Logger;
};

export function addQueueRoutes(app: FastifyInstance, { queue, wake, log }: QueueApi): void {
  serve(app, QUEUE.list, async ({ at: { n, after, lane, dead } }) => {
    const { rows, next } = await queue.list({ lane, dead }, { after, max: n });
    return { rows: rows.map(told), next };
  });
  serve(app, QUEUE.lanes, async () => {
    const lanes = await queue.stats();
    return {
      lanes: lanes.map(({ causes, ...lane }) => ({
        ...lane,
        causes: Object.entries(causes).map(([cause, rows]) => ({ cause, rows })),
      })),
    };
  });
  serve(app, QUEUE.retry, async ({ body: { key } }) => {
    const rows = await queue.retry(key);
    wake();
    return { rows };
  });
  serve(app, QUEUE.drop, async ({ body: { key } }) => {
    const rows = await queue.drop(key);
    if (rows > 0) log.warn({ key, rows }, 'dead rows of the queue were dropped by an operator');
    return { rows };
  });
}

function told({ key, lane, about, bytes, addedMs, dueMs, attempts, cause, message, dead }: Row): QueuedRow {
  return { key, lane, about, bytes, addedMs, dueMs, attempts, cause, message, dead };
}
