/** Jobs to a worker thread and back: over the ring that Shoal uses, and over postMessage. */

import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { Ring } from '../../platform/workers/ring.ts';
import {
  type Job,
  JobRecord,
  jobRecordBytes,
  VerdictRecord,
  verdictRecordBytes,
} from '../../platform/workers/shared.ts';
import type { AsyncMicroCase, MicroCase } from './runner.ts';

const records = 256;
/** As many as a busy agent has under way. */
export const flying = 64;

const job: Job = {
  kind: 'verifyWrite',
  id: 1,
  fd: 20,
  slot: 3,
  length: 262_144,
  stream: 0,
  position: 4e9,
  folded: false,
  believed: false,
  stamped: false,
  algorithm: 'sha256',
  expected: new Uint8Array(32).fill(7),
};

/** A put and a take on one thread: what the records and the counters cost, without a wake-up. */
export function ringAlone(): MicroCase {
  const ring = Ring.create(records, jobRecordBytes);
  const to = new JobRecord();
  const from = new JobRecord();
  let id = 0;
  return {
    name: 'ring: put and take a job',
    units: 1,
    run: () => {
      id = (id + 1) & 0xffff;
      ring.tryPut(to.write({ ...job, id }));
      ring.tryTake(from.bytes);
      return from.read().id;
    },
  };
}

/** What the threads are given: rings, or a port. */
export type EchoStart =
  | { readonly jobs: SharedArrayBuffer; readonly verdicts: SharedArrayBuffer }
  | { readonly port: import('node:worker_threads').MessagePort };

export async function ringEcho(stack: AsyncDisposableStack): Promise<AsyncMicroCase> {
  const jobs = Ring.create(records, jobRecordBytes);
  const verdicts = Ring.create(records, verdictRecordBytes);
  const worker = new Worker(new URL('./echo.ts', import.meta.url), {
    workerData: { jobs: jobs.memory, verdicts: verdicts.memory } satisfies EchoStart,
  });
  await once(worker, 'online');
  stack.defer(async () => {
    jobs.close();
    verdicts.close();
    await once(worker, 'exit');
  });
  const to = new JobRecord();
  const from = new VerdictRecord();
  return {
    name: `ring: ${flying} jobs to a thread and back`,
    units: flying,
    run: async () => {
      for (let id = 0; id < flying; id++) jobs.tryPut(to.write({ ...job, id }));
      let sum = 0;
      for (let got = 0; got < flying; ) {
        await verdicts.ready();
        while (verdicts.tryTake(from.bytes)) {
          sum += from.read().id;
          got++;
        }
      }
      return sum;
    },
  };
}

export async function messageEcho(stack: AsyncDisposableStack): Promise<AsyncMicroCase> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./echo.ts', import.meta.url), {
    workerData: { port: port2 } satisfies EchoStart,
    transferList: [port2],
  });
  await once(worker, 'online');
  stack.defer(async () => {
    port1.close();
    await once(worker, 'exit');
  });
  return {
    name: `postMessage: ${flying} jobs to a thread and back`,
    units: flying,
    run: () =>
      new Promise((resolve) => {
        let sum = 0;
        let got = 0;
        const hear = (verdict: { id: number }): void => {
          sum += verdict.id;
          got++;
          if (got < flying) return;
          port1.off('message', hear);
          resolve(sum);
        };
        port1.on('message', hear);
        for (let id = 0; id < flying; id++) port1.postMessage({ ...job, id });
      }),
  };
}
