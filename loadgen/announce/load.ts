/** Hosts that announce over HTTP: all that they have, once; then images that they begin to pull, have pulled, and let go of. */

import type { Pool } from 'undici';
import { type AnnounceEntry, TRACKER } from '../../core/contracts/tracker.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { together } from '../../harness/lanes.ts';
import { addressOf, type Hosts } from './hosts.ts';
import type { AnnounceOptions } from './options.ts';

/** Blobs a batch when each is asked for once. */
const touchLayers = 64;

/** All hosts announce everything that they hold. */
export function fill(pool: Pool, hosts: Hosts, lanes: number): Promise<void> {
  return together(lanes, hosts.count, async (no) => void (await announce(pool, addressOf(no), hosts.all(no))));
}

/** Every blob is asked for until the tracker has asked the origin for it, before anything counts. */
export function touch(pool: Pool, hosts: Hosts, lanes: number): Promise<void> {
  return together(lanes, Math.ceil(hosts.digests.length / touchLayers), async (i) => {
    const no = i % hosts.count;
    const body = hosts.wants(no, i * touchLayers, touchLayers);
    while ((await announce(pool, addressOf(no), body)).includes('"unavailable"'));
  });
}

export type Load = { readonly batches: number; readonly ms: readonly number[]; readonly seconds: number };

/** What comes and goes is so much of all leases, at any number of them: half is being pulled, half was pulled. */
const movingShare = 1 / 10;

type Image = { readonly no: number; readonly first: number };

/**
 * Hosts that pull images, and let go of them: a third of the batches begins a pull, a third ends one, a third gives one up,
 * long after one another, so that nothing of it is at hand any more. There are as many leases at the end as at the beginning.
 */
export class Pulls {
  readonly #hosts: Hosts;
  readonly #options: AnnounceOptions;
  readonly #random: Prng;
  readonly #most: number;
  readonly #wanted: Image[] = [];
  readonly #held: Image[] = [];

  constructor(hosts: Hosts, options: AnnounceOptions) {
    this.#hosts = hosts;
    this.#options = options;
    this.#random = prng(options.seed);
    const { count, leasesPerHost } = hosts;
    this.#most = Math.max(1, Math.round((count * leasesPerHost * movingShare) / 2 / options.layers));
  }

  /** As many begin as there are to be at any time. */
  begin(pool: Pool): Promise<void> {
    return together(this.#options.connections, 3 * this.#most, async () => void (await this.#next(pool)));
  }

  /** Every connection announces, one batch after the other. */
  async run(pool: Pool, durationMs: number): Promise<Load> {
    const ms: number[] = [];
    const startedMs = performance.now();
    const lane = async (): Promise<void> => {
      while (performance.now() - startedMs < durationMs) {
        const sentMs = performance.now();
        await this.#next(pool);
        ms.push(performance.now() - sentMs);
      }
    };
    await Promise.all(Array.from({ length: this.#options.connections }, lane));
    return { batches: ms.length, ms, seconds: (performance.now() - startedMs) / 1000 };
  }

  async #next(pool: Pool): Promise<void> {
    if (this.#held.length >= this.#most) return this.#say(pool, this.#held.shift() as Image, 'gone');
    if (this.#wanted.length >= this.#most) {
      const image = this.#wanted.shift() as Image;
      this.#held.push(image);
      return this.#say(pool, image, 'have');
    }
    const no = this.#random.below(this.#hosts.count);
    const image = { no, first: this.#hosts.image(no, this.#options.layers, this.#random) };
    this.#wanted.push(image);
    await this.#say(pool, image, 'want');
  }

  async #say(pool: Pool, { no, first }: Image, state: AnnounceEntry['state']): Promise<void> {
    const { layers, seek } = this.#options;
    await announce(pool, addressOf(no), this.#hosts.batch(no, first, { layers, seek, state }));
  }
}

/** `client`: the address that it comes from, as the tracker is told. */
export async function announce(pool: Pool, client: string, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': client };
  const reply = await pool.request({ method: 'POST', path: TRACKER.announce.path({}), headers, body });
  const text = await reply.body.text();
  if (reply.statusCode !== 200) throw new Error(`announce: status ${reply.statusCode} ${text}`);
  return text;
}
