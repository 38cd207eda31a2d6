/** The history of every tag of a run: who wrote and read what, when, judged for linearizability. */

/** An operation on one tag, from its call to its answer. A write without an answer may take effect at any time after, or never. */
type Op = { readonly kind: 'read' | 'write'; readonly value: string; readonly startMs: number; endMs: number };

/** The value of a tag that nobody has written. */
const unset = 'unset';

export class TagHistory {
  readonly #ops = new Map<string, Op[]>();
  reads = 0;
  writes = 0;
  #lostMs = Number.NEGATIVE_INFINITY;

  /** A write begins; the returned function says that it was acknowledged. */
  write(key: string, value: string, nowMs: number): (nowMs: number) => void {
    const op: Op = { kind: 'write', value, startMs: nowMs, endMs: Number.POSITIVE_INFINITY };
    this.#of(key).push(op);
    return (atMs) => {
      op.endMs = atMs;
      this.writes++;
    };
  }

  read(key: string, value: string | undefined, startMs: number, endMs: number): void {
    // It was under way when what nobody had been promised was lost.
    if (startMs <= this.#lostMs && !this.#promised(key, value ?? unset)) return;
    this.#of(key).push({ kind: 'read', value: value ?? unset, startMs, endMs });
    this.reads++;
  }

  /** Writes that were not acknowledged are lost, though they may have been seen; or they come to be seen again. */
  lost(nowMs: number): void {
    this.#lostMs = nowMs;
    for (const [key, ops] of this.#ops)
      this.#ops.set(
        key,
        ops.filter(({ kind, value }) => kind === 'write' || this.#promised(key, value)),
      );
  }

  /** Tags of which a write was acknowledged. */
  acknowledged(): string[] {
    const written = ([, ops]: [string, Op[]]): boolean =>
      ops.some((op) => op.kind === 'write' && op.value !== unset && op.endMs !== Number.POSITIVE_INFINITY);
    return [...this.#ops].filter(written).map(([key]) => key);
  }

  /** What the read that ended last has said. */
  last(key: string): string | undefined {
    const reads = this.#of(key).filter(({ kind }) => kind === 'read');
    const { value } =
      reads.reduce<Op | undefined>((one, two) => (one && one.endMs > two.endMs ? one : two), undefined) ?? {};
    return value === unset ? undefined : value;
  }

  /** What is wrong with the history of that tag, or undefined. */
  check(key: string): string | undefined {
    const wrong = linearizable(this.#of(key));
    return wrong === undefined ? undefined : `${key}: ${wrong}`;
  }

  #promised(key: string, value: string): boolean {
    return this.#of(key).some(
      (op) => op.kind === 'write' && op.value === value && op.endMs !== Number.POSITIVE_INFINITY,
    );
  }

  #of(key: string): Op[] {
    const known = this.#ops.get(key) ?? [{ kind: 'write', value: unset, startMs: -2, endMs: -1 }];
    this.#ops.set(key, known);
    return known;
  }
}

type Zone = { readonly value: string; readonly from: number; readonly to: number; readonly forward: boolean };

/**
 * Gibbons and Korach (1997), for registers whose writes differ: each value's operations form a zone from
 * their earliest end to their latest start; the history is linearizable where no read comes before its
 * write, no two forward zones overlap, and no backward zone lies within a forward one.
 */
export function linearizable(ops: readonly Op[]): string | undefined {
  const zones: Zone[] = [];
  for (const write of ops) {
    if (write.kind !== 'write') continue;
    const reads = ops.filter((op) => op.kind === 'read' && op.value === write.value);
    if (reads.length === 0 && write.endMs === Number.POSITIVE_INFINITY) continue;
    const early = reads.find((read) => read.endMs < write.startMs);
    if (early !== undefined)
      return `${write.value} was read at ${early.endMs} before it was written at ${write.startMs}`;
    const from = Math.min(write.endMs, ...reads.map((read) => read.endMs));
    const to = Math.max(write.startMs, ...reads.map((read) => read.startMs));
    zones.push(
      from < to
        ? { value: write.value, from, to, forward: true }
        : { value: write.value, from: to, to: from, forward: false },
    );
  }
  const unknown = ops.find(
    (op) => op.kind === 'read' && !ops.some((other) => other.kind === 'write' && other.value === op.value),
  );
  if (unknown !== undefined) return `${unknown.value} was read and never written`;
  for (const zone of zones) {
    if (!zone.forward) continue;
    const other = zones.find(
      (one) =>
        one !== zone &&
        (one.forward ? one.from < zone.to && zone.from < one.to : one.from > zone.from && one.to < zone.to),
    );
    if (other !== undefined)
      return `${zone.value} was current from ${zone.from} to ${zone.to} at least, yet ${other.value} was too, within ${other.from} to ${other.to}`;
  }
  return undefined;
}
