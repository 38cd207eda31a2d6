/** What an origin's configuration says of repair. */

import * as z from 'zod';
import { duration, rate } from '../../platform/config/units.ts';

/** Less would not move a piece of 16 MiB before everybody loses patience. */
const rateMin = '100kB/s';
const parallelMax = 256;

export const repairShape = () =>
  z
    .strictObject({
      /** Bytes a second that this origin fetches at most of what it should hold and lacks. A push waits for none of this. */
      rate: rate('100MB/s', { min: rateMin }),
      /** Blobs at a time. */
      parallel: z.int().min(1).max(parallelMax).prefault(8),
      /** How often lists are compared with the other origins when nothing seems to have happened. */
      every: duration('15m', { min: '1s', why: 'as comparing costs a walk through all blobs' }),
      /** Whether what backends have and no origin is brought back after disks were lost, though nobody asks for it. */
      restore: z.boolean().prefault(true),
    })
    .prefault({});
