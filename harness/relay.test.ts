import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { cut } from './relay.ts';

/** More than the kernel takes for who does not read. */
const bytes = 64 << 20;

test.each<[string, (socket: Socket) => unknown]>([
  ['has nothing on its way', () => undefined],
  ['has bytes on their way', (socket) => socket.write(Buffer.alloc(bytes))],
  ['has just been ended', (socket) => socket.end()],
  ['has been ended, with bytes on their way', (socket) => socket.end(Buffer.alloc(bytes))],
])('a connection that %s is cut: it ends on both sides, and what was on its way does not come', async (_, first) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  await once(socket, 'connect');
  const [other] = await accepted;
  const errors: (string | undefined)[] = [];
  socket.on('error', ({ code }: NodeJS.ErrnoException) => errors.push(code));
  other.on('error', () => undefined);
  let came = 0;
  other.on('data', (chunk: Buffer) => {
    came += chunk.length;
  });
  const ends = Promise.all([socket, other].map((one) => new Promise((resolve) => one.once('close', resolve))));
  first(socket);
  cut(socket);
  other.resume();
  await ends;
  expect(came).toBeLessThan(bytes);
  expect(errors).toEqual([]);
  await new Promise((resolve) => server.close(resolve));
});
