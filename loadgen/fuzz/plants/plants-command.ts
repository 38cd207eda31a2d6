/** `loadgen fuzz --plants`: each planted defect in turn, and the seed that finds it. One that is not found is a failure. */

import type { FuzzOptions } from '../options.ts';
import { runSeed } from '../run.ts';
import { PLANTS, type Plant } from './plants.ts';

/** A defect that takes longer to be found would live in the product for long. */
const seedsMax = 500;

export async function runPlants({ seed: first, degree }: Pick<FuzzOptions, 'seed' | 'degree'>): Promise<void> {
  let missed = 0;
  for (const [name, { room, defect }] of Object.entries(PLANTS)) {
    const found = await findPlant(name as Plant, { first, degree });
    if (found === undefined) missed++;
    const how = found === undefined ? `NOT FOUND in ${seedsMax} seeds` : `seed ${found.seed}: ${found.text}`;
    process.stdout.write(`${name} (${room}: ${defect})\n    ${how.slice(0, 200)}\n`);
  }
  if (missed > 0) process.exitCode = 1;
}

async function findPlant(
  plant: Plant,
  { first, degree }: { first: number; degree: number | undefined },
): Promise<{ seed: number; text: string } | undefined> {
  for (let seed = first; seed < first + seedsMax; seed++) {
    const { violation } = await runSeed({ seed, plant, degree });
    if (violation !== undefined) return { seed, text: `${violation.kind}: ${violation.text.split('\n')[0]}` };
  }
  return undefined;
}
