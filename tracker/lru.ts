/** A cache bounded by what its values weigh; the least recently used goes first. */

/** While less of the budget is taken, what is used stays where it came. */
const noteShare = 1 / 2;

export class Lru<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #budget: number;
  readonly #weigh: (value: V) => number;
  #weight = 0;

  constructor(budget: number, weigh: (value: V) => number) {
    this.#budget = budget;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  /** Counts as a use where something may have to go soon: to note it costs more than to find it. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined || this.#weight < this.#budget * noteShare) return value;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** A value that alone is above the budget is not kept. */
  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#weight += this.#weigh(value);
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#budget) return;
      this.delete(oldest);
    }
  }

  delete(key: K): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.#weight -= this.#weigh(value);
  }
}
