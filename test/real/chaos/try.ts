/** `node test/real/chaos/try.ts [--keep DIR] [what director.ts takes]`: a run by hand, without a test around it. */
import { runChaos } from './start.ts';

const args = process.argv.slice(2);
const at = args.indexOf('--keep');
const [, keep] = at < 0 ? [] : args.splice(at, 2);
const { judged, lost } = await runChaos(args, keep);
process.exit(judged.wrong.length + lost.length > 0 ? 1 : 0);
