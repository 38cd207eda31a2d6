/** What is no peer, or none that keeps the protocol, at the port for peers. */

import { randomBytes } from 'node:crypto';
import { encode } from '../../../core/wire/encode.ts';
import { protocolVersion } from '../../../core/wire/limits.ts';
import { type Attacks, head, untilEnd } from '../target.ts';

/** The length of a frame, and its type. */
const huge = Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0]);

export const PEERS: Attacks = {
  'peer-nonsense': {
    kinds: ['peer'],
    run: async (attacking) => {
      const { wire, on, connections } = attacking;
      const self = {
        node: randomBytes(16).toString('hex'),
        host: '127.0.0.1',
        port: on.port,
        role: 'agent',
        zone: '',
      } as const;
      const hello = encode({ kind: 'hello', version: protocolVersion, features: 0, cluster: 'default', self });
      const foreign = encode({ kind: 'hello', version: protocolVersion, features: 0xff, cluster: 'another', self });
      const said: readonly (() => Uint8Array)[] = [
        () => randomBytes(64 * 1024),
        () => huge,
        () => hello.subarray(0, hello.length - 1),
        () => foreign,
        () => Buffer.concat([hello, hello, hello]),
        () => Buffer.concat([hello, randomBytes(4_096)]),
        () => Buffer.concat([hello, huge]),
        () => Buffer.from(head('GET', '/')),
        () => Buffer.alloc(1024 * 1024),
      ];
      // Some that greet halfway are held meanwhile.
      const held = wire.hold(Math.ceil(connections / 10), hello.subarray(0, 5));
      await untilEnd(
        attacking,
        async (round) => await wire.say((said[round % said.length] as () => Uint8Array)(), 200),
      );
      await held;
    },
  },
};
