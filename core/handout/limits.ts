/** Limits and numbers of the tracker's state. */

/** A tracker keeps at most so much; what exceeds it is still answered, but not remembered (room.ts). */
export type HandoutLimits = {
  readonly leases: number;
  readonly swarms: number;
  readonly nodes: number;
  /** Of one client, which is an address. */
  readonly client: { readonly leases: number; readonly nodes: number };
};

/**
 * 15,000 hosts with 60 layers each are 900,000 leases, about 100 MB. One host with 65,536 has a cache of a terabyte and
 * more; 8,192 agents behind one address are a test on one machine, or a gateway that the configuration does not name.
 */
export const handoutLimits: HandoutLimits = {
  leases: 1_000_000,
  swarms: 250_000,
  nodes: 100_000,
  client: { leases: 65_536, nodes: 8_192 },
};

/** Clients that hold much leave the last eighth of each table... */
export const reservedShare = 1 / 8;
/** ...to those that hold less than so much of it: 976 leases of a million, an image or ten. */
export const littleShare = 1 / 1024;

/**
 * After a restart all hosts have everything to tell: so many leases a second are asked for, less than a core takes beside
 * the announces of an ordinary second. 15,000 hosts with 60 each are told within 12 s.
 */
export const resyncLeasesPerS = 75_000;
/** Of one host, as far as its turn is reckoned. */
export const resyncLeasesMax = 8_192;

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

/** Zones that a swarm tells apart; members of others are taken to be of its first one. */
export const zonesPerSwarmMax = 64;
/** Nodes of a zone that get links into others at once; one more this often, in milliseconds, should those die or hang. */
export const crossingsMax = 2;
export const crossingMs = 2_000;
/** How many such links each gets: an origin, and others that have got other pieces than it. Who is alone in its zone gets more. */
export const crossLinks = 4;
export const crossLinksAlone = 8;
