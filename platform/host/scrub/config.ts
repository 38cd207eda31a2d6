/** How bytes at rest are looked at again: part of an origin's configuration, and of an agent's. */

import * as z from 'zod';
import { duration, rate } from '../../config/units.ts';

export const scrubShape = () =>
  z
    .strictObject({
      /** Every blob on the disk is read back and compared with its digest within this time. */
      every: duration('14d', { min: '1s', max: '24d', why: 'a disk to be read once' }),
      /** No more is read for it; where that is too little for `every`, the metric `scrub_late_seconds` says so. */
      rate: rate('64MB/s', { min: '100kB/s' }),
    })
    .prefault({});

export type ScrubConfig = z.output<ReturnType<typeof scrubShape>>;
