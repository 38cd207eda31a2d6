/**
 * The codec whole, one byte at a time, cut at every offset, damaged and fed with noise, for every
 * kind of message. Only PeerFault may come out of bytes, and no more memory than bytes came in.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PeerFault } from '../assert.ts';
import { Decoder } from './decode.ts';
import { Encoder, encode, frameBytesMax } from './encode.ts';
import { MESSAGES, message } from './fixtures.ts';
import { FRAMES, frameOfType, type Kind, type Side } from './frames.ts';
import { frameBodyBytesMax, frameHeaderBytes } from './limits.ts';
import type { Message } from './messages.ts';

const KINDS = Object.keys(FRAMES) as Kind[];
const sideOf = (kind: Kind): Side => (FRAMES[kind].from === 'puller' ? 'puller' : 'feeder');

/** Everything that `chunks` say, read as a driver does, without payloads. */
function decodeAll(from: Side, chunks: Iterable<Uint8Array>): Message[] {
  const decoder = new Decoder(from);
  const messages: Message[] = [];
  for (const chunk of chunks) {
    let at = 0;
    while (at < chunk.length) {
      at = decoder.push(chunk, at);
      const found = decoder.take();
      if (found !== undefined) messages.push(found);
    }
  }
  return messages;
}

const split = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

describe.each(KINDS)('%s', (kind) => {
  const from = sideOf(kind);
  const one = MESSAGES[kind] as fc.Arbitrary<Message>;

  test('comes back as it was, whole', () => {
    fc.assert(
      fc.property(one, (m) => {
        const frame = encode(m);
        expect(frame.length).toBeLessThanOrEqual(frameBytesMax(m));
        expect(frame.length).toBeLessThanOrEqual(frameHeaderBytes + FRAMES[kind].bodyMax);
        expect(decodeAll(from, [frame])).toEqual([m]);
      }),
      { numRuns: 60 },
    );
  });

  test('comes back the same one byte at a time and in chunks of any size', () => {
    fc.assert(
      fc.property(one, fc.integer({ min: 2, max: 600 }), (m, size) => {
        const frame = encode(m);
        if (frame.length < 4096) expect(decodeAll(from, split(frame, 1))).toEqual([m]);
        expect(decodeAll(from, split(frame, size))).toEqual([m]);
      }),
      { numRuns: 25 },
    );
  });

  test('cut at every offset says nothing, then the whole', () => {
    fc.assert(
      fc.property(one, (m) => {
        const frame = encode(m);
        // Every offset, but for long frames, whose bytes are all alike: there some sixty.
        const step = frame.length > 4096 ? Math.floor(frame.length / 60) : 1;
        for (let cut = 0; cut < frame.length; cut += step) {
          expect(decodeAll(from, [frame.subarray(0, cut)])).toEqual([]);
          expect(decodeAll(from, [frame.subarray(0, cut), frame.subarray(cut)])).toEqual([m]);
        }
      }),
      { numRuns: 5 },
    );
  });

  test('a body cut short, with its length put right, is refused or is another message', () => {
    fc.assert(
      fc.property(one, fc.nat(), (m, at) => {
        const frame = encode(m).slice();
        const body = frame.length - frameHeaderBytes;
        if (body === 0) return;
        const cut = at % body;
        new DataView(frame.buffer).setUint32(0, cut, true);
        refusesOrReads(from, frame.subarray(0, frameHeaderBytes + cut));
      }),
      { numRuns: 60 },
    );
  });

  test('a byte too many is refused', () => {
    if (kind === 'hello') return;
    fc.assert(
      fc.property(one, (m) => {
        const frame = encode(m);
        const longer = new Uint8Array(frame.length + 1);
        longer.set(frame);
        new DataView(longer.buffer).setUint32(0, longer.length - frameHeaderBytes, true);
        // A list that goes on to the end of its body may hold a byte more; it is another message then.
        const read = refusesOrReads(from, longer);
        if (read !== undefined) expect(read).not.toEqual([m]);
      }),
      { numRuns: 30 },
    );
  });

  test('flipped bits are refused or are another message', () => {
    fc.assert(
      fc.property(
        one,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }),
        (m, flips) => {
          const frame = encode(m).slice();
          for (const [at, mask] of flips) frame[at % frame.length] = (frame[at % frame.length] as number) ^ mask;
          refusesOrReads(from, frame);
          refusesOrReads(from === 'feeder' ? 'puller' : 'feeder', frame);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('noise under a right header is refused or is another message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat({ max: 3 }), (noise, flags) => {
        const { type, bodyMax, flags: known, swarm } = FRAMES[kind];
        const body = noise.subarray(0, bodyMax);
        const frame = new Uint8Array(frameHeaderBytes + body.length);
        const header = new DataView(frame.buffer);
        header.setUint32(0, body.length, true);
        header.setUint8(4, type);
        header.setUint8(5, flags & known);
        header.setUint16(6, swarm ? 7 : 0, true);
        frame.set(body, frameHeaderBytes);
        const read = refusesOrReads(from, frame);
        // What is accepted can be said again: decoding yields no value that our own encoder refuses.
        for (const m of read ?? []) encode(m);
      }),
      { numRuns: 300 },
    );
  });

  test('a header that claims more than the type may hold is refused before its body', () => {
    const header = new Uint8Array(frameHeaderBytes);
    new DataView(header.buffer).setUint32(0, FRAMES[kind].bodyMax + 1, true);
    header[4] = FRAMES[kind].type;
    expect(() => decodeAll(from, [header])).toThrow(PeerFault);
  });

  test('is refused from the side that may not say it', () => {
    if (FRAMES[kind].from === 'either') return;
    fc.assert(
      fc.property(one, (m) => {
        expect(() => decodeAll(from === 'feeder' ? 'puller' : 'feeder', [encode(m)])).toThrow(PeerFault);
      }),
      { numRuns: 5 },
    );
  });
});

function refusesOrReads(from: Side, bytes: Uint8Array): Message[] | undefined {
  try {
    return decodeAll(from, split(bytes, 64));
  } catch (error) {
    expect(error).toBeInstanceOf(PeerFault);
    return undefined;
  }
}

test('random bytes yield nothing but PeerFault, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
      fc.constantFrom<Side>('puller', 'feeder'),
      (chunks, from) => {
        try {
          decodeAll(from, chunks);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerFault);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('a stream of messages, cut anywhere, comes back in order', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), fc.integer({ min: 1, max: 5000 }), (messages, size) => {
      const mine = messages.filter((m) => FRAMES[m.kind].from !== 'puller');
      const encoder = new Encoder();
      for (const m of mine) encoder.push(m);
      expect(decodeAll('feeder', split(encoder.take(), size))).toEqual(mine);
    }),
    { numRuns: 60 },
  );
});

test('an encoder hands over each byte once and keeps what was taken intact', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(message, fc.boolean()), { maxLength: 30 }), (steps) => {
      const encoder = new Encoder();
      const taken: Uint8Array[] = [];
      for (const [m, take] of steps) {
        encoder.push(m);
        if (take) taken.push(encoder.take());
      }
      taken.push(encoder.take());
      expect(encoder.pending).toBe(0);
      expect(Buffer.concat(taken)).toEqual(Buffer.concat(steps.map(([m]) => encode(m))));
    }),
    { numRuns: 30 },
  );
});

test('after a piece header the decoder stops where the payload begins', () => {
  const header = encode({ kind: 'piece', grant: 7, swarm: 3, piece: 9, length: 5 });
  const bytes = Buffer.concat([header, Buffer.from('hello'), encode({ kind: 'grant', grant: 8, swarm: 3, piece: -1 })]);
  const decoder = new Decoder('feeder');
  const at = decoder.push(bytes, 0);
  expect(at).toBe(header.length);
  expect(decoder.take()).toMatchObject({ kind: 'piece', length: 5 });
  decoder.push(bytes, at + 5);
  expect(decoder.take()).toEqual({ kind: 'grant', grant: 8, swarm: 3, piece: -1 });
});

test('a partial frame takes memory by what came, not by what its header claims', () => {
  const header = new Uint8Array(frameHeaderBytes);
  new DataView(header.buffer).setUint32(0, FRAMES.opened.bodyMax, true);
  header[4] = FRAMES.opened.type;
  const decoder = new Decoder('feeder');
  decoder.push(header, 0);
  expect(decoder.partial).toBe(frameHeaderBytes);
  expect(decoder.take()).toBeUndefined();
});

test('messages keep no view of the bytes they came in', () => {
  const chunk = encode({ kind: 'hashes', swarm: 1, from: 0, total: 2, hashes: new Uint8Array(64).fill(5) });
  const decoder = new Decoder('feeder');
  decoder.push(chunk, 0);
  const found = decoder.take();
  chunk.fill(0);
  expect(found).toMatchObject({ hashes: new Uint8Array(64).fill(5) });
});

test('a longer Hello of a later version is read, what follows ignored', () => {
  const self = { node: '0'.repeat(32), host: 'h', port: 1, role: 'agent', zone: '' } as const;
  const frame = encode({ kind: 'hello', version: 2, features: 0, cluster: 'c', self });
  const longer = new Uint8Array(frame.length + 9);
  longer.set(frame);
  new DataView(longer.buffer).setUint32(0, longer.length - frameHeaderBytes, true);
  expect(decodeAll('feeder', [longer])).toEqual([{ kind: 'hello', version: 2, features: 0, cluster: 'c', self }]);
});

test('haves take the shorter of both forms', () => {
  const dense = Uint32Array.from({ length: 4000 }, (_, i) => 100 + i);
  const sparse = Uint32Array.from({ length: 200 }, (_, i) => i * 1000);
  expect(encode({ kind: 'haves', swarm: 0, pieces: dense, all: false }).length).toBeLessThan(520);
  expect(encode({ kind: 'haves', swarm: 0, pieces: sparse, all: false }).length).toBeLessThan(420);
});

test('types are distinct, known, and within the frame limit', () => {
  expect(new Set(KINDS.map((kind) => FRAMES[kind].type)).size).toBe(KINDS.length);
  for (const kind of KINDS) {
    expect(frameOfType(FRAMES[kind].type)).toBe(FRAMES[kind]);
    expect(FRAMES[kind].bodyMax).toBeLessThanOrEqual(frameBodyBytesMax);
  }
});
