/**
 * Connections that are up with somebody who has a certificate, and which of them may not stay.
 *
 * Rule 1: who is revoked loses them all at once.
 * Rule 2: a link between peers also ends when a certificate has, or its authority is not believed any more: who was renewed
 *         dials again, and its pulls go on meanwhile with others.
 * Rule 3: a connection of HTTP may then finish what it is at, since a push may last: the door refuses what is asked next, or
 *         closes behind it (platform/secure/guard.ts). It ends once nothing has moved since the last look, and in any case
 *         after a while.
 */

import type { TLSSocket } from 'node:tls';

export type ConnectionKind = 'link' | 'http';
/** Why it may not stay; undefined: it may. */
export type Fallen = { readonly why: string; readonly kind: 'revoked' | 'ended' };

/** Callers leave a connection alone that was not used for 30 s (platform/net/http.ts): nobody is about to use it. */
const quietMs = 60_000;
/** A layer of 100 GB at 50 MB/s takes half of that. */
const overrunMs = 3_600_000;

type Held = { readonly kind: ConnectionKind; sinceMs: number | undefined; moved: number };

export class Standings {
  readonly #held = new Map<TLSSocket, Held>();

  watch(socket: TLSSocket, kind: ConnectionKind): void {
    if (socket.destroyed) return;
    this.#held.set(socket, { kind, sinceMs: undefined, moved: 0 });
    socket.once('close', () => this.#held.delete(socket));
  }

  /** Ends those that may not stay; tells of each. */
  sweep(nowMs: number, fallen: (socket: TLSSocket) => Fallen | undefined, ended: (why: Fallen) => void): void {
    for (const [socket, held] of [...this.#held]) {
      const why = fallen(socket);
      const still = quiet(socket, held);
      if (why === undefined) continue;
      held.sinceMs ??= nowMs;
      const ms = nowMs - held.sinceMs;
      const goesOn = why.kind === 'ended' && held.kind === 'http' && ms < overrunMs && !(still && ms >= quietMs);
      if (goesOn) continue;
      this.#held.delete(socket);
      ended(why);
      socket.destroy(new Error(why.why));
    }
  }
}

/** Nothing has come or gone since it was asked last. */
function quiet(socket: TLSSocket, held: Held): boolean {
  const moved = socket.bytesRead + socket.bytesWritten;
  const still = moved === held.moved;
  held.moved = moved;
  return still;
}
