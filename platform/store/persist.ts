/**
 * Writes down, now and then, what is nice to know after a restart: which pieces partial blobs hold,
 * and in which order blobs were used.
 *
 * Rule: hints. They are not synced, and a failure to write one is logged and changes nothing.
 */

import { type ContentsRecord, writeContents } from './contents.ts';
import { type Disk, diskCode, unlinkIfThere } from './disk/disk.ts';
import type { Layout } from './layout.ts';
import type { BlobEntry } from './pieces/entry.ts';
import type { StoreLog } from './recover.ts';

/** The order of use changes with every read and is written whole: not often, and less often where that is much. */
const contentsEveryMs = 60_000;
const contentsEveryMsPerBlob = 0.6;

export type PersistOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly log: StoreLog;
  /** 0: no timers. */
  readonly everyMs: number;
  readonly count: () => number;
  /** The blobs, least recently used first. */
  readonly records: () => Iterable<ContentsRecord>;
};

export class Persist {
  readonly #o: PersistOptions;
  readonly #changed = new Set<BlobEntry>();
  #used = false;
  #bitsTimer: NodeJS.Timeout | undefined;
  #contentsTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(o: PersistOptions) {
    this.#o = o;
  }

  /** The entry holds other pieces than before. */
  changed(entry: BlobEntry): void {
    this.#changed.add(entry);
    if (this.#o.everyMs === 0 || this.#closed) return;
    this.#bitsTimer ??= setTimeout(() => {
      this.#bitsTimer = undefined;
      void this.#queue(() => this.#writeBits());
    }, this.#o.everyMs).unref();
  }

  /** A blob was used. */
  used(): void {
    this.#used = true;
    if (this.#o.everyMs === 0 || this.#closed) return;
    this.#contentsTimer ??= setTimeout(
      () => {
        this.#contentsTimer = undefined;
        void this.#queue(() => this.#writeContents(false));
      },
      Math.max(contentsEveryMs, this.#o.count() * contentsEveryMsPerBlob),
    ).unref();
  }

  async flush(): Promise<void> {
    await this.#queue(async () => {
      await this.#writeBits();
      await this.#writeContents(false);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#bitsTimer);
    clearTimeout(this.#contentsTimer);
    this.#used = true;
    await this.#queue(async () => {
      await this.#writeBits();
      await this.#writeContents(true);
    });
  }

  /** One writer at a time. */
  #queue(work: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(work).catch((error: unknown) => {
      if (diskCode(error) === undefined) throw error;
      this.#o.log.warn({ error: String(error) }, 'a hint for the next start could not be written');
    });
    return this.#writing;
  }

  async #writeBits(): Promise<void> {
    const entries = [...this.#changed];
    this.#changed.clear();
    for (const entry of entries) {
      if (!entry.gone && !entry.complete && entry.file.partial && entry.growth === undefined)
        await this.#writeHave(entry);
    }
  }

  /** In place: its length never changes, and a crash amid a truncation would lose all of it. */
  async #writeHave(entry: BlobEntry): Promise<void> {
    const { disk } = this.#o;
    const path = entry.file.have;
    entry.file.hinted = true;
    const fd = await disk.open(path, 'update').catch((error: unknown) => {
      if (diskCode(error) !== 'ENOENT') throw error;
      return disk.open(path, 'create');
    });
    try {
      await disk.write(fd, entry.haveBits(), 0);
    } finally {
      await disk.close(fd);
    }
  }

  async #writeContents(clean: boolean): Promise<void> {
    if (!this.#used) return;
    this.#used = false;
    const { disk, layout } = this.#o;
    await writeContents(disk, layout.contents, { records: this.#o.records(), clean });
    await unlinkIfThere(disk, layout.access);
  }
}
