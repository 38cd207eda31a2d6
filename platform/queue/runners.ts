/** Where a queue's database lives: in a thread of its own, or in this one, for tests and for whoever has virtual time. */

import { Worker } from 'node:worker_threads';
import { entryUrl } from '../lifecycle/entry.ts';
import { StartError } from '../lifecycle/errors.ts';
import { type Call, type CallRunner, type CallsOutcome, makeCalls } from './calls.ts';
import { openQueueFile, type QueueFileOptions } from './file.ts';
import type { FromThread, ToThread } from './thread.ts';

/** SQLite keeps its pages outside of V8's heap: what the thread itself holds is one group of calls. */
const threadLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 1 };

export type Runner = CallRunner & {
  /** The database was, and lies there now; this one is new. */
  readonly damaged: { readonly file: string; readonly why: string } | undefined;
};

/** Throws StartError. `onBroken`: the disk failed, nothing more is taken. */
export function runHere(options: QueueFileOptions, onBroken: (error: Error) => void): Runner {
  const { db, table, damaged } = openQueueFile(options, onBroken);
  return {
    damaged,
    run: async (calls) => makeCalls(db, table, calls),
    [Symbol.asyncDispose]: async () => db[Symbol.dispose](),
  };
}

/** Rejects with StartError. */
export async function runInThread(options: QueueFileOptions, onBroken: (error: Error) => void): Promise<Runner> {
  const thread = new Worker(entryUrl('./thread.ts', import.meta.url), {
    workerData: options,
    resourceLimits: threadLimits,
    env: {},
  });
  const asked: PromiseWithResolvers<FromThread>[] = [];
  let ended: Error | undefined;
  const answer = (): Promise<FromThread> => {
    if (ended !== undefined) return Promise.reject(ended);
    const next = Promise.withResolvers<FromThread>();
    asked.push(next);
    return next.promise;
  };
  const end = (error: Error): void => {
    ended ??= error;
    for (const one of asked.splice(0)) one.reject(error);
  };
  const first = answer();
  thread.on('message', (message: FromThread) => asked.shift()?.resolve(message));
  thread.on('error', (error) => {
    const opened = ended === undefined;
    end(error as Error);
    if (opened) onBroken(error as Error);
  });
  thread.on('exit', () => end(new Error(`the thread of the ${options.name} has ended`)));
  const opened = await first;
  if (!('opened' in opened)) throw new StartError('refused' in opened ? opened.refused : `${options.name}: no answer`);
  const ask = (message: ToThread): Promise<FromThread> => {
    const next = answer();
    thread.postMessage(message);
    return next;
  };
  return {
    ...opened.opened,
    run: async (calls: readonly Call[]): Promise<CallsOutcome> => {
      const told = await ask({ calls });
      return 'outcomes' in told ? told.outcomes : [];
    },
    [Symbol.asyncDispose]: async () => {
      await ask({ close: true }).catch(() => undefined);
      await thread.terminate();
    },
  };
}
