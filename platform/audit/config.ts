/** What a configuration says of an audit log. */

import * as z from 'zod';
import { size } from '../config/units.ts';

export const auditShape = () =>
  z
    .strictObject({
      /** A file of this process's own, on a disk: one line of JSON a write. Its directory must be there. */
      file: z.string().min(1),
      /** It is put aside as FILE.1 before it becomes larger. */
      maxBytes: size('100MB', { min: '64KiB', why: 'it is turned at most every few hundred entries' }),
      /** Files beside it; the oldest goes. */
      keep: z.int().min(1).max(10_000).prefault(50),
      /** Where it cannot be written, what is to be written down is refused (507, 503); false: it is done all the same, and counted. */
      required: z.boolean().prefault(true),
    })
    .optional();

export type AuditConfig = NonNullable<z.infer<ReturnType<typeof auditShape>>>;
