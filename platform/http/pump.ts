/**
 * Carries lent bytes from a source to a response.
 *
 * Rule 1: at most two chunks are out at a time: one on its way into the socket, one being fetched.
 * Rule 2: every chunk is released exactly once, as soon as the kernel has its bytes.
 * Rule 3: the head goes out with the first bytes, so that a source that fails at once is still an error
 *         reply; one that fails later cuts the connection, never ends it as if all were there.
 * Rule 4: a client that is slow holds nothing that others wait for: its chunks and its source are handed
 *         back, and taken up again when it has taken what it was sent.
 */

import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { Bug } from '../../core/assert.ts';
import type { SourceChunk } from './content.ts';
import { after, Outlet } from './outlet.ts';
import type { SlowReaders } from './slow.ts';

/** The bytes from `from` on, counted from the answer's first. */
export type OpenSource = (from: number) => AsyncIterable<SourceChunk>;

export type PumpOptions = {
  /** Bytes that the source has to give. */
  readonly length: number;
  readonly slow: SlowReaders;
  /** Whom they are for (call.ts). */
  readonly client: string;
  /** Writes the head; called once, before the first byte. */
  head(): void;
};

/** A client that has taken nothing for so long is slow: slots of the arena are handed back. */
const slowAfterMs = 1_000;
/** A source that holds no slots, a connection to an origin for one, is kept for so long... */
export const parkAfterMs = 30_000;
/** ...while there are no more slow clients than this: connections to an origin are limited, too. */
const parkedMax = 64;
/** Sent in one go to a client that takes everything at once; then others have their turn. */
const turnBytes = 1024 * 1024;

/** Throws what the source throws before its first chunk. Everything later ends with the connection, and resolves. */
export async function pumpBody(open: OpenSource, response: ServerResponse, options: PumpOptions): Promise<PumpResult> {
  const supply = new Supply(open);
  let chunk = await supply.next(0);
  let sent = 0;
  const outlet = new Outlet(response);
  const patience = new Patience();
  try {
    options.head();
    while (chunk !== undefined) {
      if (sent + bytesOf(chunk) > options.length) {
        chunk.release();
        throw new Bug('a source gave more bytes than it said');
      }
      supply.prefetch();
      sent += await new Delivery(chunk, { outlet, supply, patience }).run(options);
      chunk = sent < options.length ? await supply.next(sent) : undefined;
    }
    if (sent !== options.length) throw new Error(`the source ended ${options.length - sent} bytes early`);
    response.end();
    return { kind: 'sent' };
  } catch (error) {
    response.destroy();
    if (error instanceof Bug) throw error;
    return { kind: 'cut', why: error };
  } finally {
    patience.close();
    outlet.close();
    await supply.handBack();
  }
}

export type PumpResult = { readonly kind: 'sent' } | { readonly kind: 'cut'; readonly why: unknown };

type Way = { readonly outlet: Outlet; readonly supply: Supply; readonly patience: Patience };

/** One chunk on its way. */
class Delivery {
  readonly #chunk: SourceChunk;
  readonly #way: Way;
  readonly #slot: boolean;
  #rest: readonly Uint8Array[];
  #sent = 0;
  #ours = true;

  constructor(chunk: SourceChunk, way: Way) {
    this.#chunk = chunk;
    this.#way = way;
    this.#slot = isSlot(chunk);
    this.#rest = chunk.bytes.filter((part) => part.length > 0);
  }

  /** How many of its bytes were sent: fewer than all where it was handed back. */
  async run(options: PumpOptions): Promise<number> {
    try {
      let inOneGo = 0;
      while (this.#rest.length > 0) {
        if (this.#slot) inOneGo += this.#took(this.#way.outlet.tryWrite(this.#rest));
        const [first] = this.#rest;
        if (first === undefined) break;
        await this.#drain(this.#write(first), options);
        inOneGo = 0;
      }
      if (inOneGo >= turnBytes) await turn();
      return this.#sent;
    } finally {
      this.#release();
    }
  }

  #write(bytes: Uint8Array): Promise<void> {
    const { outlet } = this.#way;
    const { taken, drained } = this.#slot
      ? outlet.writeCopy(bytes)
      : { taken: bytes.length, drained: outlet.write(bytes) };
    this.#took(taken);
    return drained;
  }

  #took(bytes: number): number {
    this.#sent += bytes;
    this.#rest = after(this.#rest, bytes);
    return bytes;
  }

  /** Waits until the socket has taken what it was sent; a client that is slow holds less and less meanwhile. */
  async #drain(drained: Promise<void>, { slow, client }: PumpOptions): Promise<void> {
    if (await this.#way.patience.inTime(drained)) return;
    const keepMs = this.#slot || slow.count >= parkedMax ? 0 : parkAfterMs - slowAfterMs;
    const parking = setTimeout(() => this.#handBack(), keepMs);
    try {
      await slow.wait(client, this.#way.outlet, drained);
    } finally {
      clearTimeout(parking);
    }
  }

  #handBack(): void {
    // Of what is no slot, the socket has a part, and gives it back when it is drained.
    if (this.#slot) this.#release();
    this.#rest = [];
    void this.#way.supply.handBack();
  }

  #release(): void {
    if (!this.#ours) return;
    this.#ours = false;
    this.#chunk.release();
  }
}

/** Shared memory is the arena's, and others wait for it. */
function isSlot(chunk: SourceChunk): boolean {
  return chunk.bytes.some((part) => part.buffer instanceof SharedArrayBuffer);
}

/** One clock for all the waiting of a response. */
class Patience {
  readonly #timer = setTimeout(() => this.#late?.(), slowAfterMs).unref();
  #late: (() => void) | undefined;

  /** Whether `drained` came before the client counts as slow; rejects as it does. */
  async inTime(drained: Promise<void>): Promise<boolean> {
    this.#timer.refresh();
    const late = new Promise<boolean>((resolve) => {
      this.#late = () => resolve(false);
    });
    try {
      return await Promise.race([drained.then(() => true), late]);
    } finally {
      this.#late = undefined;
    }
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

function bytesOf(chunk: SourceChunk): number {
  let bytes = 0;
  for (const part of chunk.bytes) bytes += part.length;
  return bytes;
}

type Next = Promise<IteratorResult<SourceChunk, unknown>>;

/**
 * A source that can be handed back and taken up again at a later byte, so that a client that does not take
 * anything holds nothing of it: no slot, no window, no connection.
 */
class Supply {
  readonly #open: OpenSource;
  #iterator: AsyncIterator<SourceChunk> | undefined;
  #ahead: Next | undefined;

  constructor(open: OpenSource) {
    this.#open = open;
  }

  /** The chunk that begins at byte `at`, which follows the last one; undefined at the end. */
  async next(at: number): Promise<SourceChunk | undefined> {
    this.#iterator ??= this.#open(at)[Symbol.asyncIterator]();
    const due = this.#ahead ?? this.#iterator.next();
    this.#ahead = undefined;
    const next = await due;
    return next.done === true ? undefined : next.value;
  }

  /** Begins to fetch the next chunk. */
  prefetch(): void {
    if (this.#iterator === undefined || this.#ahead !== undefined) return;
    this.#ahead = this.#iterator.next();
    // Met again by `next`; where that is never called, nobody misses it.
    this.#ahead.catch(() => undefined);
  }

  /** Gives back all that is open. `next` opens it again. Resolves once it is closed, which may take as long as a chunk. */
  async handBack(): Promise<void> {
    const iterator = this.#iterator;
    const ahead = this.#ahead;
    this.#iterator = undefined;
    this.#ahead = undefined;
    const dropped = await ahead?.catch(() => undefined);
    if (dropped !== undefined && dropped.done !== true) dropped.value.release();
    await iterator?.return?.().catch(() => undefined);
  }
}
