/**
 * The writing side of a response. A stream holds what it is given until the client has taken the last byte of it,
 * which may be never: so what others wait for, slots, goes out of the caller's own memory only as far as the kernel
 * takes it at once, and the rest as small copies.
 *
 * Rule 1: `tryWrite` and `writeCopy` keep nothing of the caller's memory: when they return, its bytes are in the
 *         kernel or copied. `write` keeps it until `drained`.
 * Rule 2: one write at a time is on its way. When the socket has taken it, the kernel has room again.
 * Rule 3: where a socket's descriptor cannot be had (TLS, a test's stand-in), everything is copied.
 */

import { fstatSync, writevSync } from 'node:fs';
import type { ServerResponse } from 'node:http';

/** Enough that a fast client rarely waits for the next one, little enough for a thousand slow ones. */
export const copyBytesMax = 64 * 1024;

/** What libuv's handle tells that a socket does not. */
/** As much as one packet over loopback has room for, beside the head. */
const withHeadBytesMax = 16 * 1024;
/** Buffers for copies that are not on their way; a few, since most are back in a moment. */
const spare: Buffer[] = [];
const sparesMax = 16;
/** Less than that is cut from Node's own pool. */
const smallBytes = 4096;

type Handle = { readonly fd?: number; readonly writeQueueSize?: number };

export class Outlet {
  readonly #response: ServerResponse;
  readonly #closed = (): void => this.#gone?.(clientGone());
  #gone: ((error: Error) => void) | undefined;
  #begun = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.once('close', this.#closed);
  }

  /** Nothing more is written. */
  close(): void {
    this.#response.off('close', this.#closed);
  }

  /** How many bytes the kernel took, from the first on. Fewer than all: it is full, and a copy comes next. */
  tryWrite(parts: readonly Uint8Array[]): number {
    const fd = this.#fd;
    if (fd === undefined || (!this.#begun && this.#goWithHead(parts)) || this.unsent > 0) return 0;
    try {
      return writevSync(fd, parts);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw clientGone();
    }
  }

  /** Little goes with the head, in one packet, as a copy. Before more, the head goes by itself. */
  #goWithHead(parts: readonly Uint8Array[]): boolean {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (bytes <= withHeadBytesMax) return true;
    this.#begun = true;
    this.#response.flushHeaders();
    return false;
  }

  /** Sends a copy of the first bytes; `drained` once the socket has taken it, a rejection where it closes first. */
  writeCopy(bytes: Uint8Array): { taken: number; drained: Promise<void> } {
    const taken = Math.min(bytes.length, copyBytesMax);
    if (taken <= smallBytes) return { taken, drained: this.write(Buffer.from(bytes.subarray(0, taken))) };
    const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(copyBytesMax);
    buffer.set(bytes.subarray(0, taken));
    const drained = this.write(buffer.subarray(0, taken)).then(() => {
      // Where it failed, the socket may still have it.
      if (spare.length < sparesMax) spare.push(buffer);
    });
    return { taken, drained };
  }

  /** Sends `bytes`, which are the socket's until this settles. Rejects where it closes first. */
  write(bytes: Uint8Array): Promise<void> {
    const response = this.#response;
    this.#begun = true;
    return new Promise((resolve, reject) => {
      if (response.destroyed || response.closed) return reject(clientGone());
      this.#gone = reject;
      response.write(bytes, (error) => (error == null ? resolve() : reject(clientGone())));
    });
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
