/** Removes what writers that were killed left in a directory. */

import type { Files } from './files.ts';
import { unhurried, unlessGone } from './now.ts';
import { underWay } from './paths.ts';
import { inTurn } from './turns.ts';

/** Nobody writes for so long. By the server's clock, as the file that was just written has it. */
const leftMs = 24 * 60 * 60 * 1000;
/** Names that are looked at after a write: those of a blob's directory are few. */
const namesMax = 256;

/** Of `directory`, of which a file was written at `nowMs`. */
export async function sweep(files: Files, directory: string, nowMs: number): Promise<void> {
  let looked = 0;
  for await (const some of files.names(directory)) {
    for (const { name } of some) {
      if (++looked > namesMax) return;
      if (!name.startsWith(underWay)) continue;
      const path = `${directory}/${name}`;
      const is = await inTurn(unhurried, () => files.state(path)).catch(unlessGone);
      if (is !== undefined && nowMs - is.mtimeMs > leftMs)
        await inTurn(unhurried, () => files.unlink(path)).catch(unlessGone);
    }
  }
}
