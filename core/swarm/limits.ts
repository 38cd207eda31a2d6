/**
 * What bounds the swarm's tables and how long it waits. Stated once; each with its reason.
 * Numbers that the simulator tunes are in policy.ts.
 */

/** Candidates kept per blob; a tracker hands out at most 32 at a time. */
export const candidatesPerBlobMax = 64;
/** Addresses in a refusal or a neighbour exchange. */
export const peersToldMax = 8;
/** Openers that a full origin remembers of a blob, to name them to others: enough that those named are never the same few. */
export const openersMax = 64;
/** They are named for so long: a host that came before may have gone. */
export const openersMs = 60_000;
/** Feeders of other zones that a host pulls a blob from; more where it knows nobody in its own. */
export const farLinksMax = 4;
export const farLinksAloneMax = 8;
/** Nothing of a blob has come for so long: what neighbours of the own zone say to hold keeps nothing from crossing for a while. */
export const farPatienceMs = 2_000;
export const liftedMs = 30_000;
/** A failed candidate may be tried again after this long, doubled per failure. */
export const candidateRestMs = 1_000;
export const candidateFailuresMax = 5;
/** Range requests of one blob at the same time; a registry client opens a handful. */
export const readersPerBlobMax = 1_024;
/** Banned nodes remembered; the oldest is forgotten first. */
export const bansMax = 4_096;
/** Revoked digests remembered, so that late openers hear why. */
export const revokedMax = 1_024;
/** Edge offers and reservations open at once. */
export const offersMax = 64;
export const offerMs = 2_000;
/** Edges beyond the degree that tokens may add while offers settle. */
export const degreeSlack = 4;
/** Openings at once beyond the degree while all neighbours wait for the hash list as we do. */
export const beyondMax = 2;
/** Waiting for so long, many round trips, is no longer the bustle of a start. */
export const unheardMs = 200;
/** Unanswered or unreceipted grants on a link, whatever the policy says. */
export const grantsPerLinkMax = 64;
/** Where nobody has anything for us for so long a round of looking elsewhere begins; each takes twice as long, up to. */
export const starvedMs = 5_000;
export const starvedMsMax = 20_000;
/** A link that has not greeted by then is closed. */
export const greetingMs = 5_000;
/** An Open that is not answered by then is given up: the peer itself may still be learning. */
export const openingMs = 10_000;
/** A hash-list frame that has not come by then is asked for elsewhere. */
export const hashesMs = 2_000;
/** The dialler closes a link without a swarm after this long, the acceptor after twice that. */
export const idleMs = 15_000;
/** The same where links are many. */
export const idleMsMany = 2_000;
/** A second link of a node wins over a first one that has been silent for this long. */
export const silentMs = 5_000;
/** A new measurement of how long grants take to be answered counts an eighth. */
export const answerWeight = 0.125;
/** A grant is on no wire for its round trip and for its receipt's half; more than this is somebody else's fault. */
export const idleTrips = 1.5;
export const idleMsMax = 150;
/** An origin believes for this long that others send a neighbour enough. */
export const spareMs = 500;
/** The floor rate: a piece that is owed may take the policy's stallMs, and as long as its bytes take at this rate. */
export const stallBytesPerMs = 256;
/** Pieces asked of a feeder that has not sent one yet, and their bytes, one piece always; each that it sends allows one more. */
export const unprovenMax = 4;
export const unprovenBytesMax = 4 * 1024 * 1024;
/** Near the end a piece of such a feeder is late after this, rather than after the policy's hedgeFloorMs. */
export const unprovenMs = 100;
/** Times in a row that a puller may speak and leave its grants unanswered. */
export const ignoredMax = 8;
/**
 * Opens of a link that may be refused at once, and a second after that: more than an honest host asks of a peer that has
 * none of it; one that only opens asks for a hundred thousand a second.
 */
export const refusedMax = 1_024;
export const refusedPerMs = 1;
/** Bytes of hash lists that a link may be sent at once, and a millisecond after that: a thousand layers of 1 GiB at once. */
export const hashListsMax = 64 * 1024 * 1024;
export const hashListsPerMs = 16 * 1024;
/** Pieces of a closed swarm that neither come nor are said to be missing hold their link up no longer. */
export const zombieMs = 60_000;
/** Late pieces and grants are looked for this often while there are any. */
export const scanMs = 100;
/** The graph is looked after this often. */
export const graphMs = 250;
/** Neighbours are told of neighbours this often. */
export const gossipMs = 5_000;
/** Seeking: from and up to, doubled each time. */
export const seekMs = 250;
export const seekMsMax = 15_000;
/** Hedges running at once per blob, and the duplicates that even a small blob may cost. */
export const hedgesPerBlobMax = 4;
export const duplicatesFree = 1;
/** Candidate bits looked at for a rarest piece outside a reader's window. */
export const rarestSample = 128;
/**
 * A first seeder names a piece no further than this from the lowest that it has not given: few alone, for readers in
 * order; more by `namedSpanGain` for each piece that turns out to have been given by another seeder, for those that
 * draw from the same few give the same ones; no more than one part in `namedSpanShare` of the blob.
 */
export const namedSpanMin = 16;
export const namedSpanGain = 8;
export const namedSpanShare = 8;
/** So many pieces before and after a named one are told of, where they have been given already. */
export const elsewhereSpan = 256;
/** A feeder that names so many pieces which are not in scope, and goes on, is told that they are held. */
export const misfitsMax = 8;
/** Pieces ahead of a reader out of the blue that are wished for: a round trip's worth, so that it goes on at full rate. */
export const wishAheadMax = 4;
/** Neighbours that a neighbour's wish goes on to, where none of them is an origin: 16 x 3 x 3 hosts hear of one. */
export const passedOnToMax = 3;
/** Pieces on their way to us at a time that only neighbours wish for. */
export const errandsMax = 2;
/**
 * What an origin has given already it gives again to whoever has wished for it so long, which others take to hand it
 * on, longer while there is anything that it has not given yet; and no more of that than one part in `wishTwiceShare` of its uplink, so many bytes of it at once.
 */
export const wishPatienceMs = 150;
export const wishPatienceMsMax = 1_000;
export const wishTwiceShare = 256;
export const wishTwiceBytesMax = 2 * 1024 * 1024;
/** Changes of wishes that a link may say at once, and a millisecond after that: one a piece of 256 KiB at 4 GB/s. */
export const wishesAtOnceMax = 4_096;
export const wishesPerMs = 16;
/** After the disk refused a piece the blob rests, doubled per refusal. */
export const diskRestMs = 200;
export const diskRestMsMax = 10_000;
/** Availability is a byte, so a blob's sources are fewer. */
export const sourcesPerBlobMax = 250;
/** The uplink is measured over this much busy time at a time. */
export const meterMs = 500;
/** Room above what was measured, so that an uplink that was not in demand can show what it can do. */
export const meterGain = 2;
/** Room in the downlink is kept for a neighbour that was told of it for so long: a grant's way here, under load. */
export const promiseMs = 50;
