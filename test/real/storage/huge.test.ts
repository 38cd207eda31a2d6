/**
 * One object that is larger than all memory through a push, a write-back to a bucket, the loss of every disk, and a pull by
 * an agent whose cache has no room for it. SHOAL_HUGE_MIB=20480 is the long form: it needs twice as much room on the disk.
 * It prints how long each step took, and the most memory that each process had.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect, test, vi } from 'vitest';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { Cluster, type Process } from '../../../platform/testing/cluster.ts';
import { type Parts, startParts } from '../../cluster.fixtures.ts';
import { metricOf } from '../../images.fixtures.ts';
import { shoal } from '../cluster.ts';
import { run } from '../processes.ts';
import { Generated } from './generated.ts';
import { startMinio } from './servers/minio.ts';
import { started } from './servers/server.ts';

const size = Number(process.env['SHOAL_HUGE_MIB'] ?? 256) * 2 ** 20 + 7;
const cacheBudget = '128MiB';
const testMsMax = 120_000 + (size / 5e6) * 1000;
/** Of an origin 128 MiB of parts, an arena, and what V8 has not given back. */
const heldMiBMax = 700;
const repo = 'models/huge';

/** What it held at most, MiB. */
async function mostMiB({ pid }: Process): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024);
}

async function push(proxy: Process, generated: Generated, digest: string): Promise<number> {
  const begun = await fetch(proxy.url('registry') + OCI_PATHS.uploads(repo), { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', proxy.url('registry'));
  location.searchParams.set('digest', digest);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { 'content-length': generated.size, 'content-type': 'application/octet-stream' };
  const sending = request(location, { method: 'PUT', headers }, (answer) => {
    answer.resume();
    resolve(answer.statusCode ?? 0);
  });
  sending.once('error', reject);
  await pipeline(Readable.from(copies(generated)), sending);
  return await promise;
}

/** Its generator goes on with one chunk, and a stream holds several. */
function* copies(generated: Generated): Generator<Buffer> {
  for (const chunk of generated.bytes(0, generated.size)) yield Buffer.from(chunk);
}

async function pulledDigest(agent: Process, digest: string): Promise<string> {
  const hash = createHash('sha256');
  const answer = await fetch(`${agent.url('registry')}/v2/${repo}/blobs/${digest}`);
  expect(answer.status).toBe(200);
  for await (const chunk of answer.body ?? []) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}

test(`an object of ${size} bytes outlives every disk`, { timeout: testMsMax }, async () => {
  await using stack = new AsyncDisposableStack();
  const server = await started(stack, startMinio);
  const generated = new Generated(size);
  const { digest } = generated.source();
  const backends = [server.rule];
  const agent = { cache: { budget: cacheBudget } };
  const during = async (what: string, { origins, ...parts }: Parts, act: () => Promise<unknown>): Promise<void> => {
    const begunMs = performance.now();
    await act();
    const seconds = (performance.now() - begunMs) / 1000;
    const held = await Promise.all(
      [...origins, parts.proxy, parts.agent, parts.index].map(async (one) => [one.name, await mostMiB(one)] as const),
    );
    const most = held.map(([name, mib]) => `${name} ${mib}`).join(', ');
    process.stdout.write(`${what} of ${size} bytes: ${seconds.toFixed(1)} s; at most ${most} MiB\n`);
    for (const [name, mib] of held) expect(mib, name).toBeLessThan(heldMiBMax);
  };
  const written = async (origin: Process | undefined): Promise<void> => {
    if (origin === undefined) return;
    await vi.waitFor(
      async () => {
        expect(await metricOf(origin, 'write_backs_total')).toBe(1);
        expect(await metricOf(origin, 'write_back_waiting')).toBe(0);
      },
      { timeout: testMsMax, interval: 500 },
    );
  };
  {
    await using cluster = await Cluster.make();
    const parts = await startParts(cluster, { backends, agent });
    await during('push', parts, async () => expect(await push(parts.proxy, generated, digest)).toBe(201));
    await during('write-back', parts, () => written(parts.origins[0]));
    // What waits for a blob is looked at again within five minutes.
    await vi.waitFor(async () => expect(await metricOf(parts.index, 'write_back_waiting')).toBe(0), 330_000);
  }
  await using cluster = await Cluster.make();
  const parts = await startParts(cluster, { backends, agent });
  await run(shoal[0] ?? '', [...shoal.slice(1), 'reconcile', '--index', parts.index.url('api'), '--apply']);
  await during('pull', parts, async () => expect(await pulledDigest(parts.agent, digest)).toBe(digest));
});
