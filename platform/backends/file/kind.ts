/** What a rule may say of a directory as a backend. */

import { isAbsolute } from 'node:path';
import * as z from 'zod';
import { kind } from '../kind.ts';

export const fileKind = kind(
  z.strictObject({
    /** Exists already: of a network's file system one below its mount point, which is not there while it is not mounted. */
    directory: z.string().refine(isAbsolute, 'expected an absolute path, such as /mnt/nfs/shoal'),
  }),
  async ({ directory }, { name, shared }) => {
    const [{ FileBackend }, { realFiles }] = await Promise.all([import('./file.ts'), import('./real-files.ts')]);
    return new FileBackend({ name, root: directory, files: realFiles, shared });
  },
);
