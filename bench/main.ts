/** `npm run bench -- [NAME] [--json] [--small]`: measures Shoal. Goals and commands: bench/README.md. */

import { heedOutput } from '../platform/lifecycle/output.ts';
import { BENCHMARKS, benchCommand } from './command.ts';
import { exitOnSignals } from './harness/at-exit.ts';

heedOutput().mustFinish();
exitOnSignals();
await benchCommand(BENCHMARKS, (text) => process.stdout.write(text)).parseAsync();
