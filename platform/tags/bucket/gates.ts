/**
 * The gate of a digest: since when nothing links to it, and whether origins were told that they may remove its bytes. All
 * links are made beside it, and it is what condemning is decided by, in one conditional write.
 *
 * Rule 1: links lie under the gate's epoch: only those under its present one count. An epoch ends when the digest is
 *   condemned, with whatever link was on its way under it.
 * Rule 2: who links looks at the gate, writes the link, and looks again: it is acknowledged if the epoch is the same. A gate
 *   that is not open (unlinked since, or told) is written by whoever links.
 * Rule 3: a digest is condemned by writing the gate at the version that was read before its links were listed, where it said
 *   already that there are none. So of a link and a condemnation at once one fails: had the link been looked at again
 *   before the gate said so, it would be in the list; after that it has written the gate.
 * Rule 4: what was told is linked by a proof of the last generation only, which opens the gate. Who only refers to it
 *   leaves it told.
 * Rule 5: where only repositories have it as a blob, and no record refers to it, those links are idle (platform/tags/idle.ts):
 *   the gate says since when, and whoever links it, refers to it or uses it writes the gate. A condemnation ends them with
 *   their epoch.
 */

import type { Digest } from '../../../core/digest.ts';
import type { Cell, Cells } from './cells/cells.ts';
import { type GateSaid, gateSaid } from './cells/values.ts';
import { gateAt } from './layout.ts';
import { againMax, busy } from './requests/again.ts';

export type DigestGate = GateSaid & { readonly digest: Digest; readonly cell: Cell<GateSaid> };

/** `proof`: as of BlobLinkPut; `none`: it is only referred to. */
export type LinkProof = number | undefined | 'none';

export class Gates {
  readonly #cells: Cells;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  async read(digest: Digest): Promise<DigestGate> {
    const cell = await this.#cells.read(gateAt(digest), gateSaid);
    const { epoch = 0, sinceMs, idle, toldMs } = cell.value ?? {};
    return { digest, cell, epoch, sinceMs, idle, toldMs };
  }

  /** Somebody relies on the digest: what was seen of it before counts no more. */
  async use(digest: Digest): Promise<void> {
    for (let again = 0; again < againMax; again++) {
      const gate = await this.read(digest);
      if (gate.sinceMs === undefined || (await this.write(gate, { epoch: gate.epoch, toldMs: gate.toldMs }))) return;
    }
    throw busy(digest);
  }

  /** False: somebody else has written it since. */
  async write({ cell }: DigestGate, said: GateSaid): Promise<boolean> {
    return (await this.#cells.write(cell, { live: true, value: said })) !== undefined;
  }

  /**
   * Makes a link under the present epoch: `make` writes it, `leave` removes it where the epoch ended meanwhile. The
   * generation that has to be proved first; undefined: done.
   */
  async link(
    digest: Digest,
    proof: LinkProof,
    links: { make(epoch: number): Promise<void>; leave(epoch: number): Promise<void> },
  ): Promise<number | undefined> {
    for (let again = 0; again < againMax; again++) {
      const before = await this.read(digest);
      const { epoch } = before;
      if (before.toldMs !== undefined && proof !== 'none') {
        if (proof !== epoch) return epoch;
        if (!(await this.write(before, { epoch }))) continue;
      }
      await links.make(epoch);
      for (let looks = 0; looks < againMax; looks++) {
        const after = await this.read(digest);
        if (after.epoch !== epoch || (after.toldMs !== undefined && proof !== 'none')) break;
        const open = after.toldMs === undefined && after.sinceMs === undefined;
        if (open || (await this.write(after, { epoch, toldMs: after.toldMs }))) return undefined;
      }
      await links.leave(epoch);
    }
    throw busy(digest);
  }
}
