/**
 * Backends that did not answer, which are left alone for a while, so that one that hangs costs few readers their patience.
 *
 * Rule: a store is one thing, and one object that it does not give means that it is away. A registry is asked by repository,
 *       each of which may be had from elsewhere there: what one does is held against the others only once several did it in
 *       a row. Else whoever pulls from a repository that is broken there would keep all others from everybody.
 */

import type { TagsBacked } from '../../platform/backends/backends.ts';

/** Long enough that a backend that hangs costs few callers their patience, short enough that nobody waits for it when it is back. */
const silentMs = 5_000;
/** Different ones, without an answer of any between. */
const repositoriesInRow = 3;
/** Repositories that are left alone: more are asked. */
const silentMax = 1_000;

type Silencing = Pick<TagsBacked, 'name' | 'layout'>;

export class Silences {
  readonly #tickMs: () => number;
  readonly #untilMs = new Map<string, number>();
  readonly #inRow = new Map<string, Set<string>>();

  constructor(tickMs: () => number) {
    this.#tickMs = tickMs;
  }

  silent({ name }: Silencing, repo: string): boolean {
    const now = this.#tickMs();
    return [name, placeOf(name, repo)].some((place) => now < (this.#untilMs.get(place) ?? 0));
  }

  answered({ name }: Silencing): void {
    this.#inRow.delete(name);
  }

  failed({ name, layout }: Silencing, repo: string): void {
    const inRow = (this.#inRow.get(name) ?? new Set()).add(repo);
    const alone = layout.perRepository === true && inRow.size < repositoriesInRow;
    if (alone) this.#inRow.set(name, inRow);
    else this.#inRow.delete(name);
    this.#leave(alone ? placeOf(name, repo) : name);
  }

  #leave(place: string): void {
    this.#untilMs.delete(place);
    this.#untilMs.set(place, this.#tickMs() + silentMs);
    for (const oldest of this.#untilMs.keys()) {
      if (this.#untilMs.size <= silentMax) break;
      this.#untilMs.delete(oldest);
    }
  }
}

/** No backend has a blank in its name. */
function placeOf(name: string, repo: string): string {
  return `${name} ${repo}`;
}
