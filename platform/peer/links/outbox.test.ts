/** Pieces leave whole, whatever else is said on the link. */

import { expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import type { Ears, Incoming } from '../../net/net.ts';
import { tcp } from '../../net/tcp.ts';
import { Arena } from '../../workers/arena.ts';
import { socketBytesMax } from '../limits.ts';
import { Outbox, type PieceEnd } from './outbox.ts';

test('a piece longer than the socket is given at a time leaves by itself, and the next after it', async () => {
  await using stack = new AsyncDisposableStack();
  let received = 0;
  const counts: Ears = {
    received: (bytes) => {
      received += bytes;
      return true;
    },
    closed: () => undefined,
  };
  const accept = (incoming: Incoming): void => void incoming.take(counts);
  const listener = await tcp.listen({ host: '127.0.0.1', port: 0 }, { accept, failed: () => undefined });
  stack.defer(() => listener.close());
  const made = Promise.withResolvers<void>();
  const ears: Ears = { connected: made.resolve, received: () => true, closed: () => undefined };
  const connection = tcp.dial({ host: '127.0.0.1', port: listener.port }, ears);
  stack.defer(() => connection.destroy());
  await made.promise;
  const length = 3 * socketBytesMax;
  const arena = new Arena(8 * length);
  const outbox = new Outbox(connection, realClock);
  const ends = [0, 1].map((piece) => {
    const slot = arena.tryAcquire('send', length);
    if (slot === undefined) throw new Error('no slot');
    return new Promise<PieceEnd>((done) =>
      outbox.feed({ header: { kind: 'piece', grant: piece + 1, swarm: 0, piece, length }, slot, done }),
    );
  });
  expect(await Promise.all(ends)).toEqual(['sent', 'sent']);
  await expect.poll(() => received).toBeGreaterThanOrEqual(2 * length);
  expect(received).toBeLessThan(2 * length + 100);
});
