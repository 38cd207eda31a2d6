/**
 * What a remote was seen to hold, of one repository: so that it is asked once, not for each tag.
 *
 * Rule: a remote may lose what it had. Whoever fails there forgets what it relied on, and asks again.
 */

import type { Digest } from '../../../core/digest.ts';
import type { Recent } from '../../backing/lane/write.ts';

export class SeenThere {
  readonly #all: Recent;
  readonly #repo: string;
  /** What was found here rather than asked for. */
  readonly #relied: string[] = [];

  constructor(all: Recent, repo: string) {
    this.#all = all;
    this.#repo = repo;
  }

  has(kind: 'blob' | 'manifest', digest: Digest): boolean {
    const name = this.#nameOf(kind, digest);
    if (!this.#all.has(name)) return false;
    this.#relied.push(name);
    return true;
  }

  add(kind: 'blob' | 'manifest', digest: Digest): void {
    this.#all.add(this.#nameOf(kind, digest));
  }

  /** It is to be asked for again. */
  gone(kind: 'blob' | 'manifest', digest: Digest): void {
    this.#all.delete(this.#nameOf(kind, digest));
  }

  /** Whether anything was. */
  forget(): boolean {
    for (const name of this.#relied) this.#all.delete(name);
    return this.#relied.length > 0;
  }

  #nameOf(kind: 'blob' | 'manifest', digest: Digest): string {
    return `${kind} ${this.#repo} ${digest}`;
  }
}
