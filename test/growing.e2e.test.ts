/**
 * Real processes over one directory as their backend, which is read slowly: agents read a blob while an origin receives it,
 * whoever is killed meanwhile; and what is not the digest's ends nowhere as if it were.
 */

import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { registryLayout } from '../platform/backends/layout.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { ownersAmong } from '../platform/testing/ring.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const patience = { timeout: 90_000 } as const;
const repo = 'kept/app';
const MB = 1_000_000;
/** What an origin reads of its backend; a blob of 30 MB takes six seconds. */
const backendMBps = 5;
const length = 30 * MB + 7;
const strictOrigin = 1;
/** On a busy machine processes that were just started take seconds for their first answer. */
const marginMs = 1_500;

let cluster: Cluster;
let bucket: string;
let urls: string[];
let trackers: string[];
let tracker: Process;
let origins: Process[];
let agents: Process[];

const of = (role: string): URL => entryUrl(`../${role}/main.ts`, import.meta.url);

function startOrigin(no: number): Promise<Process> {
  return cluster.start(of('origin'), `origin-${no}`, {
    role: 'origin',
    listen: { ...ephemeral, port: Number(new URL(urls[no] as string).port) },
    peer: ephemeral,
    data: cluster.dataOf(`origin-${no}`),
    trackers,
    origins: urls,
    self: urls[no],
    // One of them as careful as one of the agents is.
    pull: { strict: no === strictOrigin },
    backends: [{ name: 'main', file: { directory: bucket }, limits: { down: `${backendMBps}MB/s` } }],
  });
}

function startAgent(no: number, pull: object = {}): Promise<Process> {
  return cluster.start(of('agent'), `agent-${no}`, {
    role: 'agent',
    listen: ephemeral,
    admin: ephemeral,
    peer: ephemeral,
    data: cluster.dataOf(`agent-${no}`),
    trackers,
    index: ['http://127.0.0.1:1'],
    pull,
  });
}

beforeAll(async () => {
  cluster = await Cluster.make();
  bucket = cluster.dataOf('bucket');
  await mkdir(bucket);
  const [trackerPort = 0, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  trackers = [`http://127.0.0.1:${trackerPort}`];
  const listen = { ...ephemeral, port: trackerPort };
  tracker = await cluster.start(of('tracker'), 'tracker', { role: 'tracker', listen, origins: urls });
  origins = await Promise.all(urls.map((_, no) => startOrigin(no)));
  agents = await Promise.all([startAgent(0), startAgent(1), startAgent(2, { strict: true })]);
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function stored(
  bytes: Uint8Array,
  digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex')),
) {
  const path = join(bucket, registryLayout.blobKey(digest));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return digest;
}

const blobAt = (agent: Process, digest: Digest): string => agent.url('registry') + OCI_PATHS.blob(repo, digest);

/** One client, which comes again where it is told to. */
async function read(agent: Process, digest: Digest, o: { range?: string } = {}) {
  const beganMs = performance.now();
  const hash = createHash('sha256');
  const seen = { firstMs: Number.POSITIVE_INFINITY, doneMs: Number.POSITIVE_INFINITY, bytes: 0, hex: '', status: 0 };
  for (;;) {
    const response = await fetch(blobAt(agent, digest), o.range === undefined ? {} : { headers: { range: o.range } });
    seen.status = response.status;
    if (response.status === 503) {
      await response.arrayBuffer();
      await new Promise((resolve) => setTimeout(resolve, 200));
      continue;
    }
    for await (const chunk of response.body ?? []) {
      if (seen.bytes === 0) seen.firstMs = performance.now() - beganMs;
      seen.bytes += chunk.length;
      hash.update(chunk);
    }
    seen.doneMs = performance.now() - beganMs;
    seen.hex = hash.digest('hex');
    return seen;
  }
}

async function metric(process: Process, port: string, name: string): Promise<number> {
  const text = await (await fetch(process.url(port) + PROBES.metrics.pattern)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`shoal_${name}`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const coldBytes = async (): Promise<number> => {
  let sum = 0;
  for (const origin of origins) if (origin.running) sum += await metric(origin, 'api', 'cold_read_bytes_total');
  return sum;
};

test(
  'three agents have the first bytes long before the origin has the last, and the backend is read once',
  patience,
  async () => {
    const bytes = randomBytes(length);
    const digest = await stored(bytes);
    const before = await coldBytes();
    const seen = await Promise.all(agents.map((agent) => read(agent, digest)));
    for (const { hex, firstMs, doneMs } of seen) {
      expect(`sha256:${hex}`).toBe(digest);
      expect(firstMs).toBeLessThan(doneMs - marginMs);
      expect(doneMs).toBeGreaterThan((length / MB / backendMBps) * 500);
    }
    expect((await coldBytes()) - before).toBe(length);
  },
);

test(
  'a range of it comes before the rest, and is counted; an agent that is strict gives it only with the digest',
  patience,
  async () => {
    const bytes = randomBytes(length);
    const digest = await stored(bytes);
    const [agent, , strict] = agents as [Process, Process, Process];
    const whole = read(agent, digest);
    const range = { range: 'bytes=100-999999' };
    const [early, late] = await Promise.all([read(agent, digest, range), read(strict, digest, range)]);
    const { doneMs } = await whole;
    for (const { status, bytes: got, hex } of [early, late]) {
      expect([status, got]).toEqual([206, 999_900]);
      expect(hex).toBe(createHash('sha256').update(bytes.subarray(100, 1_000_000)).digest('hex'));
    }
    expect(early.doneMs).toBeLessThan(doneMs - marginMs);
    expect(late.doneMs).toBeGreaterThan(doneMs * 0.8);
    expect(await metric(agent, 'admin', 'ranges_unproved_total')).toBe(1);
    expect(await metric(strict, 'admin', 'ranges_unproved_total')).toBe(0);
  },
);

test(
  'a range that is asked of an origin, as a proxy does, is counted there; one that is strict holds it back',
  patience,
  async () => {
    const ownedBy = async (no: number) => {
      for (;;) {
        const bytes = randomBytes(length);
        const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
        if ((await ownersAmong(urls))(digest)[0] === urls[no]) return { digest: await stored(bytes, digest), bytes };
      }
    };
    const asked = async (no: number) => {
      const { digest, bytes } = await ownedBy(no);
      const origin = origins[no] as Process;
      const before = await metric(origin, 'api', 'ranges_unproved_total');
      const beganMs = performance.now();
      const url = urls[no] + ORIGIN.read.path({ digest, repo });
      const response = await fetch(url, { headers: { range: 'bytes=100-999999' } });
      const got = Buffer.from(await response.arrayBuffer());
      expect([response.status, got.equals(bytes.subarray(100, 1_000_000))]).toEqual([206, true]);
      const ms = performance.now() - beganMs;
      return { ms, counted: (await metric(origin, 'api', 'ranges_unproved_total')) - before };
    };
    const [early, late] = await Promise.all([asked(1 - strictOrigin), asked(strictOrigin)]);
    expect([early.counted, late.counted]).toEqual([1, 0]);
    expect(late.ms).toBeGreaterThan(((length / MB) * 1000 * 0.8) / backendMBps);
    expect(early.ms).toBeLessThan(late.ms - marginMs);
  },
);

test(
  'the origin that receives it is killed half way: the next owner goes on, and no reader notices',
  patience,
  async () => {
    const bytes = randomBytes(length);
    const digest = await stored(bytes);
    const [owner = ''] = (await ownersAmong(urls))(digest);
    const no = urls.indexOf(owner);
    const next = origins[1 - no] as Process;
    const before = await metric(next, 'api', 'cold_read_bytes_total');
    const readers = agents.slice(0, 2).map((agent) => read(agent, digest));
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await (origins[no] as Process).stop('SIGKILL');
    for (const { hex } of await Promise.all(readers)) expect(`sha256:${hex}`).toBe(digest);
    // What had come before came from there, and not from the backend again.
    const fetched = (await metric(next, 'api', 'cold_read_bytes_total')) - before;
    expect([fetched > 0, fetched < length - 5 * MB]).toEqual([true, true]);
    origins[no] = await startOrigin(no);
  },
);

test('an agent is killed half way: the others go on, and it begins anew', patience, async () => {
  const bytes = randomBytes(length);
  const digest = await stored(bytes);
  const [first, second] = agents as [Process, Process];
  const other = read(first, digest);
  const lost = read(second, digest).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await second.stop('SIGKILL');
  expect(await lost).toBeInstanceOf(Error);
  agents[1] = await startAgent(1);
  const again = await read(agents[1], digest);
  expect([`sha256:${again.hex}`, `sha256:${(await other).hex}`]).toEqual([digest, digest]);
});

test(
  'bytes that are not the digest: no response ends as if they were, and nothing of them stays',
  patience,
  async () => {
    const digest = digestOf('sha256', createHash('sha256').update(randomBytes(9)).digest('hex'));
    await stored(randomBytes(length), digest);
    const outcomes = await Promise.all(
      agents.map((agent) =>
        read(agent, digest).then(
          ({ status, bytes }) => ({ status, bytes }),
          () => 'cut' as const,
        ),
      ),
    );
    for (const outcome of outcomes) {
      if (outcome === 'cut') continue;
      expect(outcome.status).toBeGreaterThanOrEqual(400);
      expect(outcome.bytes).toBeLessThan(length);
    }
    expect(outcomes).toContain('cut');
    // Whoever asks again hears, for a minute, which object of which backend it is, and what to do.
    const said = new RegExp(`backend main: ${registryLayout.blobKey(digest)} is not the blob.*push the blob again`);
    await vi.waitFor(async () => {
      const response = await fetch(blobAt(agents[0] as Process, digest));
      const { errors } = (await response.json()) as { errors: { message: string }[] };
      expect(errors[0]?.message).toMatch(said);
    }, 30_000);
  },
);

test(
  'where no tracker answers any more, agents ask the origins, and read while one of them receives it',
  patience,
  async () => {
    const bytes = randomBytes(length);
    const digest = await stored(bytes);
    await tracker.stop('SIGKILL');
    const before = await coldBytes();
    const seen = await Promise.all(agents.slice(0, 2).map((agent) => read(agent, digest)));
    for (const { hex, firstMs, doneMs } of seen) {
      expect(`sha256:${hex}`).toBe(digest);
      expect(firstMs).toBeLessThan(doneMs - marginMs);
    }
    expect((await coldBytes()) - before).toBe(length);
  },
);
