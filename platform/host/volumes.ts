/** What a role tells of the volumes of its store: to who asks for them, to /readiness and in metrics. */

import type { FastifyInstance } from 'fastify';
import { VOLUMES } from '../../core/contracts/volumes.ts';
import { serve } from '../http/serve.ts';
import type { BlobStore } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';

type Told = { readonly store: Pick<BlobStore, 'volumes'> };

export function addVolumeRoutes(app: FastifyInstance, { store }: Told): void {
  serve(app, VOLUMES.list, () => ({ volumes: store.volumes.all.map(({ status }) => status) }));
}

const up = { well: 1, 'read-only': 0.5, lost: 0 } as const;

export function observeVolumes(metrics: Metrics, { store }: Told): void {
  const labels = ['volume'] as const;
  const { all } = store.volumes;
  const told = {
    up: metrics.gauge('volume_up', 'Whether a volume is well: 1; read-only: 0.5; lost: 0', labels),
    bytes: metrics.gauge('volume_stored_bytes', 'Bytes on disk of blobs, by volume', labels),
    free: metrics.gauge('volume_free_bytes', 'Bytes that the file system of a volume has free', labels),
  };
  metrics.observed('volumes_not_well', 'Volumes that are lost or read-only', () => {
    for (const { plan, state, usedBytes, freeBytes } of all) {
      const volume = plan.path;
      told.up.set({ volume }, up[state]);
      told.bytes.set({ volume }, usedBytes);
      if (Number.isFinite(freeBytes)) told.free.set({ volume }, freeBytes);
    }
    return all.filter(({ state }) => state !== 'well').length;
  });
}
