/** `npm run bench -- storage`: blobs that rest in a bucket of S3, on loopback, against curl and `aws s3 cp`. */

import { Skipped } from '../../harness/error.ts';
import type { Figures } from '../../harness/report.ts';
import { aloneMeasures } from './alone.ts';
import { coldMeasures } from './cold.ts';
import { importMeasures } from './import.ts';
import type { StorageSizes } from './sizes.ts';
import { writeBackMeasures } from './write-back.ts';

/** Each with the figure that stands for it where it cannot be run. */
const MEASURES = {
  alone: { measure: aloneMeasures, figure: 's3WriteRatio' },
  writeBack: { measure: writeBackMeasures, figure: 'writeBackRatio' },
  cold: { measure: coldMeasures, figure: 'coldOverMax' },
  import: { measure: importMeasures, figure: 'importSeconds' },
} as const;

export type StorageMeasure = keyof typeof MEASURES;
export const storageMeasures = Object.keys(MEASURES) as StorageMeasure[];

export async function benchStorage(sizes: StorageSizes, only: readonly StorageMeasure[]): Promise<Figures> {
  let figures: Figures = {};
  for (const name of only) {
    const { measure, figure } = MEASURES[name];
    figures = { ...figures, ...(await orSkipped(figure, () => measure(sizes))) };
  }
  return figures;
}

async function orSkipped(figure: string, measure: () => Promise<Figures>): Promise<Figures> {
  try {
    return await measure();
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    return { [figure]: `skipped: ${error.message}` };
  }
}
