/** Whether a bucket can hold what an index knows, and what lies there: its conditions are tried as at a start. */

import { BackendError } from '../../backends/backend.ts';
import { proveConditions } from '../../backends/conditional.ts';
import type { BackendRule } from '../../backends/config.ts';
import type { Env } from '../../config/yaml.ts';
import { StartError } from '../../lifecycle/errors.ts';
import { realClock } from '../../net/clock.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { StoreSettings } from '../config.ts';
import type { StoreProof } from '../proof.ts';
import { format, formatMoving } from './about.ts';
import { Cells } from './cells/cells.ts';
import { storeSaid } from './cells/values.ts';
import { ABOUT } from './layout.ts';
import { bucketObjects } from './open.ts';

type Given = { readonly backends: readonly BackendRule[]; readonly env: Env; readonly signal: AbortSignal };

/** Throws StartError with what is to be done. */
export async function proveBucket(
  { backend, prefix }: Extract<StoreSettings, { kind: 'bucket' }>,
  { backends, env, signal }: Given,
): Promise<StoreProof> {
  const rule = backends.find(({ name }) => name === backend);
  if (rule === undefined) throw new StartError(`there is no rule ${backend} of \`backends\``);
  const quiet = { env, clock: realClock, log: silentLog(), metrics: new Metrics() };
  const { objects, close } = await bucketObjects(rule, quiet);
  try {
    await proveConditions(objects, prefix, signal);
    const { value } = await new Cells(objects, prefix, signal).read(ABOUT, storeSaid);
    if (value === undefined)
      return { proven: 'written', lacks: [`a store below ${prefix} yet, which the first start makes`] };
    if (value.format > formatMoving)
      throw new StartError(`${objects.name}: a move into ${prefix} has not ended: give \`shoal index move\` again`);
    if (value.format !== format)
      throw new StartError(
        `${objects.name}: what lies below ${prefix} has format ${value.format}, this release knows ${format}`,
      );
    return { proven: 'written', lacks: [] };
  } catch (error) {
    throw error instanceof BackendError ? new StartError(error.message) : error;
  } finally {
    await close();
  }
}
