/** One file system that blobs lie on, as it is now. */

import type { VolumeStatus } from '../../../core/contracts/volumes.ts';

/** As the configuration names it. */
export type VolumePlan = {
  readonly path: string;
  /** Its part of new blobs. 0: none. */
  readonly weight: number;
  /** Bytes of blobs, at most. */
  readonly budget?: number | undefined;
};

export class Volume {
  readonly no: number;
  readonly plan: VolumePlan;
  /** Drawn when it was made; of the data directory, which has none, its path. */
  id: string;
  state: VolumeStatus['state'] = 'well';
  /** What is wrong, and what to do; empty where nothing is. */
  why = '';
  sinceMs = 0;
  usedBytes = 0;
  blobs = 0;
  /** As of the last look; Infinity: not known yet. */
  freeBytes = Number.POSITIVE_INFINITY;

  constructor(no: number, plan: VolumePlan) {
    this.no = no;
    this.plan = plan;
    this.id = plan.path;
  }

  /** How much more it may take, if so much of its disk stays free. */
  roomBytes(spareBytes: number): number {
    return Math.min((this.plan.budget ?? Number.POSITIVE_INFINITY) - this.usedBytes, this.freeBytes - spareBytes);
  }

  get status(): VolumeStatus {
    const { no, state, why, usedBytes, blobs, freeBytes, plan } = this;
    const free = Number.isFinite(freeBytes) ? freeBytes : undefined;
    return { no, path: plan.path, state, why, weight: plan.weight, usedBytes, blobs, freeBytes: free };
  }
}
