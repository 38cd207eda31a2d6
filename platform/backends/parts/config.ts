/** What a rule may say of objects in a store of keys, whichever it is: where they are, and how large ones are moved. */

import * as z from 'zod';
import { size } from '../../config/units.ts';

/** S3's own: a part but the last has at least 5 MiB, and no server takes one of more than 5 GiB. Held in memory: less. */
const partBounds = { min: '5MiB', max: '256MiB', why: 'as S3 takes no smaller part' };
/** One object is not helped by more, and each holds a part in memory. */
const parallelMax = 64;

/** Before every key, and a slash between. */
export const keyPrefix = () =>
  z
    .string()
    .max(512)
    .regex(/^[\w!*'().-]*(\/[\w!*'().-]+)*\/?$/, 'expected letters, digits and !-_.*() with / between them')
    .refine((prefix) => !prefix.split('/').some((part) => part === '.' || part === '..'), 'has a part that is . or ..')
    .transform((prefix) => prefix.replace(/\/$/, ''))
    .prefault('');

/** Of an object that is written or read in parts. A write that is resumed finds its parts only at the same size. */
export const partsShape = () =>
  z
    .strictObject({ size: size('8MiB', partBounds), parallel: z.int().min(1).max(parallelMax).prefault(4) })
    .prefault({});

export type Parts = z.output<ReturnType<typeof partsShape>>;

/** The whole key there. */
export function under(prefix: string, key: string): string {
  return prefix === '' ? key : `${prefix}/${key}`;
}
