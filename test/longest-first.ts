/**
 * The order of test files: those that take longest begin first, so that no worker is busy with one of them while the
 * others have nothing left to do.
 *
 * Vitest knows how long files took from the run before, which a fresh clone has not got: there it goes by their size.
 */
import { join } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Half a minute and more on two cores, longest first. A test sees to it that they are there. */
export const LONGEST: readonly string[] = [
  'loadgen/fuzz/plants/plants.test.ts',
  'cli/demo.test.ts',
  'origin/repair/repair.e2e.test.ts',
  'test/damaged.e2e.test.ts',
  'cli/main.test.ts',
  'test/growing.e2e.test.ts',
  'origin/condemned.e2e.test.ts',
  'platform/peer/attacks.test.ts',
  'test/write-back.e2e.test.ts',
  'proxy/hanging.test.ts',
  'origin/restored-index.e2e.test.ts',
  'loadgen/sim/agree.test.ts',
  'test/drain.e2e.test.ts',
  'test/real/storage/clusters.test.ts',
  'test/real/storage/lost.test.ts',
  'test/real/clients/slow.test.ts',
  'test/real/storage/hdfs.test.ts',
  'test/real/storage/index-bucket.test.ts',
  'test/real/clients/docker.test.ts',
  'test/real/storage/index-lin.test.ts',
  'test/real/disks/crash.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const { root } = this.ctx.config;
    const known = LONGEST.map((path) => join(root, path));
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = known.indexOf(moduleId);
      return at < 0 ? known.length : at;
    };
    // Sorting is stable: the rest stays as it was.
    return sorted.sort((one, two) => rank(one) - rank(two));
  }
}
