/** Histories of a tag that behaves, made at random: each operation takes place at one moment between its begin and its end. */

import { type Prng, prng } from '../../core/prng.ts';
import type { Operation } from './history.ts';

const database = 'a'.repeat(32);

export const version = (no: number): string => `${no}-${database}`;
export const digest = (no: number): string => `sha256:${no.toString(16).padStart(64, '0')}`;

type Planned = { readonly atMs: number; readonly beganMs: number; readonly endedMs: number; readonly by: string };

export function history(
  seed: number,
  { operations, lanes, unknown }: { operations: number; lanes: number; unknown: number },
): Operation[] {
  const random = prng(seed);
  const planned: Planned[] = [];
  for (let lane = 0; lane < lanes; lane++) {
    let ms = random.unit() * 10;
    for (let i = 0; i < operations / lanes; i++) {
      const took = 0.5 + random.unit() * 10;
      planned.push({ beganMs: ms, atMs: ms + random.unit() * took, endedMs: ms + took, by: `${lane}` });
      ms += took + random.unit() * 3;
    }
  }
  const tag = new Tag(random, unknown);
  return planned.sort((a, b) => a.atMs - b.atMs).flatMap((one) => tag.does(one));
}

class Tag {
  readonly #random: Prng;
  readonly #unknown: number;
  #digest: string | null = null;
  #at: string | null = null;
  #seen: string | null = null;
  #no = 0;

  constructor(random: Prng, unknown: number) {
    this.#random = random;
    this.#unknown = unknown;
  }

  does({ by, beganMs, endedMs }: Planned): Operation[] {
    const when = { by, beganMs, endedMs };
    const what = this.#random.below(10);
    if (what < 5) {
      this.#seen = this.#random.below(3) === 0 ? this.#at : this.#seen;
      const saw = this.#digest === null ? null : { digest: this.#digest, version: this.#at ?? undefined };
      return [{ ...when, kind: 'read', saw }];
    }
    const lost = this.#random.unit() < this.#unknown;
    const told = lost ? ({ kind: 'unknown' } as const) : undefined;
    const ends = lost ? Number.POSITIVE_INFINITY : endedMs;
    if (lost && this.#random.below(2) === 0)
      return [{ ...when, endedMs: ends, ...this.#notDone(what), told: { kind: 'unknown' } }];
    if (what === 9) {
      const deleted = this.#delete();
      return [{ ...when, endedMs: ends, kind: 'delete', told: told ?? deleted }];
    }
    if (what === 8) {
      const after = this.#seen;
      if (after !== this.#at && !(after === null && this.#digest === null))
        return [
          { ...when, kind: 'write', digest: digest(++this.#no), after, told: { kind: 'changed', version: this.#at } },
        ];
      return [{ ...when, endedMs: ends, kind: 'write', after, ...this.#write(told) }];
    }
    return [{ ...when, endedMs: ends, kind: 'write', ...this.#write(told) }];
  }

  #notDone(what: number): { kind: 'delete' } | { kind: 'write'; digest: string } {
    return what === 9 ? { kind: 'delete' } : { kind: 'write', digest: digest(++this.#no) };
  }

  #write(told: { kind: 'unknown' } | undefined) {
    this.#no += 1;
    this.#digest = digest(this.#no);
    this.#at = version(this.#no);
    return { digest: this.#digest, told: told ?? ({ kind: 'done', version: this.#at } as const) };
  }

  #delete() {
    if (this.#digest === null) return { kind: 'absent' } as const;
    this.#no += 1;
    this.#digest = null;
    this.#at = version(this.#no);
    return { kind: 'done', version: this.#at } as const;
  }
}
