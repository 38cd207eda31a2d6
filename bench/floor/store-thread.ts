/** The second thread of the floor's receiver: hashes and writes what has come, in order, for ever. */

import { workerData } from 'node:worker_threads';
import { Line, type LineMemory, lengthOf } from './line.ts';
import { storeUnit } from './store.ts';

const { memory, bytes } = workerData as { memory: LineMemory; bytes: number };
const line = new Line(memory);
for (;;) {
  const { unit, fd } = line.there.take();
  storeUnit(line.window(unit, 0, lengthOf(unit, bytes)), fd, unit);
  line.back.put(unit);
}
