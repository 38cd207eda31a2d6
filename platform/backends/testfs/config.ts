/** What a rule may say of Kraken's example file server. */

import * as z from 'zod';
import { parseHostPort } from '../../config/units.ts';

export const testfsSchema = z.strictObject({
  address: z
    .string()
    .refine((text) => parseHostPort(text) !== undefined, 'expected HOST:PORT, such as kraken-testfs:80'),
  /** Before every key, and a slash between. */
  root: z
    .string()
    .max(512)
    .regex(/^[\w.-]*(\/[\w.-]+)*$/, 'expected letters, digits and ._- with / between them, such as blobs')
    .refine((root) => !root.split('/').some((part) => part === '.' || part === '..'), 'has a part that is . or ..')
    .prefault(''),
});

export type TestfsSettings = z.output<typeof testfsSchema>;
