/**
 * How fast it could go at best, all hosts arriving at once.
 * Source: the fluid bound of Kumar and Ross (HotWeb 2006); the store-and-forward bound of Mundinger,
 * Weber and Weiss (J. Scheduling 2008) as a counting bound for several seeds.
 */

export type BoundInput = {
  /** Bytes that every host wants. */
  readonly bytes: number;
  readonly pieces: number;
  /** Bytes a second, per host. */
  readonly ups: readonly number[];
  readonly downs: readonly number[];
  readonly originUps: readonly number[];
};

/** Seconds; the larger of both bounds. */
export function boundS(input: BoundInput): number {
  return Math.max(fluidS(input), storeAndForwardS(input));
}

/** Seconds: every byte leaves the origins once, every host takes in all, all uplinks together send all copies. */
export function fluidS({ bytes, ups, downs, originUps }: BoundInput): number {
  const seedUp = sum(originUps);
  const slowest = downs.reduce((least, down) => Math.min(least, down), Number.POSITIVE_INFINITY);
  return Math.max(bytes / seedUp, bytes / slowest, (ups.length * bytes) / (seedUp + sum(ups)));
}

/**
 * Seconds: rounds in which a piece passes one hop at the median host's rate. The number of copies
 * at most doubles each round, and a host takes in at most one piece a round.
 */
export function storeAndForwardS({ bytes, pieces, ups, downs, originUps }: BoundInput): number {
  const hosts = ups.length;
  if (pieces === 0 || hosts === 0) return 0;
  const rate = Math.min(median(ups), median(downs));
  const roundS = bytes / pieces / rate;
  let senders = Math.max(1, Math.floor(sum(originUps) / rate));
  let left = hosts * pieces;
  let rounds = 0;
  while (left > 0 && senders < hosts) {
    left -= senders;
    senders *= 2;
    rounds++;
  }
  return (rounds + Math.max(0, Math.ceil(left / hosts))) * roundS;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
