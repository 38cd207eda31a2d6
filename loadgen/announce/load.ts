/** Hosts that announce over HTTP: all that they have, once; then images that they begin to pull, or have pulled. */

import type { Pool } from 'undici';
import { TRACKER } from '../../core/contracts/tracker.ts';
import { prng } from '../../core/prng.ts';
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

/** Every connection announces, one batch after the other. */
export async function load(pool: Pool, hosts: Hosts, options: AnnounceOptions, durationMs: number): Promise<Load> {
  const { layers, seek, connections, seed } = options;
  const random = prng(seed);
  const ms: number[] = [];
  const startedMs = performance.now();
  const lane = async (): Promise<void> => {
    for (let turn = 0; performance.now() - startedMs < durationMs; turn++) {
      const no = random.below(hosts.count);
      const body = hosts.batch(no, {
        layers,
        seek,
        state: turn % 2 === 0 ? 'want' : 'have',
        random,
      });
      const sentMs = performance.now();
      await announce(pool, addressOf(no), body);
      ms.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return { batches: ms.length, ms, seconds: (performance.now() - startedMs) / 1000 };
}

/** `client`: the address that it comes from, as the tracker is told. */
export async function announce(pool: Pool, client: string, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': client };
  const reply = await pool.request({ method: 'POST', path: TRACKER.announce.path({}), headers, body });
  const text = await reply.body.text();
  if (reply.statusCode !== 200) throw new Error(`announce: status ${reply.statusCode} ${text}`);
  return text;
}
