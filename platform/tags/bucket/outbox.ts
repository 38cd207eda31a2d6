/**
 * What a backend is to be told of, in a store that is a bucket: nothing yet. There is no transaction in which a row could be
 * left beside a write; docs/index-bucket.md says what it will be derived from. Who configures one beside a bucket is
 * refused at the start, so that none of this is asked for anything.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { TagStore } from '../store.ts';

type Part = Pick<
  TagStore,
  | 'due'
  | 'nextDueMs'
  | 'pending'
  | 'waiting'
  | 'outbox'
  | 'claim'
  | 'hold'
  | 'written'
  | 'failed'
  | 'retry'
  | 'drop'
  | 'refill'
  | 'backfill'
  | 'reroute'
  | 'adoptManifest'
  | 'adoptDeletion'
  | 'adoptBlob'
  | 'adoptTag'
>;

const refused = async (): Promise<never> => {
  throw new ApiError(
    'UNSUPPORTED',
    'an index whose store is a bucket brings nothing over from backends: take PostgreSQL, or SQLite, for that',
  );
};

export const noOutbox: Part = {
  due: async () => [],
  claim: async () => [],
  hold: async () => undefined,
  nextDueMs: async () => undefined,
  pending: async () => undefined,
  waiting: async () => [],
  outbox: async () => [],
  written: async () => undefined,
  failed: async () => undefined,
  retry: async () => 0,
  drop: async () => 0,
  refill: async () => 0,
  backfill: async () => [],
  reroute: async () => undefined,
  adoptManifest: refused,
  adoptDeletion: refused,
  adoptBlob: refused,
  adoptTag: refused,
};
