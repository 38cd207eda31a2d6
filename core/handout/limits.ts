/** Limits and numbers of the tracker's state. */

/** A tracker keeps at most so much; what exceeds it is still answered, but not remembered. */
export type HandoutLimits = {
  readonly leases: number;
  readonly swarms: number;
  readonly nodes: number;
};

/** 15,000 hosts with 60 layers each are 900,000 leases, about 100 MB. */
export const handoutLimits: HandoutLimits = { leases: 1_000_000, swarms: 250_000, nodes: 100_000 };

/** Two renewals may be lost before a node counts as gone. */
export const leaseMsDefault = 30_000;
export const intervalMsDefault = 10_000;

/**
 * While a swarm grows to n members, an origin is handed out to the first `originReach`, then to one
 * in n / originReach: about originReach * ln(n) dials in all, where giving it to everyone would have
 * 15,000 hosts dial it. Twice the neighbours that a peer keeps per blob.
 */
export const originReach = 32;
/** A complete peer is drawn so many times as readily as one that still pulls. */
export const havePreference = 4;
/** Each time that a node asks again for a blob, it is twice as likely to get origins and complete peers, up to 2^this. */
export const seekBoostMax = 8;
/** Peers kept of what a lookup at the origins found. */
export const originsPerSwarmMax = 8;
/** Leases that end in one step; the rest in the next, so that no announce waits behind a mass expiry. */
export const expiriesPerStepMax = 4096;
