/** What a proxy's configuration says of prefetches. */

import * as z from 'zod';
import { size } from '../../platform/config/units.ts';

export const prefetchShape = () =>
  z
    .strictObject({
      /** Smaller blobs are left to the first pull. */
      smallest: size('0B', { min: '0B' }),
      /** So are larger ones. */
      largest: size('50GB'),
    })
    .prefault({});
