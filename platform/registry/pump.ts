/**
 * Carries lent bytes from a source to a response.
 *
 * Rule 1: at most two chunks are out at a time: one on its way into the socket, one being fetched.
 * Rule 2: every chunk is released exactly once, and not before the socket has its bytes, or is closed.
 * Rule 3: the head goes out with the first chunk, so that a source that fails at once is still an error
 *         reply; one that fails later cuts the connection, never ends it as if all were there.
 */

import type { ServerResponse } from 'node:http';
import { Bug } from '../../core/assert.ts';
import type { SourceChunk } from './reply.ts';

export type PumpOptions = {
  /** Bytes that the source has to give. */
  readonly length: number;
  /** A client that takes nothing for so long is cut off. */
  readonly stallMs: number;
  /** Sends the head; called once, before the first byte. */
  head(): void;
};

/** Throws what the source throws before its first chunk. Everything later ends with the connection, and resolves. */
export async function pump(
  source: AsyncIterable<SourceChunk>,
  response: ServerResponse,
  options: PumpOptions,
): Promise<PumpResult> {
  const iterator = source[Symbol.asyncIterator]();
  const outlet = new Outlet(response, options.stallMs);
  let left = options.length;
  let next = await iterator.next();
  let sent: Promise<void> = Promise.resolve();
  try {
    options.head();
    while (next.done !== true) {
      left -= bytesOf(next.value);
      if (left < 0) {
        next.value.release();
        throw new Bug('a source gave more bytes than it said');
      }
      sent = outlet.send(next.value);
      // Awaited below; a failure meanwhile must not count as unhandled.
      sent.catch(() => undefined);
      next = await iterator.next();
      try {
        await sent;
      } catch (error) {
        if (next.done !== true) next.value.release();
        throw error;
      }
    }
    await sent;
    if (left !== 0) throw new Error(`the source ended ${left} bytes early`);
    response.end();
    return { kind: 'sent' };
  } catch (error) {
    response.destroy();
    await iterator.return?.().catch(() => undefined);
    if (error instanceof Bug) throw error;
    return { kind: 'cut', why: error };
  } finally {
    outlet.close();
  }
}

export type PumpResult = { readonly kind: 'sent' } | { readonly kind: 'cut'; readonly why: unknown };

function bytesOf(chunk: SourceChunk): number {
  let bytes = 0;
  for (const part of chunk.bytes) bytes += part.length;
  return bytes;
}

/** The response's writing side, with a stall clock and the chunks that are still in the socket. */
class Outlet {
  readonly #response: ServerResponse;
  readonly #stall: NodeJS.Timeout;
  readonly #closed = (): void => this.#abandon();
  readonly #pending = new Set<(error: Error) => void>();

  constructor(response: ServerResponse, stallMs: number) {
    this.#response = response;
    this.#stall = setTimeout(() => {
      if (this.#pending.size > 0) response.destroy(new Error(`the client took nothing for ${stallMs / 1000} s`));
      else this.#stall.refresh();
    }, stallMs);
    this.#stall.unref();
    response.once('close', this.#closed);
  }

  /** Resolves when the socket has taken every byte; the chunk is released by then, come what may. */
  send(chunk: SourceChunk): Promise<void> {
    return new Promise((resolve, reject) => {
      let open = chunk.bytes.length;
      let failure: Error | undefined;
      let settled = false;
      const settle = (): void => {
        if (settled) return;
        settled = true;
        this.#pending.delete(abandon);
        chunk.release();
        if (failure === undefined) resolve();
        else reject(failure);
      };
      const abandon = (error: Error): void => {
        failure ??= error;
        settle();
      };
      if (open === 0) return settle();
      this.#pending.add(abandon);
      this.#stall.refresh();
      if (this.#response.closed) return abandon(clientGone());
      for (const part of chunk.bytes) {
        this.#response.write(part, (error) => {
          if (error != null) failure ??= error;
          else this.#stall.refresh();
          open -= 1;
          if (open === 0) settle();
        });
      }
    });
  }

  close(): void {
    clearTimeout(this.#stall);
    // What is still in the socket is released when it closes.
    if (this.#pending.size === 0) this.#response.off('close', this.#closed);
  }

  /** The socket is closed: whatever it still held, nobody reads any more. */
  #abandon(): void {
    for (const abandon of [...this.#pending]) abandon(clientGone());
  }
}

function clientGone(): Error {
  return new Error('the client closed the connection');
}
