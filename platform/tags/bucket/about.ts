/**
 * Which store lies below a prefix: made by whoever comes first, the same for all who come later.
 *
 * Rule: it is made, or gone by, only after the bucket was seen to keep to its conditions.
 */

import { randomBytes } from 'node:crypto';
import { BackendError } from '../../backends/backend.ts';
import type { ConditionalObjects } from '../../backends/conditional.ts';
import { proveConditions } from '../../backends/conditional.ts';
import { type Cell, Cells } from './cells/cells.ts';
import { type NumbersSaid, type StoreSaid, storeSaid } from './cells/values.ts';
import { ABOUT } from './layout.ts';
import { againMax, busy } from './requests/again.ts';

/** Of what lies there: layout.ts, cells/body.ts. */
export const format = 1;
/** What a move fills has a format above this: no release takes it for a store (moving/moving.ts). */
export const formatMoving = 1_000_000;

/** Which store it is: 32 hex digits. `numbers`: what is counted goes on beyond these. */
export type StoreAbout = { readonly database: string; readonly numbers: NumbersSaid };

export const noNumbers: NumbersSaid = { generation: 0, version: 0, forgotten: 0 };

/** `unsupported`: it cannot be used, by this release or at all. */
export async function storeAt(objects: ConditionalObjects, prefix: string, signal: AbortSignal): Promise<StoreAbout> {
  await proveConditions(objects, prefix, signal);
  const cells = new Cells(objects, prefix, signal);
  for (let again = 0; again < againMax; again++) {
    const cell: Cell<StoreSaid> = await cells.read(ABOUT, storeSaid);
    if (cell.value === undefined) {
      await cells.write<StoreSaid>(cell, { live: true, value: { format, database: randomBytes(16).toString('hex') } });
      continue;
    }
    const { database, numbers = noNumbers } = cell.value;
    if (cell.value.format === format && database !== undefined) return { database, numbers };
    if (cell.value.format > formatMoving)
      throw new BackendError(
        'unsupported',
        `${objects.name}: a move into what lies below ${prefix} has not ended: give \`shoal index move\` again, which goes on with it`,
      );
    throw new BackendError(
      'unsupported',
      `${objects.name}: what lies below ${prefix} has format ${cell.value.format}, and this release knows ${format}: run the release that wrote it, or a newer one`,
    );
  }
  throw busy(ABOUT);
}
