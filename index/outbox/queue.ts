/**
 * What waits in the index for its targets, for its operators: as an origin's queue is looked at (core/contracts/queue.ts).
 *
 * Rule 1: a key is `kind/repository/name@target`, and `~number` after it where the target has a row of each write; without
 *   `@target`, which a release before did not have, it is of every target. `@target` alone is all that waits for that one.
 * Rule 2: only what is dead is dropped, or what waits for a target that the configuration does not name any more: all else
 *   was promised, and is tried for as long as it takes.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { QUEUE, type QueuedRow, type QueueLane } from '../../core/contracts/queue.ts';
import { serve } from '../../platform/http/serve.ts';
import type { OutboxChoice, OutboxKey, OutboxState, OutboxWaiting } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';

/** In the words of whoever failed. */
export type Why = { readonly cause: string; readonly message: string };

/** Who tries the rows of a target. */
export type TargetLane = {
  /** A write of this process may have left it rows. */
  kick(): void;
  /** Rows are due now, whatever was before. */
  wake(): void;
  /** Why a row failed the last time, as far as that is remembered. */
  why(row: OutboxKey): Why | undefined;
};

type OutboxApi = {
  readonly store: Pick<TagStore, 'waiting' | 'outbox' | 'retry' | 'drop'>;
  readonly heard: {
    /** By the name of the target. */
    readonly lanes: ReadonlyMap<string, TargetLane>;
    /** Rows that were left out, by target. */
    lost(): ReadonlyMap<string, number>;
  };
  /** Whether the configuration names that target. */
  readonly configured: (target: string) => boolean;
};

export function addOutboxRoutes(app: FastifyInstance, { store, heard, configured }: OutboxApi): void {
  const { lanes } = heard;
  serve(app, QUEUE.list, async ({ at: { n, after = 0, lane, dead } }) => {
    const rows = await store.waiting(after, n, { target: lane, dead });
    const told = rows.map((row) => toldOf(row, lanes.get(row.target)?.why(row)));
    return { rows: told, next: rows.length < n ? undefined : after + n };
  });
  serve(app, QUEUE.lanes, async () => ({ lanes: lanesOf(await store.outbox(), heard.lost()) }));
  serve(app, QUEUE.retry, async ({ body: { key } }) => {
    const rows = await store.retry(key === undefined ? {} : choiceIn(key));
    for (const lane of lanes.values()) lane.wake();
    return { rows };
  });
  serve(app, QUEUE.drop, async ({ body: { key } }) => {
    const choice = key === undefined ? {} : choiceIn(key);
    const given = choice.target !== undefined && !configured(choice.target);
    return { rows: await store.drop(given ? choice : { ...choice, dead: true }) };
  });
}

function toldOf(
  { target, sinceMs, dueMs, attempts, cause, dead, ...key }: OutboxWaiting,
  why: Why | undefined,
): QueuedRow {
  const about = { key: textOf({ ...key, target }), lane: target, about: key.name, bytes: 0 };
  const last = { cause: why?.cause ?? cause ?? '', message: why?.message ?? '' };
  return { ...about, addedMs: sinceMs, dueMs, attempts, ...last, dead };
}

function lanesOf(states: readonly OutboxState[], lost: ReadonlyMap<string, number>): QueueLane[] {
  const byTarget = Map.groupBy(states, ({ target }) => target);
  return [...new Set([...byTarget.keys(), ...lost.keys()])].map((lane) => {
    const of = byTarget.get(lane) ?? [];
    const [dead, alive] = [of.filter((state) => state.dead), of.filter((state) => !state.dead)];
    const count = (some: readonly OutboxState[]): number => some.reduce((sum, { rows }) => sum + rows, 0);
    return {
      ...{ lane, bytes: 0, waiting: count(alive), dead: count(dead) },
      ...(lost.has(lane) ? { lost: lost.get(lane) } : {}),
      ...(alive.length === 0 ? {} : { oldestMs: Math.min(...alive.map(({ sinceMs }) => sinceMs)) }),
      causes: of.flatMap(({ cause, rows }) => (cause === null ? [] : [{ cause, rows }])),
    };
  });
}

/** None of the parts has a slash but the repository, none an @. */
function textOf({ target, repo, kind, name, slot }: OutboxKey): string {
  return `${kind}/${repo}/${name}@${target}${slot === undefined ? '' : `~${slot}`}`;
}

/** What `text` names. */
function choiceIn(text: string): OutboxChoice {
  const [key = '', at, ...more] = text.split('@');
  const [target, slot, ...rest] = at === undefined ? [] : at.split('~');
  const wrong = more.length > 0 || rest.length > 0 || target === '' || (slot !== undefined && !/^\d{1,16}$/.test(slot));
  const of = { target, ...(slot === undefined ? {} : { slot: Number(slot) }) };
  if (!wrong && key === '' && target !== undefined && slot === undefined) return of;
  const [kind = '', ...parts] = key.split('/');
  const name = parts.pop();
  const repo = parts.join('/');
  const known = kind === 'tag' || kind === 'manifest' || kind === 'blob';
  if (!wrong && known && repo !== '' && name !== undefined) return { ...of, kind, repo, name };
  throw new ApiError(
    'REQUEST_INVALID',
    `${text} is no key of this queue: kind/repository/name@target, as its list shows them, or @target for all of one`,
  );
}
