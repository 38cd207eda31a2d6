/**
 * A ring of fixed-size records in shared memory, from one producer thread to one consumer thread.
 *
 * Rule 1: the only file that says `Atomics`. Plain writes to a record happen before the store of
 *   `tail` that publishes it; plain reads of it happen after the load of `tail` that shows it.
 * Rule 2: the producer alone writes `tail`, the consumer alone writes `head`; both only grow (and
 *   wrap at 32 bits). Either may close.
 * Rule 3: only a consumer that sleeps is woken, since a wake-up costs a system call. It says so in
 *   `asleep` and looks again before it sleeps; a producer publishes and then reads `asleep`: at least
 *   one of the two sees the other. It sleeps on `signal`, which every wake-up changes, so that none is
 *   lost between looking and sleeping.
 * Rule 4: a pending `ready` is always woken by `close` (V8 leaks a waitAsync that nobody notifies).
 */

import { assert, Bug } from '../../core/assert.ts';

/** Int32 slots at the front, each on a cache line of its own so that the two sides do not fight over one. */
const control = {
  head: 0,
  tail: 16,
  signal: 32,
  asleep: 33,
  closed: 48,
  records: 49,
  recordBytes: 50,
  words: 64,
} as const;
const controlBytes = control.words * Int32Array.BYTES_PER_ELEMENT;

export class Ring {
  readonly memory: SharedArrayBuffer;
  readonly recordBytes: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #records: number;

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, control.words);
    this.#bytes = new Uint8Array(memory, controlBytes);
    this.#records = this.#words[control.records] as number;
    this.recordBytes = this.#words[control.recordBytes] as number;
  }

  /** `records` is a power of two. `start` is where the counters begin: a test starts near their wrap. */
  static create(records: number, recordBytes: number, start = 0): Ring {
    assert(records > 0 && (records & (records - 1)) === 0, `ring: ${records} records is not a power of two`);
    const memory = new SharedArrayBuffer(controlBytes + records * recordBytes);
    const words = new Int32Array(memory, 0, control.words);
    words[control.records] = records;
    words[control.recordBytes] = recordBytes;
    words[control.head] = start | 0;
    words[control.tail] = start | 0;
    return new Ring(memory);
  }

  /** The same ring, seen from the other thread. */
  static attach(memory: SharedArrayBuffer): Ring {
    return new Ring(memory);
  }

  /** False where the ring is full; the record was not taken. */
  tryPut(record: Uint8Array): boolean {
    const tail = this.#words[control.tail] as number;
    if (((tail - Atomics.load(this.#words, control.head)) | 0) === this.#records) return false;
    if (this.closed) throw new Bug('ring: put after close');
    this.#bytes.set(record, this.#offset(tail));
    Atomics.store(this.#words, control.tail, (tail + 1) | 0);
    if (Atomics.load(this.#words, control.asleep) === 1) this.#wake();
    return true;
  }

  /** Copies the oldest record to `into`; false where there is none now. */
  tryTake(into: Uint8Array): boolean {
    const head = this.#words[control.head] as number;
    if (head === Atomics.load(this.#words, control.tail)) return false;
    const offset = this.#offset(head);
    into.set(this.#bytes.subarray(offset, offset + this.recordBytes));
    Atomics.store(this.#words, control.head, (head + 1) | 0);
    return true;
  }

  /** As `tryTake`, but sleeps the thread until there is a record. False: closed, and everything was taken. */
  take(into: Uint8Array): boolean {
    for (;;) {
      if (this.tryTake(into)) return true;
      if (this.closed) return false;
      const signal = this.#fallAsleep();
      if (signal !== undefined) Atomics.wait(this.#words, control.signal, signal);
    }
  }

  /** Resolves once there is a record to take (true), or the ring is closed and empty (false). For the event loop. */
  async ready(): Promise<boolean> {
    for (;;) {
      if (!this.#empty) return true;
      if (this.closed) return false;
      const signal = this.#fallAsleep();
      if (signal === undefined) continue;
      const wait = Atomics.waitAsync(this.#words, control.signal, signal);
      if (wait.async) await wait.value;
    }
  }

  /** Nothing more is put; what is in the ring can still be taken. Again is harmless. */
  close(): void {
    Atomics.store(this.#words, control.closed, 1);
    this.#wake();
  }

  get closed(): boolean {
    return Atomics.load(this.#words, control.closed) === 1;
  }

  #offset(position: number): number {
    return (position & (this.#records - 1)) * this.recordBytes;
  }

  get #empty(): boolean {
    return this.#words[control.head] === Atomics.load(this.#words, control.tail);
  }

  /** The value of `signal` to sleep on; undefined: there is something to do after all. */
  #fallAsleep(): number | undefined {
    const signal = Atomics.load(this.#words, control.signal);
    Atomics.store(this.#words, control.asleep, 1);
    if (this.#empty && !this.closed) return signal;
    Atomics.store(this.#words, control.asleep, 0);
    return undefined;
  }

  #wake(): void {
    Atomics.store(this.#words, control.asleep, 0);
    Atomics.add(this.#words, control.signal, 1);
    Atomics.notify(this.#words, control.signal);
  }
}
