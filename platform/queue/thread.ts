/** The thread of one queue's database: a sync to disk takes as long as the disk does, and nobody else stands still for it. */

import { parentPort, workerData } from 'node:worker_threads';
import { type Call, type CallsOutcome, makeCalls } from './calls.ts';
import { openQueueFile, type QueueFileOptions } from './file.ts';

/** To the thread. */
export type ToThread = { readonly calls: readonly Call[] } | { readonly close: true };
/** From it, an answer to each, in order. */
export type FromThread =
  | { readonly opened: { readonly damaged: { file: string; why: string } | undefined } }
  | { readonly refused: string }
  | { readonly outcomes: CallsOutcome }
  | { readonly done: true };

function serve(options: QueueFileOptions, port: NonNullable<typeof parentPort>): void {
  const tell = (message: FromThread): void => port.postMessage(message);
  // What breaks the database is thrown where it happens, and ends the thread.
  const queue = openQueueFile(options, () => undefined);
  port.on('message', (message: ToThread) => {
    if ('calls' in message) return tell({ outcomes: makeCalls(queue.db, queue.table, message.calls) });
    queue.db[Symbol.dispose]();
    tell({ done: true });
    port.close();
  });
  tell({ opened: { damaged: queue.damaged } });
}

if (parentPort !== null) {
  try {
    serve(workerData as QueueFileOptions, parentPort);
  } catch (error) {
    parentPort.postMessage({ refused: (error as Error).message } satisfies FromThread);
    parentPort.close();
  }
}
