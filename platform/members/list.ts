/**
 * Who is there of one role, by URL, and being told when that changes: as a configuration has it, as somebody told, or as
 * DNS answers (dns/).
 *
 * Rule: a list never becomes empty by a failure to read it; whoever keeps one keeps the last good one.
 */

/** What a list knows of a member beside its URL. */
export type ListedMember = {
  readonly url: string;
  /** How it is called (`Host`, and whose certificate it has), where its URL is an address that a name stands for. */
  readonly host?: string | undefined;
  /** Of its priority, how much it is asked; only where its role has no ids, which have weights of their own. */
  readonly weight: number;
  /** Those of the lowest that answer are asked first. */
  readonly priority: number;
};

export interface MemberList {
  readonly urls: readonly string[];
  /** undefined: nothing but that it is there. */
  about?(url: string): ListedMember | undefined;
  /** Somebody does not answer: who is there may have changed. */
  doubt?(): void;
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
