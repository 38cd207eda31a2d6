/** Removes what writers that were killed left in the directory of uploads. */

import type { About, HdfsPlace } from './place.ts';
import { uploadPrefix } from './publish.ts';
import { isFile } from './status.ts';

/** Nobody writes for so long. By the NameNode's clock, as the file that was just written has it. */
const leftMs = 24 * 60 * 60 * 1000;
/** What lies there is under way, so it is little; other programs may put theirs there as well. */
const pagesMax = 20;
/** By one write, which waits for it. */
const removedMax = 100;

/** Of `uploads`, where a file was written at `nowMs`. */
export async function sweepUploads(place: HdfsPlace, uploads: string, nowMs: number, about: About): Promise<void> {
  let after = uploadPrefix;
  let removed = 0;
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await place.page(uploads, after, about);
    for (const entry of page?.entries ?? []) {
      const { pathSuffix, modificationTime } = entry;
      if (!pathSuffix.startsWith(uploadPrefix)) return;
      const left = isFile(entry) && nowMs - modificationTime > leftMs;
      if (left && removed++ === removedMax) return;
      if (left) await place.remove(`${uploads}/${pathSuffix}`, about);
      after = pathSuffix;
    }
    if (page?.more !== true || page.entries.length === 0) return;
  }
}
