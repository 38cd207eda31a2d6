/** The file systems that a role's blobs lie on, beside its data directory. Spread into its schema. */

import { resolve } from 'node:path';
import * as z from 'zod';
import { volumesMax, volumeWeightMax } from '../../core/contracts/volumes.ts';
import { budgetMin } from './memory.ts';
import type { Rule } from './rules.ts';
import { size } from './units.ts';

export const volumesShape = {
  /**
   * Where new blobs go, each a disk of its own. What lies in `data` stays there, and is served; nothing new is put there,
   * unless `data` is listed as well.
   */
  volumes: z
    .array(
      z.strictObject({
        /** A directory that is there, empty at first: the disk is mounted there. */
        path: z.string().min(1),
        /** Its part of new blobs, of the sum of all. */
        weight: z.int().min(1).max(volumeWeightMax).prefault(1),
        /** Bytes of blobs, at most; the disk, where it is left out. */
        budget: size(undefined, budgetMin).optional(),
      }),
    )
    .max(volumesMax - 1)
    .prefault([]),
} as const;

export const volumesApart: Rule<{ readonly data: string; readonly volumes: readonly { readonly path: string }[] }> = {
  at: 'volumes',
  of: ['data'],
  problem: ({ data, volumes }) => {
    const paths = volumes.map(({ path }) => resolve(path));
    const own = resolve(data);
    for (const [i, path] of paths.entries()) {
      if (paths.indexOf(path) !== i) return `${path} is listed twice: each volume has a directory of its own`;
      const around = [own, ...paths].find((other) => other !== path && path.startsWith(`${other}/`));
      if (around !== undefined) return `${path} is inside of ${around}: each volume has a directory of its own`;
      if (own !== path && own.startsWith(`${path}/`))
        return `\`data\` (${own}) is inside of ${path}: mount it elsewhere`;
    }
    return undefined;
  },
};
