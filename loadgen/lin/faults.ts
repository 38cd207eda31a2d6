/**
 * Faults of index processes and of their engine, one after the other, each of one process: what it is and how long it lasts is drawn from a
 * seed. What was broken is whole again when it ends.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../core/prng.ts';
import type { Relay, RelayMode } from '../../harness/relay.ts';
import type { IndexSite } from '../indexes/site.ts';
import type { EngineServer } from '../indexes/store.ts';

export const faultKinds = [
  ...(['kill', 'stop', 'hold', 'cut', 'engine-hold', 'engine-cut'] as const),
  ...(['server-kill', 'server-stop'] as const),
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Longer than the two seconds that callers wait for an index. */
const lastsMsMax = 4_000;
const lastsMsMin = 100;
const restMsMax = 1_000;
/** A killed process is away for so long at most. */
const awayMsMax = 1_000;

export type FaultCount = Partial<Record<FaultKind, number>>;

type Breaking = {
  readonly random: Prng;
  readonly signal: AbortSignal;
  readonly server: EngineServer | undefined;
};

/** Until `signal`; resolves when all is whole. */
export async function breakThings(
  sites: readonly IndexSite[],
  kinds: readonly FaultKind[],
  { random, signal, server }: Breaking,
): Promise<FaultCount> {
  const count: FaultCount = {};
  while (!signal.aborted && kinds.length > 0) {
    const kind = kinds[random.below(kinds.length)] as FaultKind;
    const site = sites[random.below(sites.length)] as IndexSite;
    const ms = lastsMsMin + random.unit() * (lastsMsMax - lastsMsMin);
    await run(kind, { site, server, ms });
    count[kind] = (count[kind] ?? 0) + 1;
    await sleep(random.unit() * restMsMax);
  }
  return count;
}

/** Of `kinds`, those that this site, and whoever started its engine, can have. */
export function possible(
  kinds: readonly FaultKind[],
  { engine }: IndexSite,
  server: EngineServer | undefined,
): FaultKind[] {
  return kinds.filter(
    (kind) =>
      (engine !== undefined || !kind.startsWith('engine-')) && (server !== undefined || !kind.startsWith('server-')),
  );
}

type Broken = { readonly site: IndexSite; readonly server: EngineServer | undefined; readonly ms: number };

async function run(kind: FaultKind, { site, server, ms }: Broken): Promise<void> {
  switch (kind) {
    case 'kill':
      await site.kill();
      await sleep(Math.min(ms, awayMsMax));
      return site.begin();
    case 'stop':
      process.kill(site.process.pid, 'SIGSTOP');
      await sleep(ms);
      return void process.kill(site.process.pid, 'SIGCONT');
    case 'hold':
      return broken(site.relay, 'held', ms);
    case 'cut':
      return broken(site.relay, 'cut', ms);
    case 'engine-hold':
      return broken(site.engine as Relay, 'held', ms);
    case 'engine-cut':
      return broken(site.engine as Relay, 'cut', ms);
    case 'server-kill':
      await server?.kill();
      await sleep(Math.min(ms, awayMsMax));
      return server?.start();
    case 'server-stop':
      server?.signal('SIGSTOP');
      await sleep(ms);
      return server?.signal('SIGCONT');
  }
}

async function broken(relay: Relay, mode: RelayMode, ms: number): Promise<void> {
  relay.set(mode);
  await sleep(ms);
  relay.set('through');
}
