/**
 * Which store lies below a prefix: made by whoever comes first, the same for all who come later.
 *
 * Rule: it is made, or gone by, only after the bucket was seen to keep to its conditions.
 */

import { randomBytes } from 'node:crypto';
import { BackendError } from '../../backends/backend.ts';
import type { ConditionalObjects } from '../../backends/conditional.ts';
import { proveConditions } from '../../backends/conditional.ts';
import { againMax, busy } from './again.ts';
import { type Cell, Cells } from './cells/cells.ts';
import { type StoreSaid, storeSaid } from './cells/values.ts';
import { ABOUT } from './layout.ts';

/** Of what lies there: layout.ts, cells/body.ts. */
const format = 1;

/** Its identity: 32 hex digits. `unsupported`: it cannot be used, by this release or at all. */
export async function databaseOf(objects: ConditionalObjects, prefix: string, signal: AbortSignal): Promise<string> {
  await proveConditions(objects, prefix, signal);
  const cells = new Cells(objects, prefix, signal);
  for (let again = 0; again < againMax; again++) {
    const cell: Cell<StoreSaid> = await cells.read(ABOUT, storeSaid);
    if (cell.value === undefined) {
      await cells.write<StoreSaid>(cell, { live: true, value: { format, database: randomBytes(16).toString('hex') } });
      continue;
    }
    if (cell.value.format === format && cell.value.database !== undefined) return cell.value.database;
    throw new BackendError(
      'unsupported',
      `${objects.name}: what lies below ${prefix} has format ${cell.value.format}, and this release knows ${format}: run the release that wrote it, or a newer one`,
    );
  }
  throw busy(ABOUT);
}
