/** A process that adds rows, and does some of them, until it is killed; it tells its parent of each row once it is promised. */

import { prng } from '../../core/prng.ts';
import { Queue } from './queue.ts';
import { runInThread } from './runners.ts';

const [file] = process.argv.slice(2) as [string];
const runner = await runInThread({ file, name: 'test queue', rowsMax: 1_000_000 }, (error) => {
  throw error;
});
const queue = new Queue({ runner, nowMs: Date.now, random: prng(1) });

async function add(no: number): Promise<void> {
  await queue.add([{ key: `k${no}`, lane: 'a', about: `d${no}`, bytes: no, data: '{}' }]);
  process.send?.({ added: no });
  if (no % 3 > 0) return;
  const [row] = (await queue.list({ about: `d${no}` }, { max: 1 })).rows;
  // Told before it happens: the row may be gone from now on, and need not be.
  process.send?.({ doing: no });
  if (row !== undefined) await queue.done(row);
}

for (let no = 0; ; no += 8) await Promise.all(Array.from({ length: 8 }, (_, i) => add(no + i)));
