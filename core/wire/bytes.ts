/**
 * Reading and writing the primitive values of the wire: fixed little-endian integers, varints,
 * bytes, ASCII text and hex.
 *
 * Rule 1: a ByteReader throws nothing but PeerFault, and copies no more than the bytes it is given.
 * Rule 2: a varint is unsigned LEB128, shortest form only, at most 2^53 - 1.
 * Rule 3: a ByteWriter is told what it writes by us; a value out of range is a Bug.
 */

import { assert, PeerFault } from '../assert.ts';

/** ceil(53 / 7). */
export const varintBytesMax = 8;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

export class ByteReader {
  #bytes: Uint8Array;
  #at: number;
  #end: number;
  /** Begins every fault's reason, e.g. the message's kind. */
  #what: string;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length, what = 'frame') {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#what = what;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  fault(why: string): never {
    throw new PeerFault(`${this.#what}: ${why}`);
  }

  u8(): number {
    if (this.#at >= this.#end) this.fault('cut short');
    return this.#bytes[this.#at++] as number;
  }

  u16(): number {
    return this.u8() + this.u8() * 0x100;
  }

  u32(): number {
    return this.u16() + this.u16() * 0x1_0000;
  }

  /** An unsigned LEB128 of at most `max`, which is at most 2^53 - 1. */
  varint(max: number, name: string): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < varintBytesMax; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) this.fault(`${name} is not in shortest form`);
        if (value > max) this.fault(`${name} out of range`);
        return value;
      }
      scale *= 0x80;
    }
    return this.fault(`${name} out of range`);
  }

  /** A copy of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    if (count > this.left) this.fault('cut short');
    this.#at += count;
    return this.#bytes.slice(this.#at - count, this.#at);
  }

  /** `count` bytes as lower-case hex. */
  hex(count: number): string {
    if (count > this.left) this.fault('cut short');
    this.#at += count;
    return toHex(this.#bytes.subarray(this.#at - count, this.#at));
  }

  /** One length byte, then so many printable ASCII characters. */
  text(max: number, name: string): string {
    const length = this.u8();
    if (length > max) this.fault(`${name} too long`);
    if (length > this.left) this.fault('cut short');
    let text = '';
    for (let i = 0; i < length; i++) {
      const code = this.#bytes[this.#at++] as number;
      if (code < 0x20 || code > 0x7e) this.fault(`${name} is not printable ASCII`);
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** The body must end here. */
  end(): void {
    if (this.#at !== this.#end) this.fault('bytes left over');
  }
}

/** Writes into a buffer that the caller has made large enough. */
export class ByteWriter {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  u8(value: number): void {
    assert(this.#at < this.#bytes.length, 'wire: frame larger than its bound');
    assert(value >= 0 && value <= 0xff && Number.isInteger(value), 'wire: not a byte');
    this.#bytes[this.#at++] = value;
  }

  u16(value: number): void {
    this.u8(value % 0x100);
    this.u8(Math.floor(value / 0x100));
  }

  u32(value: number): void {
    this.u16(value % 0x1_0000);
    this.u16(Math.floor(value / 0x1_0000));
  }

  varint(value: number, max: number, name: string): void {
    assert(Number.isSafeInteger(value) && value >= 0 && value <= max, `wire: ${name} ${value} out of range`);
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  bytes(bytes: Uint8Array): void {
    assert(this.#at + bytes.length <= this.#bytes.length, 'wire: frame larger than its bound');
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Exactly `count` bytes given as hex. */
  hex(text: string, count: number): void {
    assert(text.length === count * 2, `wire: expected ${count * 2} hex digits, not '${text}'`);
    for (let i = 0; i < text.length; i += 2) {
      const value = Number.parseInt(text.slice(i, i + 2), 16);
      assert(HEX[value] === text.slice(i, i + 2), `wire: not lower-case hex: '${text}'`);
      this.u8(value);
    }
  }

  text(text: string, max: number, name: string): void {
    assert(text.length <= max, `wire: ${name} '${text}' is longer than ${max}`);
    this.u8(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      assert(code >= 0x20 && code <= 0x7e, `wire: ${name} '${text}' is not printable ASCII`);
      this.u8(code);
    }
  }

  /** Overwrites 4 bytes already written, at `at`. */
  patchU32(at: number, value: number): void {
    new ByteWriter(this.#bytes, at).u32(value);
  }
}
