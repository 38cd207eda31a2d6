/** What an operator asks of a durable queue, of whichever process has one: what waits, what failed, again, never. */

import { byteCount } from './fields.ts';
import { closed, digits, flag, listOf, Malformed, optional, type Parser, record, text, whole } from './parse.ts';
import { route } from './route.ts';

export const queuePageMax = 1000;
const keyMax = 1024;
const messageMax = 4096;
const causesMax = 64;
const lanesMax = 1000;

export type QueuedRow = {
  readonly key: string;
  /** What it waits for: the backend's name. */
  readonly lane: string;
  /** What it is about: a digest, or a tag. */
  readonly about: string;
  readonly bytes: number;
  /** Since the epoch, milliseconds. */
  readonly addedMs: number;
  readonly dueMs: number;
  /** That failed. */
  readonly attempts: number;
  /** Of the last failure; empty: none. */
  readonly cause: string;
  readonly message: string;
  /** It is not tried again by itself. */
  readonly dead: boolean;
};
/** In the order in which they were added. `next`: `after` of the next page. */
export type QueuePage = { readonly rows: readonly QueuedRow[]; readonly next?: number | undefined };

export type QueueLane = {
  readonly lane: string;
  /** Rows that are not dead, and the bytes that they are about. */
  readonly waiting: number;
  readonly bytes: number;
  readonly dead: number;
  /** Of what was written since this process began, what left no row, as too much waited. */
  readonly lost?: number | undefined;
  /** When the oldest row that is not dead was added. */
  readonly oldestMs?: number | undefined;
  /** Rows by the cause of their last failure. */
  readonly causes: readonly { readonly cause: string; readonly rows: number }[];
};
/** One row, or all that are dead. */
export type QueueChoice = { readonly key?: string | undefined };

const row: Parser<QueuedRow> = record({
  key: text(keyMax, 1),
  lane: text(keyMax, 1),
  about: text(keyMax),
  bytes: byteCount,
  addedMs: byteCount,
  dueMs: byteCount,
  attempts: byteCount,
  cause: text(keyMax),
  message: text(messageMax),
  dead: flag,
});
const causes = listOf(record({ cause: text(keyMax), rows: byteCount }), causesMax);
const lane: Parser<QueueLane> = record({
  lane: text(keyMax, 1),
  waiting: byteCount,
  bytes: byteCount,
  dead: byteCount,
  lost: optional(byteCount),
  oldestMs: optional(byteCount),
  causes,
});
const truth: Parser<boolean | undefined> = (value) => {
  if (value === undefined) return undefined;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Malformed('is neither true nor false');
};
const pageRows: Parser<number> = (value) =>
  Math.min(value === undefined ? queuePageMax : digits(999_999_999)(value), queuePageMax);
const after: Parser<number | undefined> = (value) =>
  value === undefined ? undefined : digits(Number.MAX_SAFE_INTEGER)(value);
const choice = closed({ key: optional(text(keyMax, 1)) }) satisfies Parser<QueueChoice>;
const changed = record({ rows: whole(Number.MAX_SAFE_INTEGER) });

export const QUEUE = {
  list: route('GET', '/v1/queue', {
    query: { n: pageRows, after, lane: optional(text(keyMax, 1)), dead: truth },
    reply: record({ rows: listOf(row, queuePageMax), next: optional(byteCount) }) satisfies Parser<QueuePage>,
  }),
  lanes: route('GET', '/v1/queue/lanes', { reply: record({ lanes: listOf(lane, lanesMax) }) }),
  /** Tried again now. Answers how many. */
  retry: route('POST', '/v1/queue/retries', { body: choice, reply: changed }),
  /** Never again: what was promised of them is given up. Only of what is dead. */
  drop: route('POST', '/v1/queue/drops', { body: choice, reply: changed }),
} as const;
