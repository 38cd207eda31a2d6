/** Where an agent has blobs beside its cache: with the container runtime of its host, and in memory. */

import * as z from 'zod';
import { hotMemory } from '../../platform/config/memory.ts';
import { rate } from '../../platform/config/units.ts';

export const sharingShape = () =>
  z
    .strictObject({
      /** Left out: nothing is shared. */
      share: z.literal('containerd').optional(),
      /** containerd's `root`. */
      root: z.string().regex(/^\/./, 'is no absolute path').prefault('/var/lib/containerd'),
      /** What containerd has is read once before it counts, no faster than this; and after whoever is busy. */
      rate: rate('200MB/s', { min: '1MB/s' }),
      memory: hotMemory(),
    })
    .prefault({});

export type SharingConfig = z.output<ReturnType<typeof sharingShape>>;
