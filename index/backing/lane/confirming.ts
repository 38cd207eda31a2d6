/**
 * Who waits until a backend has a write: told by the lane of this process, or, where another index on the same engine has
 * brought it there, found out by looking whether its row is gone.
 */

import type { OutboxRow } from '../../../platform/tags/outbox.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { newer, writerOf } from '../../../platform/tags/versions.ts';
import { rowNameOf } from '../../outbox/loop.ts';

/** newer: a later write of somebody else counts. */
export type Confirmation = 'written' | 'newer';

type Waiter = { readonly row: OutboxRow; readonly resolve: (how: Confirmation) => void };

export class Confirming {
  readonly #store: Pick<TagStore, 'pending' | 'tagState'>;
  readonly #waiters = new Map<string, Set<Waiter>>();

  constructor(store: Pick<TagStore, 'pending' | 'tagState'>) {
    this.#store = store;
  }

  get some(): boolean {
    return this.#waiters.size > 0;
  }

  /** Once the backend has this row, or what replaced it. Rejects with the signal's reason. */
  of(row: OutboxRow, signal: AbortSignal): Promise<Confirmation> {
    const name = rowNameOf(row);
    const waiters = this.#waiters.get(name) ?? new Set();
    this.#waiters.set(name, waiters);
    const { promise, resolve, reject } = Promise.withResolvers<Confirmation>();
    const waiter = { row, resolve };
    const late = (): void => reject(signal.reason as Error);
    waiters.add(waiter);
    signal.addEventListener('abort', late);
    if (signal.aborted) late();
    return promise.finally(() => {
      signal.removeEventListener('abort', late);
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(name) === waiters) this.#waiters.delete(name);
    });
  }

  /** This row has ended so. */
  heard(ended: OutboxRow, how: Confirmation): void {
    for (const { row, resolve } of this.#waiters.get(rowNameOf(ended)) ?? [])
      if (how === 'newer' || !newer(row.version, ended.version)) resolve(how);
  }

  /** Looks for what others have brought there. */
  async look(): Promise<void> {
    for (const waiters of [...this.#waiters.values()]) {
      const [first] = waiters;
      if (first === undefined || (await this.#store.pending(first.row)) !== undefined) continue;
      for (const { row, resolve } of [...waiters]) resolve(await this.#outcome(row));
    }
  }

  /** Of a row that is gone: it gave way where the tag is at a later write of somebody else. */
  async #outcome({ kind, repo, name, version }: OutboxRow): Promise<Confirmation> {
    if (kind !== 'tag') return 'written';
    const now = (await this.#store.tagState(repo, name)).version;
    return now !== null && writerOf(now) !== writerOf(version) && newer(now, version) ? 'newer' : 'written';
  }
}
