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
  /** Where zones have a bottleneck: of each its link's bytes a second, either way, and its origins' uplinks. */
  readonly zones?: readonly { readonly link: number; readonly originUps: readonly number[] }[] | undefined;
};

/** Seconds; the largest of these bounds. */
export function boundS(input: BoundInput): number {
  return Math.max(fluidS(input), storeAndForwardS(input), zonesS(input));
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

/** Seconds: every byte comes into each zone once, from its own origins or by its link, and leaves where origins are. */
export function zonesS({ bytes, zones = [] }: BoundInput): number {
  const withOrigins = zones.filter(({ originUps }) => originUps.length > 0);
  const out = sum(withOrigins.map(({ link }) => link));
  const leaves = withOrigins.length < zones.length ? bytes / out : 0;
  return zones.reduce((most, { link, originUps }) => Math.max(most, bytes / (link + sum(originUps))), leaves);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
