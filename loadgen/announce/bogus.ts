/**
 * One client that announces, and asks for, blobs that nobody has, while the others go on: what the tracker keeps of that,
 * what it asks the origins, what it costs in memory, and how long the others wait.
 */

import type { Pool } from 'undici';
import { announceEntriesMax } from '../../core/contracts/tracker.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { residentMiB } from '../../harness/proc.ts';
import type { RoleProcess } from '../../harness/roles.ts';
import { bogusBatch } from './hosts.ts';
import { announce, type Pulls } from './load.ts';
import type { AnnounceOptions } from './options.ts';

const bogusAddress = '192.0.2.1';
/** Requests of it at a time. */
const lanes = 2;

export type Attack = {
  readonly announced: number;
  /** Leases of it that were kept, and kept out; blobs that the origins were and were not asked of. */
  readonly kept: number;
  readonly refused: number;
  readonly lookups: number;
  readonly lookupsRefused: number;
  readonly rssMiB: { readonly before: number; readonly after: number };
  /** Of the others' batches, milliseconds. */
  readonly p50Ms: { readonly before: number; readonly during: number };
  readonly p99Ms: { readonly before: number; readonly during: number };
  /** The last of what it was told. */
  readonly told: string;
};

export async function attacked(on: {
  readonly pool: Pool;
  readonly tracker: RoleProcess;
  /** Of the others. */
  readonly pulls: Pulls;
  readonly options: AnnounceOptions;
}): Promise<Attack> {
  const { pool, tracker, pulls, options } = on;
  const base = `http://127.0.0.1:${tracker.ports['api']}`;
  const counter = (name: string): Promise<number> => tracker.counter(base, `shoal_tracker_${name}`);
  const before = await pulls.run(pool, options.durationMs);
  const rssBefore = residentMiB(tracker.pid);
  const [leases, lookups] = [await counter('leases'), await counter('lookups_total')];
  const sent = { next: 0, told: '', over: false };
  const lane = async (): Promise<void> => {
    while (sent.next < options.bogus) {
      const from = sent.next;
      sent.next += announceEntriesMax;
      const reply = await announce(
        pool,
        bogusAddress,
        bogusBatch(from, Math.min(announceEntriesMax, options.bogus - from)),
      );
      sent.told = (JSON.parse(reply) as { limit?: string }).limit ?? sent.told;
    }
  };
  const flood = Promise.all(Array.from({ length: lanes }, lane)).then(() => {
    sent.over = true;
  });
  const during: number[] = [];
  while (!sent.over) during.push(...(await pulls.run(pool, Math.min(1_000, options.durationMs))).ms);
  await flood;
  const attack: Attack = {
    announced: options.bogus,
    kept: (await counter('leases')) - leases,
    refused: await counter('leases_refused'),
    lookups: (await counter('lookups_total')) - lookups,
    lookupsRefused: await counter('lookups_refused'),
    rssMiB: { before: rounded(rssBefore), after: rounded(residentMiB(tracker.pid)) },
    p50Ms: { before: rounded(percentile(before.ms, 0.5)), during: rounded(percentile(during, 0.5)) },
    p99Ms: { before: rounded(percentile(before.ms, 0.99)), during: rounded(percentile(during, 0.99)) },
    told: sent.told,
  };
  process.stdout.write(`one client announced ${options.bogus} blobs that nobody has: ${JSON.stringify(attack)}\n`);
  return attack;
}
