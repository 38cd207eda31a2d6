/** The other thread of the ring's micro-benchmark: answers each job at once, over the way that it came. */

import { workerData } from 'node:worker_threads';
import { Ring } from '../../platform/workers/ring.ts';
import { type Job, JobRecord, VerdictRecord } from '../../platform/workers/shared.ts';
import type { EchoStart } from './ring.ts';

const start = workerData as EchoStart;
const nothing = new Uint8Array(0);

if ('port' in start) {
  const { port } = start;
  port.on('message', (job: Job) =>
    port.postMessage({ id: job.id, outcome: 'ok', errno: 0, digest: nothing, stamp: Number.NaN }),
  );
} else {
  const jobs = Ring.attach(start.jobs);
  const verdicts = Ring.attach(start.verdicts);
  const job = new JobRecord();
  const verdict = new VerdictRecord();
  while (jobs.take(job.bytes))
    verdicts.tryPut(verdict.write({ id: job.read().id, outcome: 'ok', errno: 0, digest: nothing, stamp: Number.NaN }));
}
