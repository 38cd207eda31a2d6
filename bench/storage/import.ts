/** `shoal import` of a large bucket: what the index takes of memory and time. The bucket is this process (generated.ts). */

import { join } from 'node:path';
import { importFrom } from '../../cli/commands/import.ts';
import { BenchError } from '../../harness/error.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { ResidentPeak, residentMiB } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { GeneratedBucket } from './generated.ts';
import type { StorageSizes } from './sizes.ts';

/** The database, with room: about 4 KiB a tag. */
const bytesPerTag = 16 * 1024;
const leastBytes = 64 * 2 ** 20;

export async function importMeasures({ tags }: StorageSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const bucket = stack.use(await GeneratedBucket.start(tags));
  const s3 = {
    ...{ bucket: 'images', endpoint: bucket.url, region: 'us-east-1' },
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  };
  const keys = { blobs: 'sharded_docker_blob', tags: 'docker_tag' };
  const index = stack.use(
    await RoleProcess.start({
      role: 'index',
      name: 'index',
      dir: join(memoryDirectory(stack, leastBytes + tags * bytesPerTag), 'index'),
      config: {
        log: { level: 'warn' },
        listen: { host: '127.0.0.1', port: 0 },
        backends: [{ name: 'kraken', shared: true, keys, s3 }],
      },
    }),
  );
  const idle = residentMiB(index.pid);
  const url = `http://127.0.0.1:${index.ports['api']}`;
  const dry = await run(url, { apply: false, pid: index.pid });
  const applied = await run(url, { apply: true, pid: index.pid });
  const expected = { tags, added: tags, broken: 0, looked: bucket.objects, foreign: { count: 1 } };
  for (const { said } of [dry, applied]) checked(said, expected);
  return {
    importObjects: bucket.objects,
    importTags: tags,
    importDrySeconds: dry.seconds,
    importSeconds: applied.seconds,
    importRequestsPerTag: bucket.requests / tags / 2,
    importIndexIdleRssMiB: idle,
    importIndexRssMiB: Math.max(dry.peak, applied.peak),
  };
}

type Said = { tags: number; added: number; broken: number; looked: number; foreign: { count: number } };

async function run(index: string, { apply, pid }: { readonly apply: boolean; readonly pid: number }) {
  const peak = new ResidentPeak(pid);
  const startedMs = performance.now();
  let last = '';
  const each = { index, apply, backend: 'kraken', overwrite: false, json: true };
  const signal = new AbortController().signal;
  await importFrom({ ...each, signal, screen: process.stderr }, (line) => {
    last = line;
  });
  const seconds = (performance.now() - startedMs) / 1000;
  return { seconds, peak: peak.stop(), said: JSON.parse(last) as Said };
}

/** A figure of an import that has not brought everything would be none. */
function checked({ tags, added, broken, looked, foreign }: Said, expected: Said): void {
  const said = JSON.stringify({ tags, added, broken, looked, foreign: { count: foreign.count } });
  if (said !== JSON.stringify(expected))
    throw new BenchError(`the import came to ${said}, not to ${JSON.stringify(expected)}`);
}
