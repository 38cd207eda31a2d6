/**
 * The floor of an agent, a program: receives a blob, hashes each unit, writes it, and, where somebody reads, gives it on.
 * No protocol: a connection is a blob. `receive.ts LAYOUT SENDER_PORT FILE BYTES`; GET /pull or /read begins a pull.
 *
 * `LAYOUT` one: all in the thread that receives, while the bytes are in its core's cache; two: a worker hashes and writes.
 */

import { closeSync, openSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { Line, lengthOf, slots, unitsOf } from './line.ts';
import { storeUnit } from './store.ts';

const [layout, port, file = '', size] = process.argv.slice(2);
const bytes = Number(size);
const units = unitsOf(bytes);
const line = new Line();
if (layout === 'two')
  new Worker(new URL('store-thread.ts', import.meta.url), { workerData: { memory: line.memory, bytes } });

const server = createServer((request, response) => {
  pull(request.url === '/read' ? response : undefined).then(
    () => response.end(),
    (error: Error) => response.destroy(error),
  );
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ ready: true, role: 'floor', ports: { http: (server.address() as AddressInfo).port } });
});
process.on('disconnect', () => process.exit());

async function pull(reader: ServerResponse | undefined): Promise<void> {
  const fd = openSync(file, 'w');
  const out = new Out(reader);
  try {
    reader?.setHeader('content-length', bytes);
    if (layout === 'two') await Promise.all([receive(out, (unit) => line.there.put(unit, fd)), giveStored(out)]);
    else await receive(out, (unit) => storeAndGive(unit, fd, out));
    while (!out.free(units + slots - 1)) await out.moved();
  } finally {
    closeSync(fd);
  }
}

function storeAndGive(unit: number, fd: number, out: Out): void {
  storeUnit(line.window(unit, 0, lengthOf(unit, bytes)), fd, unit);
  out.give(unit);
}

async function giveStored(out: Out): Promise<void> {
  for (let given = 0; given < units; given++) out.give(await line.back.next());
}

/** What a reader has had; without one, what is stored. */
class Out {
  readonly #reader: ServerResponse | undefined;
  #sent = 0;
  #wake: () => void = () => {};

  constructor(reader: ServerResponse | undefined) {
    this.#reader = reader;
  }

  give(unit: number): void {
    const sent = (): void => {
      this.#sent++;
      this.#wake();
    };
    if (this.#reader === undefined) sent();
    else this.#reader.write(line.window(unit, 0, lengthOf(unit, bytes)), sent);
  }

  /** Whether nobody needs the slot of `unit` for the one before it. */
  free(unit: number): boolean {
    return unit - this.#sent < slots;
  }

  moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Every byte of the connection, the kernel writing straight into slots. */
function receive(out: Out, filled: (unit: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let unit = 0;
    let offset = 0;
    const resume = async (): Promise<void> => {
      while (!out.free(unit)) await out.moved();
      socket.resume();
    };
    const socket = connect({
      host: '127.0.0.1',
      port: Number(port),
      onread: {
        buffer: () => line.window(unit, offset),
        callback: (count) => {
          offset += count;
          if (offset < lengthOf(unit, bytes)) return true;
          filled(unit);
          unit++;
          offset = 0;
          if (unit === units || out.free(unit)) return true;
          resume().catch(reject);
          return false;
        },
      },
    });
    socket.once('error', reject);
    socket.once('close', () => (unit === units ? resolve() : reject(new Error('the sender ended early'))));
  });
}
