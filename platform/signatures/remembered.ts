/**
 * What was found out about manifests, so that it is found out once. Bounded: what was not asked for longest goes.
 *
 * Rule 1: that something is signed is asked again after ten minutes, since signatures may be taken away; while it cannot be
 *   asked, what is remembered holds. That it is not signed is asked again after a second: a signature may come.
 * Rule 2: what an index that is signed lists is signed with it, and only as long.
 */

import type { Digest } from '../../core/digest.ts';
import type { SignedVerdict } from './judge.ts';

/** A node has a few hundred images; about 300 bytes each. */
const verdictsMax = 10_000;
const childrenMax = 20_000;
/** Indexes of one manifest that are remembered: the same image may be in several. */
const parentsMax = 4;
const signedMs = 600_000;
const unsignedMs = 1_000;

type Entry = { readonly verdict: SignedVerdict; readonly untilMs: number };

export class RememberedVerdicts {
  readonly #nowMs: () => number;
  readonly #verdicts = new Map<string, Entry>();
  readonly #parents = new Map<string, readonly Digest[]>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `fresh`: it need not be asked again. */
  find(repo: string, digest: Digest): { readonly verdict: SignedVerdict; readonly fresh: boolean } | undefined {
    const entry = touched(this.#verdicts, keyOf(repo, digest));
    return entry && { verdict: entry.verdict, fresh: this.#nowMs() < entry.untilMs };
  }

  keep(repo: string, digest: Digest, verdict: SignedVerdict): void {
    // Another signature may say another tag.
    const lasts = verdict.signed && verdict.tags === undefined;
    const untilMs = this.#nowMs() + (lasts ? signedMs : unsignedMs);
    put(this.#verdicts, keyOf(repo, digest), { verdict, untilMs }, verdictsMax);
  }

  /** Indexes that list it and were signed. */
  parents(repo: string, digest: Digest): readonly Digest[] {
    return touched(this.#parents, keyOf(repo, digest)) ?? [];
  }

  keepChildren(repo: string, parent: Digest, children: readonly Digest[]): void {
    for (const child of children) {
      const others = this.parents(repo, child).filter((other) => other !== parent);
      put(this.#parents, keyOf(repo, child), [parent, ...others].slice(0, parentsMax), childrenMax);
    }
  }

  forget(): void {
    this.#verdicts.clear();
    this.#parents.clear();
  }
}

function keyOf(repo: string, digest: Digest): string {
  return `${repo}@${digest}`;
}

/** As the one that was asked for last. */
function touched<T>(map: Map<string, T>, key: string): T | undefined {
  const found = map.get(key);
  if (found === undefined) return undefined;
  map.delete(key);
  map.set(key, found);
  return found;
}

function put<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
