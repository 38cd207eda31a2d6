/**
 * A link's incoming bytes, read as a socket reads them: into whatever buffer is asked for, as much or as
 * little as there is. Slots are real, from a small arena, and sometimes not to be had.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PeerFault } from '../../../core/assert.ts';
import { unitBytes } from '../../../core/piece.ts';
import { prng } from '../../../core/prng.ts';
import { encode } from '../../../core/wire/encode.ts';
import { MESSAGES } from '../../../core/wire/fixtures.ts';
import type { Message, Piece } from '../../../core/wire/messages.ts';
import { Arena, type Slot } from '../../workers/arena.ts';
import { Inflow } from './inflow.ts';

type Item = { readonly message: Message; readonly payload: Uint8Array | undefined };
type Got = { readonly message: Message; readonly payload: Buffer | undefined };

const feederKinds = ['hello', 'grant', 'haves', 'missing', 'opened', 'hashes', 'neighbours', 'revoke'] as const;
const control: fc.Arbitrary<Item> = fc
  .oneof(...feederKinds.map((kind) => MESSAGES[kind] as fc.Arbitrary<Message>))
  .map((message) => ({ message, payload: undefined }));
const piece: fc.Arbitrary<Item> = fc
  .tuple(fc.nat({ max: 99 }), fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 3 * unitBytes })))
  .map(([index, length]) => {
    const payload = new Uint8Array(length).map((_, i) => (i * 31 + index) & 0xff);
    return { message: { kind: 'piece', grant: index, swarm: 1, piece: index, length }, payload };
  });

/** A socket's worth of behaviour around an Inflow: reads on until told to stop, goes on when resumed. */
class Reader {
  readonly got: Got[] = [];
  readonly arena = new Arena(16 * unitBytes, { receive: 3 / 16, send: 1 / 16, reader: 1 / 16 });
  readonly inflow: Inflow;
  copied = 0;
  skip = false;
  #stingy: boolean;
  #wanted: number | undefined;
  #paused = false;
  #buffer: Uint8Array;

  constructor(stingy: boolean) {
    this.#stingy = stingy;
    this.inflow = new Inflow({
      message: (message) => this.got.push({ message, payload: undefined }),
      wants: () => (this.skip ? 'skip' : 'take'),
      acquire: (bytes) => {
        const slot = this.#stingy ? undefined : this.arena.tryAcquire('receive', bytes);
        if (slot === undefined) this.#wanted = bytes;
        return slot;
      },
      progress: () => undefined,
      arrived: (message, slot) => this.#arrived(message, slot),
      skipped: () => undefined,
    });
    this.#buffer = this.inflow.buffer();
  }

  read(bytes: Uint8Array, sizes: () => number): void {
    for (let at = 0; at < bytes.length; ) {
      while (this.#paused) this.#resume();
      const count = Math.min(sizes(), this.#buffer.length, bytes.length - at);
      this.#buffer.set(bytes.subarray(at, at + count));
      at += count;
      this.#paused = !this.inflow.received(count, this.#buffer);
      // As Node does: the next buffer is asked for before the pause takes effect.
      this.#buffer = this.inflow.buffer();
    }
    while (this.#paused) this.#resume();
  }

  #resume(): void {
    const slot = this.arena.tryAcquire('receive', this.#wanted as number) as Slot;
    this.#paused = !this.inflow.resume(slot);
  }

  #arrived(message: Piece, slot: Slot): void {
    this.got.push({ message, payload: Buffer.concat(slot.parts()) });
    slot.release();
  }
}

function bytesOf(items: readonly Item[]): Buffer {
  return Buffer.concat(items.flatMap((i) => [encode(i.message), ...(i.payload === undefined ? [] : [i.payload])]));
}

test('frames and pieces come out as they went in, however they are cut and whether or not a slot is free', () => {
  const items = fc.array(fc.oneof(control, piece), { maxLength: 12 });
  fc.assert(
    fc.property(items, fc.nat(), fc.boolean(), fc.constantFrom(3, 700, 5000, 400_000), (sent, seed, stingy, max) => {
      const random = prng(seed);
      const reader = new Reader(stingy);
      reader.read(bytesOf(sent), () => 1 + random.below(max));
      expect(reader.got.length).toBe(sent.length);
      for (const [i, { message, payload }] of sent.entries()) {
        expect(reader.got[i]?.message).toEqual(message);
        if (payload !== undefined) expect(Buffer.compare(payload, reader.got[i]?.payload as Buffer)).toBe(0);
      }
      expect(reader.arena.freeBytes('receive')).toBe(reader.arena.shareBytes('receive'));
    }),
    { numRuns: 60 },
  );
});

test('pieces that nobody wants any more are read past', () => {
  const reader = new Reader(false);
  reader.skip = true;
  const lost: Message = { kind: 'piece', grant: 1, swarm: 2, piece: 3, length: 50_000 };
  const after: Message = { kind: 'grant', grant: 2, swarm: 2, piece: -1 };
  reader.read(Buffer.concat([encode(lost), Buffer.alloc(50_000, 7), encode(after)]), () => 4096);
  expect(reader.got).toEqual([{ message: after, payload: undefined }]);
});

test('a close in mid-piece gives its slot back', () => {
  const reader = new Reader(false);
  reader.read(
    Buffer.concat([encode({ kind: 'piece', grant: 1, swarm: 2, piece: 3, length: 50_000 }), Buffer.alloc(99)]),
    () => 4096,
  );
  expect(reader.inflow.midPiece).toBe(true);
  expect(reader.arena.freeBytes('receive')).toBeLessThan(reader.arena.shareBytes('receive'));
  reader.inflow.close();
  expect(reader.arena.freeBytes('receive')).toBe(reader.arena.shareBytes('receive'));
});

test('noise is a PeerFault and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 3000 }), fc.nat(), (noise, seed) => {
      const random = prng(seed);
      try {
        new Reader(false).read(noise, () => 1 + random.below(200));
      } catch (error) {
        expect(error).toBeInstanceOf(PeerFault);
      }
    }),
    { numRuns: 500 },
  );
});
