/**
 * What waits in the index for its backends, for its operators: as an origin's queue is looked at (core/contracts/queue.ts).
 *
 * Rule: nothing here is ever dead, and nothing is dropped: a tag that was acknowledged is tried for as long as it takes.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { QUEUE, type QueuedRow, type QueueLane } from '../../core/contracts/queue.ts';
import { serve } from '../../platform/http/serve.ts';
import type { OutboxKey, OutboxState, OutboxWaiting } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Why } from './lane/lane.ts';

export type OutboxApi = {
  readonly store: Pick<TagStore, 'waiting' | 'outbox' | 'retry'>;
  /** Rows are due now, whatever a backend did before. */
  readonly wake: () => void;
  /** In words, as far as they are remembered. */
  readonly why: (row: OutboxWaiting) => Why | undefined;
};

export function addOutboxRoutes(app: FastifyInstance, { store, wake, why }: OutboxApi): void {
  serve(app, QUEUE.list, async ({ at: { n, after = 0, lane, dead } }) => {
    if (dead === true) return { rows: [] };
    const rows = await store.waiting(after, n);
    const wanted = rows.filter(({ backend }) => lane === undefined || backend === lane);
    return { rows: wanted.map((row) => told(row, why(row))), next: rows.length < n ? undefined : after + n };
  });
  serve(app, QUEUE.lanes, async () => ({ lanes: lanesOf(await store.outbox()) }));
  serve(app, QUEUE.retry, async ({ body: { key } }) => {
    const rows = await store.retry(key === undefined ? undefined : keyIn(key));
    wake();
    return { rows };
  });
}

function told({ backend, sinceMs, dueMs, attempts, cause, ...key }: OutboxWaiting, why: Why | undefined): QueuedRow {
  const about = { key: textOf(key), lane: backend, about: key.name, bytes: 0 };
  const last = { cause: why?.cause ?? cause ?? '', message: why?.message ?? '' };
  return { ...about, addedMs: sinceMs, dueMs, attempts, ...last, dead: false };
}

function lanesOf(states: readonly OutboxState[]): QueueLane[] {
  return [...Map.groupBy(states, ({ backend }) => backend)].map(([lane, of]) => ({
    ...{ lane, bytes: 0, dead: 0 },
    waiting: of.reduce((sum, { rows }) => sum + rows, 0),
    oldestMs: Math.min(...of.map(({ sinceMs }) => sinceMs)),
    causes: of.flatMap(({ cause, rows }) => (cause === null ? [] : [{ cause, rows }])),
  }));
}

/** None of the three has a slash but the repository. */
function textOf({ repo, kind, name }: OutboxKey): string {
  return `${kind}/${repo}/${name}`;
}

function keyIn(text: string): OutboxKey {
  const [kind = '', ...rest] = text.split('/');
  const name = rest.pop();
  const repo = rest.join('/');
  const known = kind === 'tag' || kind === 'manifest' || kind === 'blob';
  if (known && repo !== '' && name !== undefined) return { kind, repo, name };
  throw new ApiError(
    'REQUEST_INVALID',
    `${text} is no key of this queue: kind/repository/name, as its list shows them`,
  );
}
