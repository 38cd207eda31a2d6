/**
 * `npm run bench -- gc`: how fast what nothing refers to any more is found and removed, of all that an origin holds, and what
 * that costs pushes meanwhile.
 *
 * Rule 1: index, origin and proxy are real processes; the index has SQLite. What is there at the start was written by their
 *   own code before (fill.ts).
 * Rule 2: in each round a part of the images is deleted; once the grace of that is over images are pushed, first without a
 *   collection, then beside one: all the index's steps, as fast after each other as the index itself makes them, and then
 *   the origin's walk.
 * Rule 3: exactly what nothing refers to has to go, else there is no figure.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { INDEX_GC, ORIGIN_GC, type GcRound as Walk } from '../../core/contracts/gc/routes.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { BenchError } from '../../harness/error.ts';
import { together } from '../../harness/lanes.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import type { Figures } from '../../harness/report.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { type Collected, type GcTurn, gcFigures } from './figures.ts';
import { blobsEach, fill } from './fill.ts';
import { pushLatencies } from './pushes.ts';
import type { GcSizes } from './sizes.ts';

const repo = 'bench/filled';
const garbageShare = 0.1;
/** Beyond the grace: the index's clock counts in milliseconds, and so does this one's. */
const spareMs = 100;
/** A page of a tmpfs, its inode and name, and what the index has of it. */
const blobBytes = 6_000;
const deleters = 8;
const lookMs = 20;

type Urls = { readonly index: string; readonly origin: string; readonly proxy: string };

export async function benchGc({ blobs, rounds, beforeMs, graceMs, rate }: GcSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, blobs * blobBytes);
  const dirs = { index: join(dir, 'data', 'index'), origin: join(dir, 'data', 'origin') };
  const images = Math.ceil(blobs / blobsEach);
  const manifests = await fill(dirs, { repo, images });
  const urls = await start(dir, { grace: `${graceMs}ms`, rate }, stack);
  // Processes that have just started compile.
  await pushLatencies(urls.proxy, sleep(beforeMs / 2));
  const garbage = manifests.slice(0, Math.max(rounds, Math.round(images * garbageShare)));
  const done: GcTurn[] = [];
  for (let no = 0; no < rounds; no++) {
    const some = garbage.filter((_, i) => i % rounds === no);
    await remove(urls.index, some);
    const deletedMs = performance.now();
    await quiet(urls.origin);
    await sleep(Math.max(0, deletedMs + graceMs + spareMs - performance.now()));
    const before = await pushLatencies(urls.proxy, sleep(beforeMs));
    const collecting = collect(urls, rate);
    const during = await pushLatencies(urls.proxy, collecting);
    done.push({ ...(await collecting), garbage: some.length * blobsEach, before, during });
  }
  return gcFigures(done);
}

async function start(dir: string, gc: object, stack: AsyncDisposableStack): Promise<Urls> {
  const at = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const loopback = (port: number) => ({ host: '127.0.0.1', port });
  const log = { level: 'warn' };
  const [indexPort, originPort, trackerPort] = [await freePort(), await freePort(), await freePort()];
  const [index, origins] = [[at(indexPort)], [at(originPort)]];
  const plans = [
    { role: 'tracker', config: { listen: loopback(trackerPort), origins } },
    { role: 'index', config: { listen: loopback(indexPort), keepUnlinked: '1s', gc } },
    {
      role: 'origin',
      config: { listen: loopback(originPort), peer: loopback(0), trackers: [at(trackerPort)], index, origins },
    },
    { role: 'proxy', config: { listen: loopback(0), index, origins } },
  ] as const;
  const started = await Promise.all(
    plans.map(async ({ role, config }) =>
      stack.use(await RoleProcess.start({ role, name: role, dir, config: { log, ...config } })),
    ),
  );
  const proxy = started.find(({ name }) => name === 'proxy');
  return { index: at(indexPort), origin: at(originPort), proxy: at(proxy?.ports['registry']) };
}

async function remove(index: string, manifests: readonly Digest[]): Promise<void> {
  await together(deleters, manifests.length, async (i) => {
    const digest = manifests[i] as Digest;
    await asked(index, 'DELETE', INDEX.deleteManifest.path({ name: repo, digest }));
  });
}

/** An origin begins a walk by itself some time after its start: none is under way. */
async function quiet(origin: string): Promise<void> {
  while ((await walkOf(origin)).running) await sleep(lookMs);
}

async function collect({ index, origin }: Urls, rate: number): Promise<Omit<Collected, 'garbage'>> {
  const begunMs = performance.now();
  const apply = { apply: true };
  for (let more = true; more; ) {
    const step = INDEX_GC.step.reply(JSON.parse(await asked(index, 'POST', INDEX_GC.step.path({}), apply)), index);
    if (step.off !== undefined) throw new BenchError(`the index collects nothing: ${step.off}`);
    more = step.more;
    if (more) await sleep((step.links * 1_000) / rate);
  }
  const indexSeconds = (performance.now() - begunMs) / 1000;
  let walk = ORIGIN_GC.begin.reply(JSON.parse(await asked(origin, 'POST', ORIGIN_GC.begin.path({}), apply)), origin);
  while (walk.running) {
    await sleep(lookMs);
    walk = await walkOf(origin);
  }
  if (walk.why !== undefined) throw new BenchError(`the origin broke off: ${walk.why}`);
  const seconds = (performance.now() - begunMs) / 1000;
  return { seconds, indexSeconds, looked: walk.looked, removed: walk.blobs };
}

async function walkOf(origin: string): Promise<Walk> {
  return ORIGIN_GC.state.reply(JSON.parse(await asked(origin, 'GET', ORIGIN_GC.state.path({}))), origin);
}

async function asked(base: string, method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<string> {
  const json =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const reply = await request(base + path, { method, ...json });
  const text = await reply.body.text();
  if (reply.statusCode >= 300) throw new Error(`${method} ${base}${path}: ${reply.statusCode} ${text.slice(0, 500)}`);
  return text;
}
