/** Names of writes in memory, with their outcomes. */

import { type NamedTables, namesKeptMax } from '../named.ts';

export class MemoryNamed implements NamedTables {
  /** The oldest first. */
  readonly #told = new Map<string, string>();

  remembered(name: string): string | undefined {
    return this.#told.get(name);
  }

  remember(name: string, told: string): void {
    this.#told.set(name, told);
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= namesKeptMax) break;
      this.#told.delete(oldest);
    }
  }
}
