/** What a tracker's configuration may say, and its defaults. */

import * as z from 'zod';
import { handoutLimits } from '../core/handout/limits.ts';
import { commonShape } from '../platform/config/common.ts';
import { baseUrl, duration, listenAt, size } from '../platform/config/units.ts';

export const trackerSchema = z
  .strictObject({
    ...commonShape('tracker'),
    listen: listenAt(15_003),
    /** Every origin of the cluster, the same list as theirs: metainfo and small blobs come from there. */
    origins: z.array(baseUrl()).min(1).prefault(['http://127.0.0.1:15002']),
    /** A node that announces nothing for so long is gone; renewals come every `interval`. */
    lease: duration('30s'),
    interval: duration('10s'),
    limits: z
      .strictObject({
        leases: z.int().min(1).prefault(handoutLimits.leases),
        swarms: z.int().min(1).prefault(handoutLimits.swarms),
        nodes: z.int().min(1).prefault(handoutLimits.nodes),
      })
      .prefault({}),
    lookup: z
      .strictObject({
        /** Memory for metainfo and small blobs. */
        memory: size('64MiB'),
        /** How long an announce may wait for the origins before it is told to ask again. */
        wait: duration('250ms'),
      })
      .prefault({}),
  })
  .refine((config) => config.interval < config.lease, {
    path: ['interval'],
    message: 'must be shorter than `lease`, or leases end between renewals',
  });
