/**
 * Whether this index was restored from a backup, and is trusted since: what the engine says, for all who go by it.
 *
 * Rule: what was never restored, or is trusted, stays so; until that is known of it, it is in doubt. Another process over the
 *   same engine may be told: it is looked again.
 */

import type { Succession } from '../core/contracts/gc/succession.ts';
import type { TagStore } from '../platform/tags/store.ts';

const lookMs = 5_000;

export type SuccessionStore = Pick<TagStore, 'succession' | 'trust'>;

export class Succeeded implements Disposable {
  readonly #store: SuccessionStore;
  readonly #timer: NodeJS.Timeout;
  #settled: { readonly succession: Succession | undefined } | undefined;

  constructor(store: SuccessionStore) {
    this.#store = store;
    const look = (): void => void this.succession().catch(() => undefined);
    this.#timer = setInterval(look, lookMs).unref();
    look();
  }

  /** What it says is missing may only have been forgotten. */
  get doubted(): boolean {
    return this.#settled === undefined;
  }

  /** Undefined: it was never restored. */
  async succession(): Promise<Succession | undefined> {
    if (this.#settled !== undefined) return this.#settled.succession;
    const said = await this.#store.succession();
    const succession = said.of.length === 0 ? undefined : said;
    if (succession?.trusted !== false) this.#settled = { succession };
    if (this.#settled !== undefined) clearInterval(this.#timer);
    return succession;
  }

  /** What it was before. */
  async trust(): Promise<Succession> {
    const before = (await this.succession()) ?? { of: [], trusted: true };
    if (before.trusted) return before;
    await this.#store.trust();
    await this.succession();
    return before;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
