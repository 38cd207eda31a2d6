/**
 * `npm run loadgen -- pull`: HTTP load on a real agent and a real proxy. Blobs are cached at the agent before
 * anything counts; `bench pull` measures cold ones.
 */

import { type Dispatcher, Pool } from 'undici';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { prng } from '../../core/prng.ts';
import { type Blob, pushRandom } from '../../harness/blob.ts';
import { blobUrl, Cluster } from '../../harness/cluster.ts';
import { together } from '../../harness/lanes.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { cpuSeconds, loadAverage } from '../../harness/proc.ts';
import type { Kind, PullOptions, Target } from './options.ts';

const rangeBytes = 64 * 1024;
const uploadLanes = 8;
/** On disk a small blob takes a page or two. */
const blobBytesMin = 16 * 1024;

type Asked = { readonly base: string; readonly pid: number };
export type Line = {
  readonly target: Target;
  readonly kind: Kind;
  readonly requestsPerS: number;
  readonly gbPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsPerRequest: number;
};

export async function runPullCommand(options: PullOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, options.blobs * Math.max(options.size, blobBytesMin) * 2.2);
  const cluster = stack.use(await Cluster.start({ dir, logLevel: 'warn' }));
  const agent = await cluster.agent();
  const asked: Record<Target, Asked> = {
    agent: { base: agent.registry, pid: agent.process.pid },
    proxy: await cluster.proxy(),
  };
  const proxy = asked.proxy.base;
  const blobs: Blob[] = [];
  await together(uploadLanes, options.blobs, async () => {
    blobs.push(await pushRandom(proxy, options.size));
  });
  await together(uploadLanes, options.blobs, async (i) => {
    await (await fetch(blobUrl(agent, (blobs[i] as Blob).digest))).arrayBuffer();
  });
  const loadBefore = loadAverage();
  const lines: Line[] = [];
  for (const target of options.targets) {
    for (const kind of options.kinds) {
      const line = await load(asked[target], blobs, options, { target, kind });
      lines.push(line);
      process.stdout.write(
        `${target} ${kind}: ${line.requestsPerS} requests/s, ${line.gbPerS} GB/s, p50 ${line.p50Ms} ms, p99 ${line.p99Ms} ms, ${line.cpuMsPerRequest} CPU ms a request\n`,
      );
    }
  }
  const { blobs: count, size: bytes, readers } = options;
  if (options.json) process.stdout.write(`${JSON.stringify({ blobs: count, bytes, readers, loadBefore, lines })}\n`);
}

async function load(
  { base, pid }: Asked,
  blobs: readonly Blob[],
  options: PullOptions,
  what: { readonly target: Target; readonly kind: Kind },
): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const pool = new Pool(base, { connections: options.readers, pipelining: 1 });
  stack.defer(() => pool.close());
  const random = prng(1);
  const ms: number[] = [];
  let bytes = 0;
  const cpuBefore = cpuSeconds(pid);
  const startedMs = performance.now();
  const lane = async (): Promise<void> => {
    while (performance.now() - startedMs < options.durationMs) {
      const sentMs = performance.now();
      // Not `bytes += await …`: that would add to what it was before the wait.
      const got = await ask(pool, blobs[random.below(blobs.length)] as Blob, what.kind);
      bytes += got;
      ms.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: options.readers }, lane));
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    ...what,
    requestsPerS: rounded(ms.length / seconds),
    gbPerS: rounded(bytes / 1e9 / seconds),
    p50Ms: rounded(percentile(ms, 0.5)),
    p99Ms: rounded(percentile(ms, 0.99)),
    cpuMsPerRequest: rounded(((cpuSeconds(pid) - cpuBefore) * 1000) / ms.length),
  };
}

/** Bytes of the answer's body. */
async function ask(pool: Pool, { digest, bytes }: Blob, kind: Kind): Promise<number> {
  const path = OCI_PATHS.blob('bench', digest);
  if (kind === 'head') return await body(pool, { method: 'HEAD', path }, 200);
  if (kind === 'blob') return await body(pool, { method: 'GET', path }, 200);
  const from = Math.max(0, Math.floor((bytes - rangeBytes) / 2));
  const range = `bytes=${from}-${Math.min(bytes, from + rangeBytes) - 1}`;
  return await body(pool, { method: 'GET', path, headers: { range } }, 206);
}

async function body(pool: Pool, request: Dispatcher.RequestOptions, status: number): Promise<number> {
  const reply = await pool.request(request);
  let bytes = 0;
  for await (const chunk of reply.body) bytes += (chunk as Buffer).length;
  if (reply.statusCode !== status)
    throw new Error(`${JSON.stringify(request)}: status ${reply.statusCode}, not ${status}`);
  return bytes;
}
