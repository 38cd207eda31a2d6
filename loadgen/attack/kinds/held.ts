/** Connections that are held, and hold up whoever waits for what does not come. */

import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Attacks } from '../target.ts';
import { head } from '../target.ts';

const dripMs = 250;
/** Bytes are announced that never come. */
const announced = 7_000_000;
const every = ['http', 'peer'] as const;
/** What is busy takes memory of the attacker as well; a tenth of them is enough. */
const some = (connections: number): number => Math.ceil(connections / 10);

export const HELD: Attacks = {
  'slow-bodies': {
    kinds: ['http'],
    run: async ({ wire, on, connections }) => {
      const request = head('POST', on.post, ['content-type: application/json', `content-length: ${announced}`]);
      await wire.hold(some(connections), request, { text: ' ', everyMs: dripMs });
    },
  },
  'slow-headers': {
    kinds: ['http'],
    run: async ({ wire, on, connections }) => {
      const begun = `GET ${on.get} HTTP/1.1\r\nhost: shoal\r\n`;
      await wire.hold(some(connections), begun, { text: 'x-more: a\r\n', everyMs: dripMs });
    },
  },
  idle: { kinds: every, run: async ({ wire, connections }) => await wire.hold(connections, '') },
  'half-tls': {
    kinds: every,
    run: async ({ wire, connections }) => await wire.hold(some(connections), await firstOfTls()),
  },
};

/** A client's hello, as Node writes it: what follows never comes. */
function firstOfTls(): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read: () => undefined,
      write: (bytes: Buffer, _, done) => {
        resolve(bytes);
        done();
      },
    });
    connectTls({ socket, servername: 'shoal', rejectUnauthorized: false }).on('error', () => undefined);
  });
}
