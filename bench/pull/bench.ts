/** `npm run bench -- pull`: real processes on loopback against curl and nginx. */

import { Skipped } from '../../harness/error.ts';
import type { Figures } from '../../harness/report.ts';
import { firstByteMeasures } from './first-byte.ts';
import { hotMeasures } from './hot.ts';
import type { PullSetup } from './setup.ts';
import { singleMeasures } from './single.ts';
import { smallMeasures } from './small.ts';
import { tenMeasures } from './ten.ts';
import { warmMeasures } from './warm.ts';

/** Each with the figure that stands for it where it cannot be run. */
const MEASURES = {
  single: { measure: singleMeasures, figure: 'ratioToCurl' },
  firstByte: { measure: firstByteMeasures, figure: 'firstByteP50Ms' },
  ten: { measure: tenMeasures, figure: 'tenAgentsMBps' },
  small: { measure: smallMeasures, figure: 'smallBlobsPerS' },
  hot: { measure: hotMeasures, figure: 'hot4KRatio' },
  warm: { measure: warmMeasures, figure: 'warmRatioToNginx' },
} as const;

export type Measure = keyof typeof MEASURES;
export const measures = Object.keys(MEASURES) as Measure[];

/** Against plain ones, alone: two clusters at once. */
export async function benchPullTls(setup: PullSetup, only: readonly Measure[]): Promise<Figures> {
  return await (await import('./tls.ts')).tlsMeasures(setup, only);
}

export async function benchPull(setup: PullSetup, only: readonly Measure[]): Promise<Figures> {
  let figures: Figures = {};
  for (const name of only) {
    const { measure, figure } = MEASURES[name];
    figures = { ...figures, ...(await orSkipped(figure, () => measure(setup))) };
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
