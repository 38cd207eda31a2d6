/** Where an origin gets its write-backs; one without a backend loads nothing of them. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { Drain } from '../../platform/lifecycle/drain.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { OriginBlobs } from '../blobs.ts';
import type { OriginConfig } from '../config.ts';
import type { Owed } from './owed.ts';
import type { OpenBlob } from './upload.ts';
import type { WriteBack, WriteBackOptions } from './write-back.ts';

/** Blobs that wait for a backend: a day of a busy cluster, some 500 MB of database. */
const rowsMax = 1_000_000;

/** Without a backend in the configuration: what an earlier process owed one is not forgotten silently. */
export function noteQueue({ config, log }: Pick<RoleContext<OriginConfig>, 'config' | 'log'>): void {
  const file = queueFile(config);
  if (existsSync(file))
    log.warn({ file }, 'no backend is configured: what this origin still owed one, if anything, is not written back');
}

/** The queue of the origin's data directory; closed with the stack. Throws StartError. */
export async function openQueue(
  { config, log }: Pick<RoleContext<OriginConfig>, 'config' | 'log'>,
  stack: AsyncDisposableStack,
): Promise<Queue> {
  const { Queue } = await import('../../platform/queue/queue.ts');
  const { runInThread } = await import('../../platform/queue/runners.ts');
  const { prng } = await import('../../core/prng.ts');
  const file = queueFile(config);
  const runner = await runInThread({ file, name: 'write-back queue', rowsMax }, (error) => {
    log.fatal({ err: error }, 'the write-back queue failed: the process ends, the next one recovers from its log');
    setImmediate(() => {
      throw error;
    });
  });
  if (runner.damaged !== undefined)
    log.error(
      { ...runner.damaged },
      'the write-back queue was damaged, and is kept under that name: what it held is found again from the blobs here, which are compared with the backends',
    );
  return stack.use(new Queue({ runner, nowMs: Date.now, random: prng(Date.now()) }));
}

function queueFile({ data }: Pick<OriginConfig, 'data'>): string {
  return join(data, 'queue.db');
}

type Parts = Pick<WriteBackOptions, 'backends' | 'queue' | 'origins' | 'self'> & {
  readonly store: Pick<BlobStore, 'whole' | 'blobs'>;
  /** Absent: none is configured. */
  readonly index: Pick<IndexClient, 'holders'> | undefined;
  readonly blobs: Pick<OriginBlobs, 'content'>;
};

/** It has begun; closed with the stack. */
export async function openWriteBack(
  { config, log, metrics }: Pick<RoleContext<OriginConfig>, 'config' | 'log' | 'metrics'>,
  { store, blobs, index, ...parts }: Parts,
  stack: AsyncDisposableStack,
): Promise<WriteBack> {
  const { WriteBack } = await import('./write-back.ts');
  const { observeQueue, writeBackCounts } = await import('./metrics.ts');
  const { Rebuild } = await import('./rebuild.ts');
  const { prng } = await import('../../core/prng.ts');
  stack.use(observeQueue(metrics, parts.queue, log));
  const find = async ({ digest }: Owed): Promise<OpenBlob | undefined> => {
    const entry = await store.whole(digest, 'size');
    if (entry === undefined) return undefined;
    return (start, end, signal) => blobs.content(entry, signal).open(start, end);
  };
  const writeBack = new WriteBack({
    ...parts,
    find,
    counts: writeBackCounts(metrics),
    clock: realClock,
    wallMs: Date.now,
    random: prng(Date.now()),
    log,
  });
  stack.use(writeBack);
  writeBack.begin();
  const rebuild = new Rebuild({
    queue: parts.queue,
    rules: JSON.stringify(config.backends.map(({ patterns, name }) => [patterns, name])),
    blobs: () => store.blobs(),
    owe: (owing) => writeBack.owe(owing),
    holders: index && ((digest, page, ctx) => index.holders(digest, page, ctx)),
    clock: realClock,
    log,
  });
  stack.use(rebuild);
  void rebuild.run();
  return writeBack;
}

/** What is being written may finish; what is not begun waits for the next process. */
export function restAtEnd(writeBack: Pick<WriteBack, 'rest' | 'underWay'>, drain: Drain): void {
  drain.onStart(() => void writeBack.rest());
  drain.watch('write-backs', () => writeBack.underWay);
}
