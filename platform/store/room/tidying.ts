/**
 * What goes before room runs out: down to a watermark of each file system's free space, and what nobody used for long or
 * came long ago. In the background, a little at a time.
 *
 * Rule 1: nothing goes that would not go where room is needed (room.ts): what is used, fed or pinned stays, and a store that
 *   keeps asks who knows.
 * Rule 2: above `high` as much goes as it takes to be at `low`, so that the two do not meet again at once.
 * Rule 3: times are those of the process's own clock: nothing grows old because somebody set the machine's.
 */

import type { Digest } from '../../../core/digest.ts';
import type { Disk } from '../disk/disk.ts';
import type { StoreLog } from '../recover.ts';
import { batchMax } from './let-go.ts';
import type { Room } from './room.ts';

/** How full a file system is: percent of it that are used, or bytes that are free. */
export type Mark = { readonly percent: number } | { readonly freeBytes: number };
export type Eviction = {
  readonly watermarks?: { readonly high: Mark; readonly low: Mark } | undefined;
  /** Not used for so long. */
  readonly ttiMs?: number | undefined;
  /** Here for so long. */
  readonly ttlMs?: number | undefined;
};

export const tidyEveryMs = 10_000;
/** Rows that are looked at for their age at a time: some 10 ms; a million have had their turn after two minutes. */
const looksMax = 100_000;

type TidiedVolume = { readonly no: number; readonly plan: { readonly path: string }; readonly state: string };
export type TidyingOptions = {
  /** undefined: nothing goes in the background. */
  readonly eviction: Eviction | undefined;
  readonly disk: Pick<Disk, 'space'>;
  readonly volumes: { readonly all: readonly TidiedVolume[] };
  readonly room: Pick<Room, 'evictBytes' | 'inventory' | 'letGo'>;
  readonly wallSeconds: () => number;
  readonly log: StoreLog;
  /** 0: only when it is told to. */
  readonly everyMs?: number | undefined;
};

export class Tidying {
  readonly #o: TidyingOptions;
  readonly #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #next = 0;

  constructor(o: TidyingOptions) {
    this.#o = o;
    const { everyMs = tidyEveryMs } = o;
    if (o.eviction !== undefined && everyMs > 0) this.#timer = setInterval(() => void this.tidy(), everyMs).unref();
  }

  /** One round; never rejects. */
  tidy(): Promise<void> {
    this.#running ??= this.#tidy()
      .catch((error: unknown) => this.#o.log.warn({ error: String(error) }, 'room could not be made in advance'))
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async #tidy(): Promise<void> {
    const { volumes } = this.#o;
    for (const { no, plan, state } of volumes.all) if (state === 'well') await this.#drain(no, plan.path);
    await this.#expire();
  }

  async #drain(volume: number, path: string): Promise<void> {
    const { eviction, disk, room, log } = this.#o;
    if (eviction?.watermarks === undefined) return;
    const { high, low } = eviction.watermarks;
    const { freeBytes, totalBytes } = await disk.space(path);
    if (freeBytes >= freeAt(high, totalBytes)) return;
    const wanted = freeAt(low, totalBytes) - freeBytes;
    const went = await room.evictBytes(wanted, volume);
    log.info({ volume: path, freeBytes, wanted, went }, 'a disk is fuller than its high watermark: blobs go');
  }

  async #expire(): Promise<void> {
    const { eviction, room, wallSeconds } = this.#o;
    const { ttiMs = Number.POSITIVE_INFINITY, ttlMs = Number.POSITIVE_INFINITY } = eviction ?? {};
    if (ttiMs === Number.POSITIVE_INFINITY && ttlMs === Number.POSITIVE_INFINITY) return;
    const now = wallSeconds();
    const due: Digest[] = [];
    const before = { used: now - ttiMs / 1000, came: now - ttlMs / 1000 };
    this.#next = room.inventory.due({ from: this.#next, looks: looksMax, most: batchMax, before }, due);
    if (due.length > 0) await room.letGo(due);
  }
}

/** Bytes that a file system of that size has free at the mark. */
export function freeAt(mark: Mark, totalBytes: number): number {
  return 'freeBytes' in mark ? mark.freeBytes : totalBytes * (1 - mark.percent / 100);
}
