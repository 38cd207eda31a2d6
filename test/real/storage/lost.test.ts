/**
 * Nothing acknowledged is lost: three origins, a backend, constant pushes with `push.required: 2`; any origin is killed,
 * stopped, or loses its disk before it has written back. At the end every acknowledged blob is in the backend.
 *
 * SHOAL_KILLS=50 SHOAL_WIPES=10 is the long form; SHOAL_SEED=N repeats what was drawn (when what dies, not what threads do).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { type Prng, prng } from '../../../core/prng.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { BackedCluster, digestOfBytes } from '../../backed.fixtures.ts';
import { type Rest, rests } from './rests.ts';

const kills = Number(process.env['SHOAL_KILLS'] ?? 6);
const wipes = Number(process.env['SHOAL_WIPES'] ?? 1);
const seed = Number(process.env['SHOAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const origins = 3;
const pushers = 3;
/** Pushes of one pusher while an origin's disk is lost. */
const wipePushes = 4;
const pauseMsMax = 1_200;
const testMsMax = 120_000 + (kills + wipes) * 30_000;
/** A row that failed while everything was down is tried again within five minutes. */
const settled = { timeout: 330_000, interval: 500 } as const;

class Run {
  readonly acknowledged = new Set<Digest>();
  refused = 0;
  readonly #backed: BackedCluster;
  readonly #rest: Rest;
  readonly #random: Prng;
  #pushing: Promise<void>[] = [];
  #over = false;

  constructor(backed: BackedCluster, rest: Rest, random: Prng) {
    this.#backed = backed;
    this.#rest = rest;
    this.#random = random;
  }

  begin(): void {
    this.#over = false;
    this.#pushing = Array.from({ length: pushers }, async (_, no) => {
      const own = prng(seed + no + 1);
      while (!this.#over) await this.push(own);
    });
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#pushing);
  }

  async push(random: Prng): Promise<void> {
    const size = random.below(10) === 0 ? 3_000_000 : random.below(300_000);
    const bytes = Buffer.alloc(size, 0);
    for (let at = 0; at + 4 <= size; at += 4) bytes.writeInt32LE(random.below(2 ** 31), at);
    const status = await this.#backed.push('team/app', bytes);
    if (status === 201) this.acknowledged.add(digestOfBytes(bytes));
    else this.refused += 1;
    if (status !== 201) await sleep(50);
  }

  /** kill -9, started again sooner or later; or it hangs for a while. */
  async kill(): Promise<void> {
    const no = this.#random.below(origins);
    const ms = this.#random.below(3) * this.#random.below(pauseMsMax);
    if (this.#random.below(4) === 0) {
      this.#backed.origin(no)?.hang();
      await sleep(2 * ms);
      this.#backed.origin(no)?.wake();
    } else {
      await this.#backed.killOrigin(no);
      await sleep(ms);
      await this.#backed.startOrigin(no);
    }
    await sleep(this.#random.below(pauseMsMax));
  }

  /** What is pushed while the backend is away lies on two origins; one of them loses its disk before it is back. */
  async wipe(): Promise<void> {
    await this.#rest.away();
    const before = this.acknowledged.size;
    await vi.waitFor(() => expect(this.acknowledged.size).toBeGreaterThan(before + pushers * wipePushes), settled);
    const no = this.#random.below(origins);
    await this.#backed.killOrigin(no);
    await this.#backed.wipeOrigin(no);
    await this.#rest.back();
    await this.#backed.startOrigin(no);
  }

  /** Until no row waits, and for good: the counts are a few seconds old. */
  async written(): Promise<void> {
    await sleep(6_000);
    await vi.waitFor(async () => expect(await this.#backed.metric('write_back_waiting{')).toBe(0), settled);
  }
}

test.each(Object.keys(rests))(
  `0 lost, backend %s (seed ${seed})`,
  async (kind) => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await Cluster.make());
    const rest = await (rests[kind] as (typeof rests)[string])(stack);
    const push = { copies: 2, required: 2, originStall: '3s' };
    const backed = await BackedCluster.start(cluster, { origins, backends: [rest.rule], push });
    const run = new Run(backed, rest, prng(seed));
    run.begin();
    for (let no = 0; no < kills; no++) await run.kill();
    for (let no = 0; no < wipes; no++) {
      await run.wipe();
      // A second disk may be lost only once what the first one held is safe again.
      await run.end();
      await run.written();
      run.begin();
    }
    await run.end();
    await run.written();
    const lost: Digest[] = [];
    for (const digest of run.acknowledged) if (!(await rest.has(digest))) lost.push(digest);
    const uploads = await backed.metric('write_backs_total', 'how="uploaded"');
    process.stdout.write(
      `${kind}: ${lost.length} lost of ${run.acknowledged.size} acknowledged (${run.refused} refused), ` +
        `${kills} kills, ${wipes} disks lost, seed ${seed}; ${uploads} uploads since the last start\n`,
    );
    expect(lost).toEqual([]);
    expect(run.acknowledged.size).toBeGreaterThan(kills + wipes);
    expect(await backed.metric('write_back_dead')).toBe(0);
  },
  testMsMax,
);
