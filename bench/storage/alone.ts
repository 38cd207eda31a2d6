/** The kind s3 by itself, without a cluster: how fast it writes and reads, beside `aws s3 cp` and curl. */

import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { memoryDirectory } from '../../harness/memory.ts';
import { rounded } from '../../harness/numbers.ts';
import type { Figures } from '../../harness/report.ts';
import type { ObjectSource } from '../../platform/backends/backend.ts';
import { s3Schema } from '../../platform/backends/s3/config.ts';
import { S3Backend } from '../../platform/backends/s3/s3.ts';
import { realClock } from '../../platform/net/clock.ts';
import { createLog } from '../../platform/telemetry/log.ts';
import { type Contestant, contest } from '../pull/contest.ts';
import { type BlobFile, Bucket, makeBlob } from './bucket.ts';
import type { StorageSizes } from './sizes.ts';

type Name = 'write' | 'copyIn' | 'read' | 'curl';
const stallMs = 60_000;
const readBytes = 1024 * 1024;
const never = new AbortController().signal;

export async function aloneMeasures({ blob: bytes, rounds }: StorageSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, bytes * 4.2);
  const bucket = stack.use(await Bucket.start(dir));
  const blob = makeBlob(join(dir, 'blob'), bytes);
  const log = createLog({ role: 'origin', level: 'warn', name: '' });
  const settings = s3Schema.parse(bucket.settings(bucket.url));
  const opening = { name: 'bench', stallMs, env: {}, clock: realClock, log };
  const backend = stack.use(new S3Backend(settings, opening));
  await backend.probe(never);
  let by = '';
  const contestants: Contestant<Name>[] = [
    { name: 'write', touches: bytes, run: () => seconds(() => backend.write('ours', sourceOf(blob), never)) },
    {
      name: 'copyIn',
      touches: bytes,
      run: async () => {
        const copied = await bucket.copyIn(blob);
        by = copied.by;
        return copied;
      },
    },
    { name: 'read', touches: 0, run: () => seconds(() => readAll(backend, bytes)) },
    { name: 'curl', touches: 0, run: async () => ({ seconds: await bucket.curlSeconds(bucket.url, blob) }) },
  ];
  const results = await contest(dir, contestants, rounds);
  const rate = (name: Name): number => rounded(bytes / 1e6 / results.seconds(name));
  return {
    s3WriteMBps: rate('write'),
    [by === 'lib-storage' ? 'libStorageMBps' : 'awsS3CpMBps']: rate('copyIn'),
    s3WriteRatio: rounded(results.speedRatio('write', 'copyIn')),
    s3ReadMBps: rate('read'),
    s3CurlMBps: rate('curl'),
    s3ReadRatio: rounded(results.speedRatio('read', 'curl')),
  };
}

async function seconds(work: () => Promise<unknown>): Promise<{ seconds: number; cpuS: { bench: number } }> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - startedMs) / 1000, cpuS: { bench: (user + system) / 1e6 } };
}

async function readAll(backend: S3Backend, end: number): Promise<void> {
  let bytes = 0;
  for await (const chunk of backend.read('ours', { start: 0, end }, never)) bytes += chunk.length;
  if (bytes !== end) throw new Error(`read ${bytes} of ${end} bytes`);
}

function sourceOf({ file, bytes, digest }: BlobFile): ObjectSource {
  return {
    size: bytes,
    digest,
    read: (start, end) => createReadStream(file, { start, end: end - 1, highWaterMark: readBytes }),
  };
}
