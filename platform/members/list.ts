/**
 * Who is there of one role, by URL, and being told when that changes: as a configuration has it, as somebody told, or as
 * DNS answers (dns/).
 *
 * Rule: a list never becomes empty by a failure to read it; whoever keeps one keeps the last good one.
 */

export interface MemberList {
  readonly urls: readonly string[];
  /** Calls after each change, until it is disposed of. */
  onChange(then: () => void): Disposable;
}

/** As the configuration has them. */
export function fixedList(urls: readonly string[]): MemberList {
  return { urls, onChange: () => ({ [Symbol.dispose]: () => undefined }) };
}

/** As somebody told last; empty while nobody has. */
export class ToldList implements MemberList {
  #urls: readonly string[];
  readonly #listeners = new Set<() => void>();

  constructor(urls: readonly string[] = []) {
    this.#urls = [...urls];
  }

  get urls(): readonly string[] {
    return this.#urls;
  }

  onChange(then: () => void): Disposable {
    const listener = (): void => then();
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** These are all of them, in any order. True: that is news. */
  tell(urls: readonly string[]): boolean {
    if (urls.length === this.#urls.length && urls.every((url) => this.#urls.includes(url))) return false;
    this.#urls = [...urls];
    for (const listener of this.#listeners) listener();
    return true;
  }
}
