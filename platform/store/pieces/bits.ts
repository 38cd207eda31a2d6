/** Which pieces of a blob are held: bit (i & 7) of byte i >> 3, as on the wire. */

export class PieceBits {
  readonly bytes: Uint8Array;
  readonly size: number;
  #count = 0;

  /** Takes `from` where it has the right length; bits beyond the end are ignored. */
  constructor(size: number, from?: Uint8Array) {
    this.size = size;
    this.bytes = new Uint8Array(Math.ceil(size / 8));
    if (from?.length !== this.bytes.length) return;
    for (let i = 0; i < size; i += 1) if (((from[i >> 3] as number) >> (i & 7)) & 1) this.set(i);
  }

  static full(size: number): PieceBits {
    return new PieceBits(size, new Uint8Array(Math.ceil(size / 8)).fill(0xff));
  }

  get count(): number {
    return this.#count;
  }

  has(i: number): boolean {
    return i >= 0 && i < this.size && (((this.bytes[i >> 3] as number) >> (i & 7)) & 1) === 1;
  }

  set(i: number): void {
    if (this.has(i) || i < 0 || i >= this.size) return;
    this.bytes[i >> 3] = (this.bytes[i >> 3] as number) | (1 << (i & 7));
    this.#count += 1;
  }

  clear(i: number): void {
    if (!this.has(i)) return;
    this.bytes[i >> 3] = (this.bytes[i >> 3] as number) & ~(1 << (i & 7));
    this.#count -= 1;
  }
}
