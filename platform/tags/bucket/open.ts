/**
 * The tag store in the bucket of a rule of `backends`: its kind's library is loaded by this.
 *
 * Rule 1: requests are not tried again here for long, as a backend's are: whoever asks an index is told at once.
 * Rule 2: a bucket that is not there at the start is waited for, and asked for by each call; one that cannot hold a store is
 *   refused with the reason.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { Counted } from '../../backends/around/counted.ts';
import { Watched } from '../../backends/around/watched.ts';
import { BackendError } from '../../backends/backend.ts';
import { type ConditionalObjects, conditionalObjects } from '../../backends/conditional.ts';
import type { BackendRule } from '../../backends/config.ts';
import { kindNamed } from '../../backends/kinds.ts';
import type { Env } from '../../config/yaml.ts';
import { StartError } from '../../lifecycle/errors.ts';
import type { Clock } from '../../net/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { guarded } from './requests/guard.ts';
import { type BucketStoreOptions, BucketTagStore } from './store.ts';

/** An object of the index is small: one that does not come in so long hangs, whatever the rule says of large ones. */
const stallMsMax = 5_000;
/** What was left undone by a process that died is done so much later at most. */
const mendEveryMs = 60_000;

export type BucketOpening = {
  readonly rule: BackendRule;
  readonly prefix: string;
  readonly hangs?: BucketStoreOptions['hangs'];
  readonly outbox?: BucketStoreOptions['outbox'];
  readonly env: Env;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
};

/** Throws StartError where it can never be used so. */
export async function openBucketTags({
  rule,
  prefix,
  hangs,
  outbox,
  ...given
}: BucketOpening): Promise<BucketTagStore> {
  const { clock, log } = given;
  const { objects, close } = await bucketObjects(rule, given);
  const store = new BucketTagStore({
    ...(hangs && { hangs }),
    objects,
    prefix,
    outbox,
    time: clock,
    close,
  });
  try {
    await store.start();
  } catch (error) {
    const unfit = error instanceof BackendError && error.why === 'unsupported';
    if (unfit) await store[Symbol.asyncDispose]();
    if (unfit) throw new StartError(`store: ${error.message}`);
    log.warn(saying(error), 'the bucket of the index does not answer: requests are answered 503 until it does');
  }
  mending(store, given);
  return store;
}

/** What the rule names, as objects that are written under conditions. Throws StartError where it has none. */
export async function bucketObjects(
  { name, kind, settings, stallMs: stallMsAsked }: BackendRule,
  given: Pick<BucketOpening, 'env' | 'clock' | 'log' | 'metrics'>,
): Promise<{ readonly objects: ConditionalObjects; readonly close: () => Promise<void> }> {
  const opening = { ...given, name, stallMs: Math.min(stallMsAsked, stallMsMax) };
  const bare = await kindNamed(kind).open(settings, opening);
  const backend = new Counted(new Watched(bare, opening), opening);
  const objects = guarded(
    usable(() => conditionalObjects(backend)),
    given.clock,
  );
  return { objects, close: () => backend[Symbol.asyncDispose]() };
}

/** What is foreseen is one line, without where in the code it was noticed. */
const saying = (error: unknown): object =>
  error instanceof BackendError || error instanceof ApiError ? { why: error.message } : { err: error };

function usable(open: () => ConditionalObjects): ConditionalObjects {
  try {
    return open();
  } catch (error) {
    throw error instanceof BackendError ? new StartError(`store: ${error.message}`) : error;
  }
}

/** Until the store is closed. */
function mending(store: BucketTagStore, { clock, log }: Pick<BucketOpening, 'clock' | 'log'>): void {
  let timer: Disposable | undefined;
  const mend = async (): Promise<void> => {
    await store.mend().catch((error: unknown) => log.warn(saying(error), 'what was left undone is not done yet'));
    if (!store.closed) timer = clock.after(mendEveryMs, () => void mend());
  };
  store.atEnd(() => timer?.[Symbol.dispose]());
  void mend();
}
