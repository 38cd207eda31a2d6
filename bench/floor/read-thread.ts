/** The second thread of the floor's sender: reads the units that it is told to, for ever. */

import { readSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { unitBytes } from '../../core/piece.ts';
import { Line, type LineMemory, lengthOf } from './line.ts';

const { memory, bytes } = workerData as { memory: LineMemory; bytes: number };
const line = new Line(memory);
for (;;) {
  const { unit, fd } = line.there.take();
  readSync(fd, line.window(unit), 0, lengthOf(unit, bytes), unit * unitBytes);
  line.back.put(unit);
}
