/**
 * The network as this process sees it: connections that carry bytes in order, made to an address or taken at one. Three
 * implementations keep this contract (net.test.ts): TCP (tcp.ts), TLS (tls.ts), and one in virtual time (simulated.ts).
 *
 * Rule 1: bytes arrive in order, cut anywhere; what was written together may come apart, and the other way round.
 * Rule 2: a reader that has `buffer` gets every byte there: TCP's kernel writes into it (no copy), the others copy once.
 *   It may be asked for before anything is known to come; it is written to only right before `received` is called.
 * Rule 3: once `received` has answered false, or after `pause`, nothing is read until `resume`.
 * Rule 4: whose other end ends has ended as well, once what was written has left: nobody stays half open.
 * Rule 5: `closed` is told once, as the last thing; after our own `destroy` nothing is told at all.
 */

import type { VerifiedCaller } from '../../core/access/identity.ts';

export type Endpoint = { readonly host: string; readonly port: number };
/** A unix socket, and the mode of its file. */
export type SocketFile = { readonly socket: string; readonly mode: number };
export type DoorPlace = Endpoint | SocketFile;

/** Who has a connection: what it is told. */
export type Ears = {
  /** Only of one that we dialled: the other side is there. */
  connected?(): void;
  /** Where the next bytes belong. Without it they are in memory of the connection's, right until `received` returns. */
  buffer?(): Uint8Array;
  /** The first `bytes` of `buffer` came. False: read no more for now. */
  received(bytes: number, buffer: Uint8Array): boolean;
  /** All that was written and the end of it have left. */
  finished?(): void;
  closed(why: string): void;
};

export interface Connection {
  /** The other end, as dialled or as it came. */
  readonly remote: Endpoint;
  /** Of a net with certificates: whose the other end's is; text: nobody's, and why. */
  readonly whoIs?: (() => VerifiedCaller | string) | undefined;
  /** Not made yet: what is written waits. */
  readonly connecting: boolean;
  /** `done` is told once `bytes` are not needed any more, and nobody changes them before; never once it is closed. */
  write(bytes: Uint8Array, done: () => void): void;
  /** What is written from now on leaves together, at `uncork`. */
  cork(): void;
  uncork(): void;
  /** Nothing more will be written: what was leaves, then the other side is told. */
  end(): void;
  pause(): void;
  resume(): void;
  /** At once. What is under way is lost. */
  destroy(): void;
}

/** Somebody dialled us. Taken or refused within the call that tells of it; else it is refused. */
export type Incoming = {
  readonly remote: Endpoint;
  /** As of the connection that it becomes. */
  readonly whoIs?: Connection['whoIs'];
  take(ears: Ears): Connection;
  refuse(): void;
};

/** Whether who has this address may connect: asked before a byte of his is read; who may not is cut off. */
export type LetsIn = (address: string) => boolean;

export type Door = {
  accept(incoming: Incoming): void;
  /** Default: everybody. */
  readonly letsIn?: LetsIn | undefined;
  /** Connections cannot be accepted, this once or any more. */
  failed(error: Error): void;
};

export type Listener = {
  /** The one asked for, or drawn where that was 0. */
  readonly port: number;
  /** No new connections; resolves when those that came are closed. */
  close(): Promise<void>;
};

export interface Net {
  dial(to: Endpoint, ears: Ears): Connection;
  /** Rejects with an error that has a `code`: EADDRINUSE, EADDRNOTAVAIL, EACCES. */
  listen(at: Endpoint, door: Door): Promise<Listener>;
}
