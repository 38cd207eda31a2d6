/**
 * The writing side of a response: what the kernel takes at once goes out of the caller's own memory, the
 * rest as small copies.
 *
 * Rule 1: nothing here keeps the caller's memory: when a call returns, its bytes are in the kernel or copied.
 *         A stream would hold them until the client has taken the last one, which may be never.
 * Rule 2: at most one copy is on its way. When the socket has taken it, the kernel has room again.
 * Rule 3: where a socket's descriptor cannot be had (TLS, a test's stand-in), everything is copied.
 */

import { fstatSync, writevSync } from 'node:fs';
import type { ServerResponse } from 'node:http';

/** Enough that a fast client rarely waits for the next one, little enough for a thousand slow ones. */
export const copyBytesMax = 64 * 1024;

/** What libuv's handle tells that a socket does not. */
type Handle = { readonly fd?: number; readonly writeQueueSize?: number };

export class Outlet {
  readonly #response: ServerResponse;
  #begun = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** How many bytes the kernel took, from the first on. Fewer than all: it is full, and `write` comes next. */
  tryWrite(parts: readonly Uint8Array[]): number {
    const fd = this.#fd;
    // The head, and what goes with it in one packet, is for the stream to send.
    if (fd === undefined || !this.#begun || this.unsent > 0) return 0;
    try {
      return writevSync(fd, parts);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw clientGone();
    }
  }

  /** Sends a copy of the first bytes; `drained` once the socket has taken it, a rejection where it closes first. */
  write(bytes: Uint8Array): { taken: number; drained: Promise<void> } {
    const copy = Buffer.from(bytes.subarray(0, copyBytesMax));
    this.#begun = true;
    return { taken: copy.length, drained: this.#write(copy) };
  }

  /** Bytes that the stream has and the kernel has not. */
  get unsent(): number {
    return this.#response.writableLength + (this.#handle?.writeQueueSize ?? 0);
  }

  /** The socket's number in the kernel's tables. */
  get inode(): number | undefined {
    const fd = this.#fd;
    return fd === undefined ? undefined : fstatSync(fd).ino;
  }

  #write(copy: Buffer): Promise<void> {
    const response = this.#response;
    return new Promise((resolve, reject) => {
      const closed = (): void => reject(clientGone());
      if (response.destroyed || response.closed) return closed();
      response.once('close', closed);
      response.write(copy, (error) => {
        response.off('close', closed);
        if (error == null) resolve();
        else reject(clientGone());
      });
    });
  }

  get #handle(): Handle | undefined {
    return (this.#response.socket as { _handle?: Handle | null } | null)?._handle ?? undefined;
  }

  get #fd(): number | undefined {
    const { socket } = this.#response;
    if (socket === null || socket.destroyed || 'encrypted' in socket) return undefined;
    const fd = this.#handle?.fd;
    return fd !== undefined && fd >= 0 ? fd : undefined;
  }
}

/** `parts` without their first `bytes` bytes. */
export function after(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (skip < part.length) rest.push(skip === 0 ? part : part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

function clientGone(): Error {
  return new Error('the client closed the connection');
}
