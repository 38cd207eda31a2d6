/** A process that restores a backup over an index, and tells its parent how far it is, to be killed meanwhile. */

import { restoreTags } from './restore.ts';

const [from, data] = process.argv.slice(2) as [string, string];
const progress = (done: number): void => void process.send?.(done);
process.send?.(0);
await restoreTags({ from, data, replace: true, nowMs: Date.now(), copying: { progress } });
process.send?.('done');
