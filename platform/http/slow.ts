/**
 * Clients that do not take what they asked for as fast as it could come, and how long they may be still.
 *
 * Rule 1: progress is any byte that the client's kernel took. A slow, steady client is never cut.
 * Rule 2: one that takes nothing for `pauseMs` is.
 * Rule 3: at most `readersMax` wait at a time; beyond, the one that has been still for longest gives way, of the
 *         client that has most of them (core/fair/admit.ts).
 */

import { admit } from '../../core/fair/admit.ts';
import type { Outlet } from './outlet.ts';
import { unackedBytes } from './unacked.ts';

export type SlowLimits = {
  /** A client that takes no byte for so long is cut off. */
  readonly pauseMs: number;
  readonly readersMax: number;
};

/** A copy each in the socket's queue, and a connection. */
export const slowReadersMax = 1024;
/** Looks per pause, so that it is measured to an eighth; at most once in `looksMs`, since the kernel's tables are long. */
const looksPerPause = 8;
const looksMs = 30_000;

type Waiting = {
  readonly client: string;
  readonly outlet: Outlet;
  readonly inode: number | undefined;
  readonly cut: (why: Error) => void;
  unsent: number;
  unacked: number | undefined;
  sinceMs: number;
};

export class SlowReaders {
  readonly #limits: SlowLimits;
  readonly #waiting = new Set<Waiting>();
  #look: NodeJS.Timeout | undefined;

  constructor(limits: SlowLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** As `drained`; rejects, too, once the reader has been still for too long, or has to give way. */
  async wait(client: string, outlet: Outlet, drained: Promise<void>): Promise<void> {
    this.#makeRoom(client);
    const stopped = Promise.withResolvers<never>();
    const waiting: Waiting = {
      client,
      outlet,
      inode: outlet.inode,
      cut: (why) => {
        this.#waiting.delete(waiting);
        stopped.reject(why);
      },
      unsent: outlet.unsent,
      unacked: undefined,
      sinceMs: performance.now(),
    };
    this.#waiting.add(waiting);
    this.#lookLater();
    try {
      await Promise.race([drained, stopped.promise]);
    } finally {
      this.#waiting.delete(waiting);
    }
  }

  #makeRoom(client: string): void {
    if (this.#waiting.size * 2 < this.#limits.readersMax) return;
    const places = [...this.#waiting].map((one) => ({
      item: one,
      client: one.client,
      usedMs: one.sinceMs,
      idle: true,
    }));
    const admitted = admit(places, client, this.#limits.readersMax);
    if (admitted.kind === 'instead') admitted.item.cut(gaveWay(this.#limits));
  }

  #lookLater(): void {
    if (this.#look !== undefined) return;
    const ms = Math.min(this.#limits.pauseMs / looksPerPause, looksMs);
    this.#look = setTimeout(() => void this.#lookNow(), ms).unref();
  }

  async #lookNow(): Promise<void> {
    const inodes = new Set([...this.#waiting].flatMap(({ inode }) => (inode === undefined ? [] : [inode])));
    const unacked = inodes.size === 0 ? new Map<number, number>() : await unackedBytes(inodes);
    const nowMs = performance.now();
    for (const one of this.#waiting) {
      const { unsent } = one.outlet;
      const left = one.inode === undefined ? undefined : unacked.get(one.inode);
      // The first look at the kernel's side is what the next ones are compared with.
      if (unsent !== one.unsent || (one.unacked !== undefined && left !== one.unacked)) one.sinceMs = nowMs;
      one.unsent = unsent;
      one.unacked = left;
      if (nowMs - one.sinceMs >= this.#limits.pauseMs) one.cut(still(this.#limits));
    }
    this.#look = undefined;
    if (this.#waiting.size > 0) this.#lookLater();
  }
}

function still({ pauseMs }: SlowLimits): Error {
  return new Error(`the client took nothing for ${pauseMs / 1000} s, the limit of pull.pause`);
}

function gaveWay({ readersMax }: SlowLimits): Error {
  return new Error(
    `too many clients take nothing (the limit is ${readersMax}), and this one has taken nothing for longest`,
  );
}
