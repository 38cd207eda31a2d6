/**
 * The floor of a seeder, a program: reads a file, unit by unit, into a slot, and sends it, on each connection from its
 * beginning, one connection at a time. `send.ts LAYOUT FILE BYTES`
 *
 * `LAYOUT` one: both in one thread; two: a worker reads ahead.
 */

import { openSync, readSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { unitBytes } from '../../core/piece.ts';
import { Line, lengthOf, unitsOf } from './line.ts';

const [layout, file = '', size] = process.argv.slice(2);
const bytes = Number(size);
const units = unitsOf(bytes);
const fd = openSync(file, 'r');
const line = new Line();
/** Units that are read or on the socket: enough that the kernel always has one, few enough that they stay in the cache. */
const ahead = layout === 'two' ? 8 : 4;

if (layout === 'two')
  new Worker(new URL('read-thread.ts', import.meta.url), { workerData: { memory: line.memory, bytes } });
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  if (layout === 'two') void twoThreads(socket);
  else oneThread(socket);
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ ready: true, role: 'floor', ports: { peer: (server.address() as AddressInfo).port } });
});
process.on('disconnect', () => process.exit());

function oneThread(socket: Socket): void {
  let next = 0;
  let underWay = 0;
  const fill = (): void => {
    for (; underWay < ahead && next < units; next++) {
      const length = lengthOf(next, bytes);
      readSync(fd, line.window(next), 0, length, next * unitBytes);
      underWay++;
      socket.write(line.window(next, 0, length), gone);
    }
    if (underWay === 0) socket.end();
  };
  const gone = (): void => {
    underWay--;
    fill();
  };
  fill();
}

async function twoThreads(socket: Socket): Promise<void> {
  let asked = 0;
  const ask = (): void => {
    if (asked < units) line.there.put(asked++, fd);
  };
  for (let i = 0; i < ahead; i++) ask();
  for (let unit = 0; unit < units; unit++) {
    await line.back.next();
    socket.write(line.window(unit, 0, lengthOf(unit, bytes)), ask);
  }
  socket.end();
}
