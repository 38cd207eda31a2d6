/** Pieces leave whole, whatever else is said on the link. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Arena } from '../../workers/arena.ts';
import { socketBytesMax } from '../limits.ts';
import { Outbox, type PieceEnd } from './outbox.ts';

test('a piece longer than the socket is given at a time leaves by itself, and the next after it', async () => {
  await using stack = new AsyncDisposableStack();
  const server = createServer().listen(0, '127.0.0.1');
  stack.defer(() => void server.close());
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  stack.defer(() => void socket.destroy());
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [Socket],
    unknown,
  ];
  let received = 0;
  accepted.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  const length = 3 * socketBytesMax;
  const arena = new Arena(8 * length);
  const outbox = new Outbox(socket, () => performance.now());
  const ends = [0, 1].map((piece) => {
    const slot = arena.tryAcquire('send', length);
    if (slot === undefined) throw new Error('no slot');
    return new Promise<PieceEnd>((done) =>
      outbox.feed({ header: { kind: 'piece', grant: piece + 1, swarm: 0, piece, length }, slot, done }),
    );
  });
  expect(await Promise.all(ends)).toEqual(['sent', 'sent']);
  while (received < 2 * length) await once(accepted, 'data');
  expect(received).toBeLessThan(2 * length + 100);
});
