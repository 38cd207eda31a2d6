/**
 * How fast an origin writes a pushed blob back to its bucket, beside `aws s3 cp` of as many bytes: from the answer to the
 * push until the bucket has the object.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { uploadRandom } from '../../harness/blob.ts';
import { Cluster } from '../../harness/cluster.ts';
import { BenchError } from '../../harness/error.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import { type Contestant, contest, type Sample } from '../pull/contest.ts';
import { Bucket, makeBlob } from './bucket.ts';
import type { StorageSizes } from './sizes.ts';

type Name = 'writeBack' | 'copyIn';
const lookEveryMs = 20;
const writtenMsMax = 300_000;

export async function writeBackMeasures({ blob: bytes, rounds }: StorageSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  // Of each round: the origin's copy, and two in the bucket.
  const dir = memoryDirectory(stack, bytes * (2 + 3 * rounds));
  const bucket = stack.use(await Bucket.start(dir));
  const backends = [{ name: 'bucket', s3: bucket.settings(bucket.url) }];
  const cluster = stack.use(await Cluster.start({ dir, logLevel: 'warn', backends }));
  const copied = makeBlob(join(dir, 'blob'), bytes);
  let by = '';
  const writeBack = async (): Promise<Sample> => {
    const blob = await uploadRandom(cluster.originUrl, bytes);
    const cpu = cpuSeconds(cluster.origin.pid);
    const startedMs = performance.now();
    while (!(await bucket.holds(blob))) {
      if (performance.now() - startedMs > writtenMsMax) throw new BenchError('the blob was not written back');
      await sleep(lookEveryMs);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    return { seconds, cpuS: { origin: cpuSeconds(cluster.origin.pid) - cpu } };
  };
  const copyIn = async (): Promise<Sample> => {
    const { seconds, by: who } = await bucket.copyIn(copied);
    by = who;
    return { seconds };
  };
  const contestants: Contestant<Name>[] = [
    { name: 'writeBack', touches: 2 * bytes, run: writeBack },
    { name: 'copyIn', touches: bytes, run: copyIn },
  ];
  const results = await contest(dir, contestants, rounds);
  return {
    writeBackRatio: rounded(results.speedRatio('writeBack', 'copyIn')),
    writeBackMBps: rounded(bytes / 1e6 / results.seconds('writeBack')),
    [by === 'lib-storage' ? 'writeBackLibStorageMBps' : 'writeBackAwsS3CpMBps']: rounded(
      bytes / 1e6 / results.seconds('copyIn'),
    ),
    writeBackCpuSPerGB: rounded(results.cpuS('writeBack', 'origin') / (bytes / 1e9)),
  };
}
