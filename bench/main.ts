/** `npm run bench -- [NAME] [--json] [--small]`: measures Shoal. Goals and commands: bench/README.md. */

import { exitOnSignals } from '../harness/at-exit.ts';
import { heedOutput } from '../platform/lifecycle/output.ts';
import { BENCHMARKS, benchCommand } from './command.ts';

heedOutput().mustFinish();
exitOnSignals();
await benchCommand(BENCHMARKS, (text) => process.stdout.write(text)).parseAsync();
