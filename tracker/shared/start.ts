/** Sharing, begun with a tracker and ended with it, with its metrics and its line in the log. Loaded only where it is configured. */

import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { LeasesSettings } from '../config.ts';
import type { TrackerState } from '../state.ts';
import { LeaseSharing, type SharingCounts } from './sharing.ts';

/** A start waits so long for what is kept: 15,000 hosts of 60 blobs take a part of it. What comes later is no less welcome. */
const restoreMsMax = 2_000;

type On = {
  readonly state: TrackerState;
  readonly leaseMs: number;
  readonly metrics: Metrics;
  readonly onTrouble: (why: string) => void;
};

const helps: Readonly<Record<keyof SharingCounts, string>> = {
  told: 'Announces that other trackers were told of',
  heard: 'Announces that other trackers told of',
  restored: 'Nodes whose leases were read from Redis',
  unreadable: 'Messages and keys in Redis that are none of a tracker',
  failed: 'Times that Redis failed, or did not answer',
};

export async function shareLeases(
  settings: LeasesSettings,
  { state, leaseMs, metrics, onTrouble }: On,
): Promise<LeaseSharing> {
  const { redis: url, ...more } = settings;
  const sharing = await LeaseSharing.open({ url, ...more, leaseMs }, state, onTrouble);
  metrics.observed('tracker_shared_up', '1: Redis answers, and leases are shared', () => (sharing.up ? 1 : 0));
  for (const [name, help] of Object.entries(helps))
    metrics.observed(
      `tracker_shared_${name}`,
      `${help}, since the start`,
      () => sharing.counts[name as keyof SharingCounts],
    );
  await sharing.restored(restoreMsMax);
  return sharing;
}
