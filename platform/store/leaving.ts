/**
 * How a blob leaves the store: uncounted at once, its file unlinked in the digest's turn.
 *
 * Rule: a new file of the same name may have come meanwhile; it stays.
 */

import type { Digest } from '../../core/digest.ts';
import { diskCode } from './disk/disk.ts';
import type { Names, Serial } from './names.ts';
import type { BlobEntry } from './pieces/entry.ts';
import type { HashCache } from './pieces/hash-cache.ts';
import type { StoreLog } from './recover.ts';
import type { Passing } from './room/passing.ts';
import type { Room } from './room/room.ts';

export type LeavingOptions = {
  readonly room: Pick<Room, 'get' | 'remove'>;
  readonly passing: () => Pick<Passing, 'close'>;
  readonly names: Names;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly log: StoreLog;
  /** The swarm must drop it, and the order of use is another one. */
  readonly left: (digest: Digest) => void;
};

export class Leaving {
  readonly #o: LeavingOptions;

  constructor(o: LeavingOptions) {
    this.#o = o;
  }

  /** Removes what `Room` no longer counts. Its file waits its turn: a new one of that name may be next. */
  async giveUp(entry: BlobEntry): Promise<void> {
    const { room, names, serial, log, left } = this.#o;
    entry.becomeGone(undefined);
    left(entry.digest);
    try {
      await serial.run(entry.digest, async () => {
        const next = room.get(entry.digest);
        // A push that was under way has given the name to its own file.
        if (next?.file.path === entry.file.path) await names.supersede(entry.file, next.file);
        else await this.#unlink(entry);
      });
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.error({ digest: entry.digest, error: String(error) }, 'a blob that was given up could not be removed');
    }
  }

  /** Within the digest's turn: uncounted and unlinked. */
  async detach(entry: BlobEntry): Promise<void> {
    if (this.#o.passing().close(entry)) return;
    this.#o.room.remove(entry);
    entry.becomeGone(undefined);
    await this.#unlink(entry);
  }

  async #unlink(entry: BlobEntry): Promise<void> {
    this.#o.hashes.forget(entry);
    await this.#o.names.unlink(entry);
  }
}
