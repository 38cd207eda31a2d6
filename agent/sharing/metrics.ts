/** What is counted of blobs that are shared with the container runtime. */

import type { Shared } from '../../platform/store/shared/shared.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

type Observed = {
  readonly shared: Pick<Shared, 'bytes' | 'count'>;
  readonly waiting: () => number;
  readonly works: () => boolean;
};

export type SharingMetrics = ReturnType<typeof sharingMetrics>;

export function sharingMetrics(metrics: Metrics, { shared, waiting, works }: Observed) {
  metrics.observed(
    'shared_blobs',
    'Blobs that lie on the disk once, for containerd and this agent',
    () => shared.count,
  );
  metrics.observed('shared_bytes', 'Bytes of these; the budget does not count them', () => shared.bytes);
  metrics.observed('shared_waiting', "Blobs of containerd's that were not read yet", waiting);
  metrics.observed(
    'sharing_works',
    "0: files cannot be shared with containerd, as the agent's readiness and log say why",
    () => (works() ? 1 : 0),
  );
  return {
    taken: metrics.counter('shared_taken_total', 'Blobs taken out of the content store of containerd', ['how']),
    freed: metrics.counter(
      'shared_freed_bytes_total',
      'Bytes on disk of copies that went, as containerd has the blob as well',
    ),
    refused: metrics.counter(
      'shared_refused_total',
      "Blobs of containerd's that were not taken: they are not their digest's (wrong), or cannot be read",
      ['why'],
    ),
    letGo: metrics.counter(
      'shared_let_go_total',
      'Shared blobs that containerd removed, and whether the cache keeps them',
      ['end'],
    ),
  };
}
