/** Which databases a store in a bucket comes after: it was moved from one that was restored from a backup. */

import type { Succession } from '../../../core/contracts/gc/succession.ts';
import { noSuccession } from '../store.ts';
import type { Cells } from './cells/cells.ts';
import { storeSaid } from './cells/values.ts';
import { ABOUT } from './layout.ts';
import { againMax, busy } from './requests/again.ts';

export class BucketSuccession {
  readonly #cells: Cells;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  async of(): Promise<Succession> {
    const { value } = await this.#cells.read(ABOUT, storeSaid);
    const { succession = [] } = value ?? {};
    if (succession.length === 0) return noSuccession;
    return { of: succession.map(({ id }) => id), trusted: succession.every(({ trusted }) => trusted) };
  }

  async trust(): Promise<void> {
    for (let again = 0; again < againMax; again++) {
      const cell = await this.#cells.read(ABOUT, storeSaid);
      const { value } = cell;
      if (value?.succession === undefined) return;
      const succession = value.succession.map(({ id }) => ({ id, trusted: true }));
      if (await this.#cells.write(cell, { live: true, value: { ...value, succession } })) return;
    }
    throw busy(ABOUT);
  }
}
