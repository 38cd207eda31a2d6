/** What an index's configuration may say, and its defaults. */

import * as z from 'zod';
import { commonShape } from '../platform/config/common.ts';
import { listenAt } from '../platform/config/units.ts';

export const indexSchema = z.strictObject({
  ...commonShape('index'),
  /** Holds the database. Back this up: it is the truth about tags. */
  data: z.string().min(1).prefault('/var/lib/shoal/index'),
  listen: listenAt(15_004),
});
