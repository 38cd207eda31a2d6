/** Prints the files that a pull and a push pass through, as test/journey.test.ts counts them: `node tools/journey.ts`. */

import { Cluster } from '../platform/testing/cluster.ts';
import { journeys, listOf } from '../test/journey.fixtures.ts';

await using cluster = await Cluster.make();
const { pull, push } = await journeys(cluster);
process.stdout.write(`${listOf('A cold pull, in the agent', pull)}\n\n${listOf('A push, in the proxy', push)}\n`);
