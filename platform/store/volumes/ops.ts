/**
 * What is under way on one volume, and for how long: so that a disk that hangs is told from one that is slow.
 *
 * Rule 1: an operation whose volume is lost ends at once, for its caller, with ENODEV; so does every further one.
 *   What the system still does for it goes on, and its place in the gate is taken for so long.
 * Rule 2: a gate bounds how many threads one volume can hold up; the rest waits here, in order, where it can be given up.
 * Rule 3: a volume hangs where an operation takes `hungMs` and no other of its gate ends meanwhile, or it is a plain
 *   read; or where any takes three times as long: a burst that is synced to a slow disk takes its time.
 * Rule 4: what was given up may never end. Where it has taken all places of a gate nothing else could ever begin there: the
 *   volume stays lost, whatever a look at it says, until one of them ends.
 */

import { diskError } from '../disk/disk.ts';

/** The least after which a disk is said to hang: one that repairs a sector by itself takes up to 7 s. */
export const hungMsDefault = 10_000;
/** Of what may wait behind others, while those end: in parts of `hungMs`. */
const slowFactor = 3;

/** 'write' may wait for all that was written before it, 'job' for the jobs that its thread had before it. */
export type OpKind = 'read' | 'write' | 'job';

/** How many at a time; others wait in turn. */
export class Gate {
  running = 0;
  /** When one ended last. */
  endedMs = Number.NEGATIVE_INFINITY;
  readonly max: number;
  readonly waiting: (() => void)[] = [];

  constructor(max: number) {
    this.max = max;
  }
}

export type Op = {
  readonly gate: Gate;
  readonly kind: OpKind;
  readonly sinceMs: number;
  readonly lose: (error: Error) => void;
};

export class VolumeOps {
  readonly hungMs: number;
  /** In order of their begin. */
  readonly running = new Set<Op>();
  /** Those that have no place in their gate yet. */
  readonly waiting = new Set<(error: Error) => void>();
  /** Their callers have been told that the volume is lost; the system is still at them. */
  readonly givenUp = new Set<Op>();
  /** Set while nothing can be had of the volume. */
  lost: Error | undefined;
  readonly #path: string;
  readonly #hangs: (why: string) => void;

  constructor(o: { readonly path: string; readonly hungMs: number; readonly hangs: (why: string) => void }) {
    this.hungMs = o.hungMs;
    this.#path = o.path;
    this.#hangs = o.hangs;
  }

  /** Everything ends, and nothing begins, until `find`. */
  lose(): void {
    this.lost = diskError('ENODEV', 'volume lost', this.#path);
    for (const op of this.running) {
      op.lose(this.lost);
      this.givenUp.add(op);
    }
    this.running.clear();
    for (const give of [...this.waiting]) give(this.lost);
    this.waiting.clear();
  }

  find(): void {
    this.lost = undefined;
  }

  /** How many have taken all places of a gate, and were given up; 0: each gate has a place. */
  get stuck(): number {
    for (const [gate, all] of Map.groupBy(this.givenUp, (op) => op.gate)) if (all.length >= gate.max) return all.length;
    return 0;
  }

  /** Something has taken `hungMs`: whether that is to hang. */
  judge(nowMs: number): void {
    for (const { gate, kind, sinceMs } of this.running) {
      const ms = nowMs - sinceMs;
      if (ms < this.hungMs) return;
      const alone = nowMs - gate.endedMs >= this.hungMs;
      if (alone || kind === 'read' || ms >= slowFactor * this.hungMs) {
        return this.#hangs(`it hangs: a ${kind} has not ended for ${Math.round(ms / 1000)} s`);
      }
    }
  }
}
