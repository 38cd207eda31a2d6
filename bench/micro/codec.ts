/** The wire's codec on the messages that a piece costs, both ways, and on a batch of haves. */

import { Decoder } from '../../core/wire/decode.ts';
import { Encoder, encode } from '../../core/wire/encode.ts';
import type { Message } from '../../core/wire/messages.ts';
import type { MicroCase } from './runner.ts';

const inbound = { inPieces: 12, inBytes: 3_000_000 };
const fromPuller: readonly Message[] = [
  { kind: 'request', grant: 70_001, swarm: 3, piece: 4_711, hedge: false, count: 900, ...inbound },
  { kind: 'receipt', swarm: 3, piece: 4_711, count: 899, ...inbound },
  { kind: 'wants', swarms: [{ swarm: 3, count: 899 }], ...inbound },
];
const fromFeeder: readonly Message[] = [
  { kind: 'grant', grant: 70_001, swarm: 3, piece: -1 },
  { kind: 'haves', swarm: 3, pieces: [17, 90, 411, 1_200, 3_900, 4_002], all: false },
];

export function encodeCase(): MicroCase {
  const encoder = new Encoder();
  const messages = [...fromPuller, ...fromFeeder];
  return {
    name: 'codec: encode',
    units: messages.length,
    run: () => {
      for (const message of messages) encoder.push(message);
      return encoder.take().length;
    },
  };
}

export function decodeCase(): MicroCase {
  const bytes = Buffer.concat(fromPuller.map((message) => encode(message)));
  const decoder = new Decoder('puller');
  return {
    name: 'codec: decode',
    units: fromPuller.length,
    run: () => {
      let kinds = 0;
      for (let at = 0; at < bytes.length; ) {
        at = decoder.push(bytes, at);
        kinds += decoder.take()?.kind.length ?? 0;
      }
      return kinds;
    },
  };
}
